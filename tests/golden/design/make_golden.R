# Golden values for reference_impl/design.py. Run: Rscript tests/golden/design/make_golden.R tests/golden/design/golden.json
suppressMessages({library(cluster); library(jsonlite)})
set.seed(20261122)

grid <- expand.grid(effect = c(0, -0.3, 0.5, 1.2), sd_x = c(0.8, 2), rho = c(-0.5, 0, 0.35, 0.9),
                    n = c(2, 4, 12, 60), alpha = c(0.05, 0.001))

# Two-sided power with both tails, by R's own power.t.test where it applies and by pt(ncp = ) elsewhere.
paired <- grid
paired$sd_y <- 1.1
paired$power <- mapply(function(effect, sd_x, sd_y, rho, n, alpha) {
  sd <- sqrt(sd_x^2 + sd_y^2 - 2 * rho * sd_x * sd_y)
  power.t.test(n = n, delta = abs(effect), sd = sd, sig.level = alpha, type = "paired", strict = TRUE)$power
}, paired$effect, paired$sd_x, paired$sd_y, paired$rho, paired$n, paired$alpha)

equal <- unique(grid[, c("effect", "sd_x", "n", "alpha")])
equal$sd_y <- equal$sd_x
equal$power <- mapply(function(effect, sd, n, alpha)
  power.t.test(n = n, delta = abs(effect), sd = sd, sig.level = alpha, type = "two.sample", strict = TRUE)$power,
  equal$effect, equal$sd_x, equal$n, equal$alpha)

welch <- unique(grid[, c("effect", "sd_x", "n", "alpha")])
welch$sd_y <- 1.1
welch$power <- mapply(function(effect, sd_x, sd_y, n, alpha) {
  error_x <- sd_x^2 / n
  error_y <- sd_y^2 / n
  df <- (error_x + error_y)^2 / (error_x^2 / (n - 1) + error_y^2 / (n - 1))
  ncp <- abs(effect) / sqrt(error_x + error_y)
  critical <- qt(alpha / 2, df, lower.tail = FALSE)
  pt(critical, df, ncp, lower.tail = FALSE) + pt(-critical, df, ncp)
}, welch$effect, welch$sd_x, welch$sd_y, welch$n, welch$alpha)

# Welch's test itself on two small samples: its degrees of freedom at sd 2 and 1.1 must be those of the formula.
scaled <- function(n, sd) { z <- rnorm(n); sd * (z - mean(z)) / sd(z) }
degrees <- data.frame(sd_x = c(2, 0.8, 1.1), sd_y = 1.1, n = c(5, 9, 30))
degrees$df <- mapply(function(sd_x, sd_y, n) unname(t.test(scaled(n, sd_x), scaled(n, sd_y))$parameter),
                     degrees$sd_x, degrees$sd_y, degrees$n)

# A layer with ties and a constant feature.
latent <- rnorm(30)
layer <- cbind(sapply(c(3, 1.5, 0.8, 0, 0), function(weight) round(weight * latent + rnorm(30), 2)),
               rpois(30, exp(1 + 0.7 * latent)), rep(5, 30))
correlation <- suppressWarnings(cor(layer, method = "spearman"))
correlation[is.na(correlation)] <- 0

# Two clinical tables with quantities, a category and a truth value.
clinic <- function(n) data.frame(age = sample(30:80, n, TRUE), bmi = round(rnorm(n, 26, 4), 1),
                                 smoker = sample(c("never", "former", "current"), n, TRUE), fasting = runif(n) < 0.6)
first <- clinic(12)
second <- rbind(clinic(9), first[c(2, 5), ])
both <- rbind(first, second)
both$smoker <- factor(both$smoker)
both$fasting <- factor(both$fasting)
gower <- as.matrix(daisy(both, metric = "gower"))[1:12, 13:23]

write_json(list(
  versions = list(R = R.version.string, cluster = as.character(packageVersion("cluster"))),
  paired = paired, unpaired_equal = equal, unpaired_welch = welch, welch_degrees = degrees,
  network = list(layer = layer, spearman = correlation),
  anchors = list(first = first, second = second, gower = unname(gower))
), commandArgs(TRUE)[1], digits = NA, auto_unbox = TRUE, dataframe = "rows")
