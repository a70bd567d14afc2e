# Golden values for reference_impl/normalization.py from edgeR, limma and preprocessCore.
# Run: Rscript tests/golden/normalization/make_golden.R tests/golden/normalization/golden.json
suppressMessages({library(edgeR); library(limma); library(preprocessCore); library(jsonlite)})
out <- commandArgs(trailingOnly = TRUE)[1]
RNGversion("4.0.0")

# In R genes are rows; the file holds tables as the course does, samples in rows.
counts <- function(seed, genes, samples, mean_log = 3, sd_log = 2, size = 3) {
  set.seed(seed)
  depth <- exp(rnorm(samples, sd = 0.4))
  mu <- outer(exp(rnorm(genes, mean_log, sd_log)), depth)
  matrix(rnbinom(genes * samples, mu = mu, size = size), genes)
}

tmm <- function(name, x, ...) {
  warned <- character()
  factors <- withCallingHandlers(
    calcNormFactors(x, method = "TMM", ...),
    warning = function(w) { warned <<- c(warned, conditionMessage(w)); invokeRestart("muffleWarning") })
  c(list(name = name, counts = t(x), factors = unname(factors), warned = as.list(warned)), list(options = list(...)))
}

flooded <- counts(3, 60, 6)
flooded[1, 4:6] <- 20 * colSums(flooded)[4:6]
with_empty_genes <- counts(4, 80, 5)
with_empty_genes[c(1, 20:45), ] <- 0L
sparse <- counts(5, 90, 7, mean_log = -3, sd_log = 1.5)
sparse <- sparse[, colSums(sparse) > 0]
half_sparse <- counts(17, 60, 6); half_sparse[16:60, 1:2] <- 0L
set.seed(6)
# Few different counts, equal library sizes: most M and A are tied.
tied <- apply(matrix(rep(c(1, 2, 4, 8, 16, 32, 64), each = 6), ncol = 5, nrow = 42), 2, sample)
proportional <- outer(c(3, 10, 1, 0, 25, 7, 100), c(1, 2, 5))
almost <- proportional; almost[1, 3] <- almost[1, 3] + 1e-6
strangers <- counts(7, 30, 4); strangers[1:15, 4] <- 0L; strangers[16:30, 1:3] <- 0L
pairs_cancel <- cbind(c(10, 10, 40, 40), c(20, 20, 30, 30))
fractions <- counts(8, 70, 5) + round(matrix(runif(350), 70), 6)
one_shared <- cbind(c(5, 0, 7, 100, 20), c(8, 3, 0, 0, 0), c(4, 4, 8, 70, 30))

cases <- list(
  tmm("ordinary", counts(1, 200, 8)),
  tmm("deep, no zeros", counts(2, 150, 6, mean_log = 7, sd_log = 1)),
  tmm("one gene floods three samples", flooded),
  tmm("genes without reads in any sample", with_empty_genes),
  tmm("sparse: the upper quartile is 0, sums of square roots choose", sparse),
  tmm("upper quartile 0 in two of six samples", half_sparse),
  tmm("ties in M and A", tied),
  tmm("proportional samples", proportional),
  tmm("log ratios below 1e-6", almost),
  tmm("a sample that shares no gene", strangers),
  tmm("nothing left after the trimming", pairs_cancel),
  tmm("not whole numbers", fractions),
  tmm("one shared gene", one_shared),
  tmm("two samples", counts(9, 100, 2)),
  tmm("one sample", counts(10, 20, 1)),
  tmm("given reference", counts(1, 200, 8), refColumn = 5),
  tmm("other trims", counts(1, 200, 8), logratioTrim = 0.12, sumTrim = 0.31),
  tmm("no trim", counts(1, 200, 8), logratioTrim = 0, sumTrim = 0)
)

log_cpm <- function(name, x, prior, factors = calcNormFactors(x)) {
  y <- DGEList(x, norm.factors = factors)
  list(name = name, counts = t(x), factors = unname(factors), prior_count = prior,
       cpm = t(unname(cpm(x))), log_cpm = t(unname(cpm(y, log = TRUE, prior.count = prior))))
}
logs <- list(
  log_cpm("TMM factors", counts(1, 120, 6), 2),
  log_cpm("TMM factors, prior 0.5", counts(11, 60, 5), 0.5),
  log_cpm("no factors, zeros", counts(12, 60, 5, mean_log = 0), 2, rep(1, 5)),
  log_cpm("strong factors", flooded, 2),
  log_cpm("not whole numbers", fractions, 3)
)

intensities <- function(seed, features, samples) {
  set.seed(seed)
  round(matrix(rnorm(features * samples, 20, 2), features) + rep(rnorm(samples), each = features), 6)
}
with_gaps <- function(x, seed, share) {
  set.seed(seed)
  x[runif(length(x)) < share * rep(seq_len(ncol(x)) / ncol(x) * 2, each = nrow(x))] <- NA
  x
}
same <- function(x) { x[, 2] <- x[1, 2]; x }
quantiles <- function(name, x, other = FALSE) {
  found <- list(name = name, x = t(x), limma = t(normalizeQuantiles(x, ties = TRUE)))
  if (other) found$preprocessCore <- t(normalize.quantiles(x, keep.names = FALSE))
  found
}
distributions <- list(
  quantiles("no ties, no gaps", intensities(20, 40, 6), TRUE),
  quantiles("even number of features, two samples", intensities(21, 8, 2), TRUE),
  quantiles("ties", round(intensities(22, 50, 5)), TRUE),
  quantiles("ties over odd and even lengths", round(intensities(23, 31, 4) / 2), TRUE),
  quantiles("a sample of one value only", same(intensities(24, 12, 3)), TRUE),
  quantiles("gaps, uneven", with_gaps(intensities(25, 60, 6), 1, 0.2)),
  quantiles("gaps and ties", with_gaps(round(intensities(26, 60, 5)), 2, 0.15)),
  quantiles("two measured values", { x <- intensities(27, 9, 3); x[3:9, 2] <- NA; x }),
  quantiles("one sample", intensities(28, 10, 1)),
  quantiles("one sample with gaps", with_gaps(intensities(29, 10, 1), 3, 0.2))
)

set.seed(30)
raw <- matrix(round(rlnorm(31 * 5, 8, 1), 3), 31) * rep(c(1, 2, 0.5, 3, 1.2), each = 31)
medians <- list(raw = t(raw), normalized = t(normalizeMedianValues(raw)))

versions <- list(R = R.version.string, edgeR = as.character(packageVersion("edgeR")),
                 limma = as.character(packageVersion("limma")),
                 preprocessCore = as.character(packageVersion("preprocessCore")))
write_json(list(versions = versions, tmm = cases, log_cpm = logs, quantiles = distributions, medians = medians),
           out, digits = NA, auto_unbox = TRUE, na = "null", null = "null")
