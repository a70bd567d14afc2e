# Golden values for reference_impl/missing from the original implementations.
#
#   Rscript tests/golden/missing/make_golden.R tests/golden/missing/golden.json
#
# Debian packages: r-cran-mice r-cran-survival r-cran-lavaan r-cran-gmm r-cran-survey r-cran-jsonlite.
# All data are simulated here and rounded before use, so the file holds exactly what was analysed.

suppressPackageStartupMessages({
  library(mice)
  library(survival)
  library(lavaan)
  library(gmm)
  library(survey)
  library(jsonlite)
})

# ---------------------------------------------------------------- Rubin's rules

pooling <- function(name, estimates, variances, df_complete) {
  # mice takes n and k with n - k = the complete-data degrees of freedom.
  found <- pool.scalar(estimates, variances, n = df_complete + 1, k = 1, rule = "rubin1987")
  list(name = name, estimates = estimates, variances = variances,
       df_complete = if (is.infinite(df_complete)) "inf" else df_complete,
       estimate = found$qbar, variance = found$t, df = found$df, fmi = found$fmi, r = found$r)
}

set.seed(1)
pool_cases <- list(
  pooling("three tables", c(1, 2, 3), c(0.5, 0.5, 0.5), 20),
  pooling("infinite df", c(1, 2, 3), c(0.5, 0.5, 0.5), Inf),
  pooling("identical estimates", rep(4.2, 5), c(0.3, 0.31, 0.29, 0.3, 0.32), 40),
  pooling("identical estimates, infinite df", rep(4.2, 5), rep(0.3, 5), Inf),
  pooling("two tables", c(-1.5, 1.0), c(0.1, 0.2), 11),
  pooling("twenty tables", round(rnorm(20, 5, 0.3), 4), round(runif(20, 0.02, 0.06), 5), 148),
  pooling("nearly all is missing", round(rnorm(8, 0, 10), 3), rep(0.01, 8), 60)
)

# A regression on imputed tables, pooled by mice's own pool().
imputed <- mice(nhanes, m = 10, method = "norm", seed = 7, printFlag = FALSE)
fits <- with(imputed, lm(chl ~ bmi + age))
pooled <- summary(pool(fits), type = "all")
each <- lapply(fits$analyses, function(fit) list(
  estimates = as.list(coef(fit)), variances = as.list(diag(vcov(fit)))))
pool_regression <- list(
  each = each, df_complete = fits$analyses[[1]]$df.residual,
  terms = as.character(pooled$term), estimate = pooled$estimate, std_error = pooled$std.error,
  df = pooled$df, fmi = pooled$fmi)

# ---------------------------------------------------------------- the draw of mice.impute.norm

draw_case <- function(n, p, seed) {
  set.seed(seed)
  x <- round(matrix(rnorm(n * p, 20, 2), n, p), 3)
  y <- round(as.vector(3 + x %*% seq(0.5, by = -0.4, length.out = p) + rnorm(n)), 3)
  design <- cbind(1, x)
  set.seed(seed + 100)
  found <- mice:::.norm.draw(y, rep(TRUE, n), design)
  set.seed(seed + 100)
  chisquare <- rchisq(1, n - ncol(design))
  normal <- rnorm(ncol(design))
  list(x = x, y = y, chisquare = chisquare, normal = normal,
       coefficients = as.vector(found$beta), sd = found$sigma)
}
draw_cases <- list(draw_case(30, 1, 11), draw_case(40, 4, 12), draw_case(12, 3, 13))

