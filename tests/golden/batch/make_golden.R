# Golden values for reference_impl/batch.py from sva::ComBat and limma::removeBatchEffect.
# Run: Rscript tests/golden/batch/make_golden.R tests/golden/batch/golden.json
suppressMessages({library(sva); library(limma); library(jsonlite)})
out <- commandArgs(trailingOnly = TRUE)[1]
RNGversion("4.0.0")

# R keeps features in rows; the file keeps samples in rows. Values are rounded before use, so that the file holds exactly
# the data that were analysed.
simulate <- function(seed, sizes, n_features) {
  set.seed(seed)
  n <- sum(sizes)
  batch <- rep(paste0("b", seq_along(sizes)), sizes)
  group <- sample(c("case", "control"), n, TRUE, c(0.4, 0.6))
  site <- sample(c("north", "south", "west"), n, TRUE)
  age <- round(rnorm(n, 58, 11))
  x <- matrix(rnorm(n * n_features), n_features) * runif(n_features, 0.3, 2) + rnorm(n_features, 8, 2)
  for (b in unique(batch)) {
    own <- batch == b
    x[, own] <- (x[, own] - 8) * exp(rnorm(n_features, 0, 0.3)) + 8 + rnorm(n_features, rnorm(1), 0.7)
  }
  x <- x + outer(rnorm(n_features), as.numeric(group == "case")) + outer(rnorm(n_features, 0, 0.03), age)
  order <- sample(n)
  list(x = round(x[, order], 5), batch = batch[order], group = group[order], site = site[order], age = age[order])
}

with_gaps <- function(data, seed, share) {
  set.seed(seed)
  data$x[matrix(runif(length(data$x)) < share, nrow(data$x))] <- NA
  data
}

plain <- simulate(1, c(5, 6, 8), 25)
zero <- simulate(2, c(4, 7), 20)
zero$x[3, zero$batch == "b1"] <- 2.5      # constant in one batch
zero$x[9, ] <- 7                          # constant everywhere
zero$x[14, zero$batch == "b2"] <- 0
single <- simulate(3, c(6, 1, 5), 20)
gaps <- with_gaps(simulate(4, c(8, 9, 7), 25), 4, 0.08)
large <- simulate(5, c(10, 16, 6, 12), 25)
data <- list(plain = plain, zero = zero, single = single, gaps = gaps, large = large)

design <- function(d, covariates) {
  if (length(covariates) == 0) return(NULL)
  model.matrix(reformulate(covariates), data.frame(d[c("group", "site", "age")]))
}

combat <- function(name, on, covariates = character(), parametric = TRUE, mean_only = FALSE, reference = NULL) {
  d <- data[[on]]
  result <- suppressMessages(ComBat(d$x, d$batch, design(d, covariates), par.prior = parametric, mean.only = mean_only, ref.batch = reference))
  list(name = name, data = on, covariates = I(covariates), parametric = parametric, mean_only = mean_only,
       reference = reference, result = unname(t(result)))
}

sva_cases <- list(
  combat("parametric", "plain"),
  combat("non-parametric", "plain", parametric = FALSE),
  combat("mean only", "plain", mean_only = TRUE),
  combat("non-parametric, mean only", "plain", parametric = FALSE, mean_only = TRUE),
  combat("reference batch", "plain", reference = "b2"),
  combat("reference batch, mean only", "plain", reference = "b1", mean_only = TRUE),
  combat("reference batch, non-parametric", "plain", reference = "b3", parametric = FALSE),
  combat("covariate of two groups", "plain", "group"),
  combat("covariates of groups and numbers", "plain", c("group", "site", "age")),
  combat("covariates, reference batch", "plain", c("group", "age"), reference = "b2"),
  combat("covariates, mean only", "plain", c("group", "age"), mean_only = TRUE),
  combat("covariates, non-parametric", "plain", c("group", "age"), parametric = FALSE),
  combat("zero variance in a batch", "zero"),
  combat("zero variance in a batch, covariate", "zero", "age"),
  combat("zero variance in a batch, non-parametric", "zero", parametric = FALSE),
  combat("batch of one sample", "single"),
  combat("batch of one sample, covariate", "single", "age"),
  combat("batch of one sample, non-parametric", "single", parametric = FALSE),
  combat("batch of one sample, reference", "single", reference = "b3"),
  combat("gaps", "gaps"),
  combat("gaps, covariates", "gaps", c("group", "age")),
  combat("gaps, reference batch", "gaps", reference = "b1"),
  combat("gaps, mean only", "gaps", mean_only = TRUE),
  combat("gaps, non-parametric", "gaps", parametric = FALSE),
  combat("four batches, covariates", "large", c("group", "site", "age"))
)

# The parametric iteration once more, run to its limit: how far sva's rule stops from it.
limit <- sva:::it.sol
formals(limit)$conv <- 1e-14
original <- sva:::it.sol
assignInNamespace("it.sol", limit, "sva")
at_limit <- list(combat("parametric", "plain"), combat("covariates of groups and numbers", "plain", c("group", "site", "age")))
assignInNamespace("it.sol", original, "sva")

limma <- function(name, on, covariates = character()) {
  d <- data[[on]]
  kept <- if (length(covariates)) design(d, covariates) else matrix(1, length(d$batch), 1)
  list(name = name, data = on, covariates = I(covariates), result = unname(t(removeBatchEffect(d$x, d$batch, design = kept))))
}
hidden <- data$gaps
hidden$x[2, hidden$batch == "b1"] <- NA                              # one batch was never measured
hidden$x[5, hidden$batch == "b3"] <- NA
hidden$x[7, hidden$batch != "b2"] <- NA                              # only one batch was
hidden$x[11, hidden$batch == "b1" & hidden$group == "case"] <- NA    # group and batch entangled in this feature
hidden$x[11, hidden$batch != "b1" & hidden$group == "control"] <- NA
data$hidden <- hidden
limma_cases <- suppressWarnings(list(
  limma("batch alone", "plain"),
  limma("a group kept", "plain", "group"),
  limma("groups and numbers kept", "plain", c("group", "site", "age")),
  limma("zero variance", "zero", "group"),
  limma("batch of one sample", "single", "group"),
  limma("gaps", "gaps"),
  limma("gaps, groups and numbers kept", "gaps", c("group", "site", "age")),
  limma("gaps that hide a batch", "hidden"),
  limma("gaps that hide a batch, a group kept", "hidden", "group"),
  limma("four batches", "large", c("group", "age"))
))

set.seed(9)
shifts <- rnorm(12, 0.3, 0.8)
variances <- rgamma(12, 8, 8)
n <- 6
prior <- list(mean = mean(shifts), variance = var(shifts), shape = sva:::aprior(variances), scale = sva:::bprior(variances))
z <- t(sapply(1:12, function(i) { v <- rnorm(n); shifts[i] + sqrt(variances[i]) * (v - mean(v)) / sd(v) }))
shift <- sva:::postmean(shifts, prior$mean, n, variances, prior$variance)
variance <- sva:::postvar(rowSums((z - shift)^2), n, prior$shape, prior$scale)
step <- list(shifts = shifts, variances = variances, n = n, prior = prior, new_shifts = shift, new_variances = variance)

for (name in names(data)) data[[name]]$x <- unname(t(data[[name]]$x))
writeLines(toJSON(list(
  versions = list(R = R.version.string, sva = as.character(packageVersion("sva")), limma = as.character(packageVersion("limma"))),
  data = data, combat = sva_cases, at_limit = at_limit, limma = limma_cases, step = step
), digits = 15, auto_unbox = TRUE, matrix = "rowmajor", na = "null", null = "null"), out)
