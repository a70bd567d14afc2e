# Golden values for reference_impl/quality.py from robustbase::covMcd and rrcov::PcaHubert.
# Run: Rscript tests/golden/quality/make_golden.R tests/golden/quality/golden.json
suppressMessages({library(robustbase); library(rrcov); library(jsonlite)})
out <- commandArgs(trailingOnly = TRUE)[1]
RNGversion("4.0.0")

# Values are rounded before use, so that the JSON holds exactly the data that were analysed.
sim <- function(seed, n, p, n_bad = 0, shift = 8, spread = 0.5) {
  set.seed(seed)
  mix <- matrix(runif(p * p, -1, 1), p) + diag(p)
  x <- matrix(rnorm(n * p), n) %*% mix
  if (n_bad > 0) {
    bad <- seq_len(n_bad)
    x[bad, ] <- matrix(rnorm(n_bad * p, sd = spread), n_bad) + shift
  }
  round(sweep(x, 2, 10^(seq_len(p) %% 3 - 1), "*"), 6)
}

# nsamp is large so that the best subset found is, in all likelihood, the best there is: then starts do not matter.
mcd <- function(name, x, alpha) {
  set.seed(1)
  fit <- covMcd(x, alpha = alpha, nsamp = 20000)
  raw <- sqrt(mahalanobis(x, fit$raw.center, fit$raw.cov))
  list(name = name, x = unname(x), alpha = alpha, h = fit$quan, best = if (is.null(fit$best)) seq_len(nrow(x)) else fit$best,
       raw_location = unname(fit$raw.center), raw_covariance = unname(fit$raw.cov),
       location = unname(fit$center), covariance = unname(fit$cov),
       raw_distances = unname(raw),
       distances = unname(sqrt(mahalanobis(x, fit$center, fit$cov))))
}

cases <- list(
  mcd("univariate, 3 of 25 bad", sim(1, 25, 1, 3), 0.5),
  mcd("univariate, clean, 0.75", sim(2, 40, 1), 0.75),
  mcd("clean, n even", sim(3, 60, 3), 0.5),
  mcd("clean, n odd", sim(4, 61, 3), 0.5),
  mcd("12 of 40 bad, p = 2", sim(5, 40, 2, 12), 0.5),
  mcd("20 of 75 bad, p = 3", sim(6, 75, 3, 20), 0.5),
  mcd("20 of 75 bad, p = 3, 0.6", sim(6, 75, 3, 20), 0.6),
  mcd("20 of 100 bad, p = 5, 0.75", sim(7, 100, 5, 20), 0.75),
  mcd("5 of 101 bad, p = 4, 0.9", sim(8, 101, 4, 5), 0.9),
  mcd("4 of 50 bad, p = 3, all trusted", sim(9, 50, 3, 4), 1),
  mcd("30 of 90 bad, p = 6, 0.66", sim(10, 90, 6, 30, 15, 2), 0.66)
)

factors <- list()
for (p in c(1, 2, 3, 5, 9)) for (n in c(30, 55, 120)) for (alpha in c(0.5, 0.62, 0.875, 0.95, 1))
  factors[[length(factors) + 1]] <- list(
    n = n, p = p, alpha = alpha, h = robustbase::h.alpha.n(alpha, n, p),
    consistency = robustbase::.MCDcons(p, robustbase::h.alpha.n(alpha, n, p) / n),
    raw = robustbase::.MCDcnp2(p, n, alpha), reweighted = robustbase::.MCDcnp2.rew(p, n, alpha))

# With n <= 22 both programs look in all n(n - 1)/2 <= 250 directions: no randomness before the final MCD.
robpca <- function(name, x, k, crit = 0.975) {
  set.seed(2)
  fit <- PcaHubert(x, k = k, alpha = 0.75, mcd = FALSE, maxdir = 250, signflip = FALSE, crit.pca.distances = crit)
  list(name = name, x = unname(x), k = k, quantile = crit, score_distance = unname(fit@sd), orthogonal_distance = unname(fit@od),
       score_cutoff = fit@cutoff.sd, orthogonal_cutoff = fit@cutoff.od, outlier = unname(!fit@flag))
}
low_rank <- function(seed, n, p, k, noise, score_bad = 0, orthogonal_bad = 0) {
  set.seed(seed)
  scores <- matrix(rnorm(n * k), n) %*% diag(seq(3, 1, length.out = k), k)
  if (score_bad > 0) scores[seq_len(score_bad), 1] <- 25
  x <- scores %*% matrix(rnorm(k * p), k) + noise * matrix(rnorm(n * p), n)
  if (orthogonal_bad > 0) x[score_bad + seq_len(orthogonal_bad), ] <- x[score_bad + seq_len(orthogonal_bad), ] + 10 * noise * matrix(rnorm(orthogonal_bad * p), orthogonal_bad)
  round(x, 5)
}
pca <- list(
  robpca("more features than samples, clean", low_rank(11, 22, 40, 2, 0.3), 2),
  robpca("more features than samples, 2 + 2 bad", low_rank(12, 22, 40, 2, 0.3, 2, 2), 2),
  robpca("more samples than features, 1 + 3 bad", low_rank(13, 21, 8, 1, 0.4, 1, 3), 1),
  robpca("0.99, 0 + 4 bad", low_rank(14, 20, 60, 2, 0.2, 0, 4), 2, 0.99),
  robpca("many directions, 4 + 6 bad", low_rank(15, 60, 30, 3, 0.3, 4, 6), 3)
)

x <- sim(20, 15, 3, 2)
univariate <- list(x = unname(x), median = apply(x, 2, median), mad = apply(x, 2, mad))

writeLines(toJSON(list(
  versions = list(R = R.version.string, robustbase = as.character(packageVersion("robustbase")), rrcov = as.character(packageVersion("rrcov"))),
  univariate = univariate, factors = factors, mcd = cases, pca = pca
), digits = 15, auto_unbox = TRUE, matrix = "rowmajor"), out)