# Whole imputation: what mice makes of a table, on average over many imputations.
set.seed(21)
n <- 80
a <- rnorm(n); b <- 0.7 * a + 0.7 * rnorm(n); c <- 0.5 * a - 0.4 * b + rnorm(n)
table <- round(cbind(a, b, c), 3)
table[sample(n, 24), 2] <- NA
table[sample(n, 20), 3] <- NA
table[order(table[, 1])[1:8], 2] <- NA
many <- mice(as.data.frame(table), m = 400, maxit = 10, method = "norm", seed = 3, printFlag = FALSE)
completed <- lapply(1:400, function(i) as.matrix(complete(many, i)))
means <- t(sapply(completed, colMeans))
correlation <- sapply(completed, function(z) cor(z)[2, 3])
mice_case <- list(table = table, mean = colMeans(means), sd_of_means = apply(means, 2, sd),
                  correlation = mean(correlation), sd_of_correlation = sd(correlation))

# ---------------------------------------------------------------- left-censored likelihood

censored_case <- function(name, y, x, limit) {
  limit <- rep_len(limit, length(y))
  seen <- y >= limit
  recorded <- ifelse(seen, y, limit)
  model <- if (is.null(x)) Surv(recorded, seen, type = "left") ~ 1 else Surv(recorded, seen, type = "left") ~ x
  fit <- survreg(model, dist = "gaussian", control = survreg.control(rel.tolerance = 1e-13, maxiter = 200))
  errors <- sqrt(diag(fit$var))[seq_along(coef(fit))]
  list(name = name, y = ifelse(seen, y, NA), limit = limit, x = x,
       coefficients = as.vector(coef(fit)), standard_errors = as.vector(errors),
       sd = fit$scale, log_likelihood = fit$loglik[2])
}
set.seed(31)
y1 <- round(rnorm(60, 20, 1.2), 3)
x2 <- round(cbind(rnorm(90), rbinom(90, 1, 0.5)), 3)
y2 <- round(19.5 + 0.8 * x2[, 1] - 0.6 * x2[, 2] + rnorm(90, 0, 0.9), 3)
censored_cases <- list(
  censored_case("one limit", y1, NULL, 19.6),
  censored_case("no value lost", y1, NULL, 10),
  censored_case("most values lost", y1, NULL, 20.9),
  censored_case("limits differ", y1, NULL, rep(c(19.0, 20.3), 30)),
  censored_case("regression", y2, x2, 19.2),
  censored_case("regression, limits differ", y2, x2, ifelse(x2[, 2] == 1, 19.9, 18.6)),
  censored_case("one predictor, small sample", y2[1:20], x2[1:20, 1, drop = FALSE], 19.3)
)

# ---------------------------------------------------------------- Little's test

# Maximum-likelihood moments of the unrestricted normal model with gaps are lavaan's (EM, h1 model).
little_case <- function(name, x) {
  x <- x[rowSums(!is.na(x)) > 0, , drop = FALSE]
  colnames(x) <- paste0("v", seq_len(ncol(x)))
  moments <- lavaan:::lav_mvnorm_missing_h1_estimate_moments(
    Mp = lavaan:::lav_data_missing_patterns(x, sort.freq = FALSE, coverage = TRUE), Y = x,
    max.iter = 100000, tol = 1e-14)
  mu <- as.vector(moments$Mu); sigma <- moments$Sigma
  key <- apply(!is.na(x), 1, function(r) paste(as.integer(r), collapse = ""))
  statistic <- 0; observed <- 0
  for (k in unique(key)) {
    rows <- x[key == k, , drop = FALSE]
    have <- !is.na(rows[1, ])
    d <- colMeans(rows[, have, drop = FALSE]) - mu[have]
    statistic <- statistic + nrow(rows) * sum(d * solve(sigma[have, have, drop = FALSE], d))
    observed <- observed + sum(have)
  }
  df <- observed - ncol(x)
  list(name = name, x = x, mean = mu, covariance = sigma, statistic = statistic, df = df,
       p = pchisq(statistic, df, lower.tail = FALSE))
}
set.seed(41)
z <- matrix(rnorm(120 * 4), 120, 4) %*% chol(0.5 + 0.5 * diag(4))
z <- round(z %*% diag(c(1, 10, 0.1, 3)) + rep(c(5, 100, 0, -2), each = 120), 3)
at_random <- z; at_random[matrix(runif(480) < 0.15, 120, 4)] <- NA
driven <- z; driven[z[, 1] > 5.3, 2] <- NA; driven[z[, 4] < -3, 3] <- NA
little_cases <- list(little_case("MCAR", at_random), little_case("MAR", driven), little_case("two columns", driven[, 1:2]))

