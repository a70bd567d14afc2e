# What SNFtool 2.3.1 makes of the three layers in snf.npz.
#
#     Rscript tests/golden/snf/make_golden.R FOLDER
#
# FOLDER holds layer1.csv, layer2.csv and layer3.csv, which make_golden.py wrote there; affinity_layer1_k20_mu05.csv and
# fused_snftool_k20_t20.csv are written beside them.

library(SNFtool)
stopifnot(packageVersion("SNFtool") == "2.3.1")

folder <- commandArgs(trailingOnly = TRUE)[1]

affinities <- lapply(1:3, function(number) {
  layer <- as.matrix(read.csv(file.path(folder, paste0("layer", number, ".csv")), header = FALSE))
  z <- standardNormalization(layer)
  affinityMatrix(dist2(z, z), K = 20, sigma = 0.5)
})
fused <- SNF(affinities, K = 20, t = 20)

save_matrix <- function(values, name) {
  digits <- matrix(sprintf("%.17g", values), nrow(values))
  write.table(digits, file.path(folder, name), sep = ",", quote = FALSE, row.names = FALSE, col.names = FALSE)
}
save_matrix(affinities[[1]], "affinity_layer1_k20_mu05.csv")
save_matrix(fused, "fused_snftool_k20_t20.csv")
