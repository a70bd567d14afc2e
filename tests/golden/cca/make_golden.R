# Canonical correlations of base R on seeded data; see README.md. Run in this folder: Rscript make_golden.R
library(jsonlite)
set.seed(5)
shared <- matrix(rnorm(30 * 2), 30)
x <- shared %*% matrix(rnorm(8), 2) + matrix(rnorm(30 * 4), 30)
y <- shared %*% matrix(rnorm(6), 2) + matrix(rnorm(30 * 3), 30)
found <- cancor(x, y)
write_json(
  list(x = x, y = y, correlations = found$cor, x_coefficients = found$xcoef[, 1:3], y_coefficients = found$ycoef),
  "golden.json", digits = NA, pretty = FALSE
)
cat(R.version.string, "\n")