# ---------------------------------------------------------------- inverse probability weighting

# Weights and mean estimated together by the generalised method of moments, which has just as many equations as
# parameters here: its covariance is the sandwich of the stacked estimating equations, derivatives by gmm itself.
weighted_case <- function(name, y, x) {
  r <- as.numeric(!is.na(y)); filled <- ifelse(is.na(y), 0, y); design <- cbind(1, x); q <- ncol(design)
  equations <- function(theta, data) {
    chance <- as.vector(plogis(design %*% theta[1:q]))
    cbind(design * (r - chance), r * (filled - theta[q + 1]) / chance)
  }
  logistic <- glm(r ~ x, family = binomial, control = glm.control(epsilon = 1e-14, maxit = 100))
  weight <- r / fitted(logistic)
  mean <- sum(weight * filled) / sum(weight)
  theta <- c(coef(logistic), mean)
  at_root <- equations(theta, NULL)
  jacobian <- numDeriv::jacobian(function(t) colMeans(equations(t, NULL)), theta, method.args = list(r = 6))
  by_hand <- solve(jacobian) %*% (crossprod(at_root) / length(y)) %*% t(solve(jacobian)) / length(y)
  fitted_gmm <- gmm(equations, x = matrix(0, length(y), 1), t0 = theta, vcov = "iid", wmatrix = "ident",
                    control = list(reltol = 1e-14, maxit = 5000))
  wls <- summary(lm(y ~ 1, weights = 1 / fitted(logistic)))$coefficients[1, 2]
  list(name = name, y = y, x = x, mean = mean, se = sqrt(by_hand[q + 1, q + 1]),
       se_gmm = sqrt(vcov(fitted_gmm)[q + 1, q + 1]), se_weighted_least_squares = wls)
}
set.seed(51)
x5 <- round(cbind(rnorm(150), rbinom(150, 1, 0.5)), 3)
y5 <- round(20 + x5[, 1] + 0.7 * x5[, 2] + rnorm(150), 3)
y5[runif(150) < plogis(-0.8 + 0.8 * x5[, 1] + 0.9 * x5[, 2])] <- NA
weighted_cases <- list(weighted_case("two covariates", y5, x5), weighted_case("one covariate", y5, x5[, 1, drop = FALSE]),
                       weighted_case("two strata", y5, x5[, 2, drop = FALSE]))

# With strata only, weighting is post-stratification, for which the survey package has the linearised variance.
strata <- data.frame(y = y5, stratum = x5[, 2])
known <- strata[!is.na(strata$y), ]
design <- svydesign(ids = ~1, weights = rep(150 / nrow(known), nrow(known)), data = known)
post <- postStratify(design, ~stratum, as.data.frame(table(stratum = strata$stratum)))
estimate <- svymean(~y, post)
survey_case <- list(mean = as.numeric(coef(estimate)), se_within_strata = as.numeric(SE(estimate)), n_observed = nrow(known))

versions <- sapply(c("mice", "survival", "lavaan", "gmm", "survey"), function(p) as.character(packageVersion(p)))
write_json(list(versions = as.list(c(R = as.character(getRversion()), versions)), pool = pool_cases,
                pool_regression = pool_regression, draw = draw_cases, mice = mice_case, censored = censored_cases,
                little = little_cases, weighted = weighted_cases, survey = survey_case),
           commandArgs(trailingOnly = TRUE)[1], digits = 15, auto_unbox = TRUE, na = "null", matrix = "rowmajor", null = "null")
