"""A multimodal variational autoencoder: one hidden position per sample, told by whichever layers it has.

Each layer has an encoder, which says where a sample lies in a latent space and how sure it is, and a decoder, which
says what the layer looks like there. The opinions are multiplied (product of experts, the prior among them), so that a
layer that is missing simply says nothing. Training maximises a lower bound of the evidence:

    log p(x) ≥ E_q [ Σ_m log p(x_m | z) ] − KL( q(z | x) ‖ N(0, I) )

where q may be the product of all experts that a sample has, or the product of the prior and one of them: both are
bounds of the same evidence. Without the second kind no encoder ever learns to speak alone, and a missing layer cannot
be filled.

The package reads as the unit teaches it:

- `bound`: the pieces of the bound (`product_of_experts`, `kl_divergence`, the likelihoods, `elbo`);
- `gradients`: the derivative of each piece;
- `network`: encoders and decoders, and the gradient of the whole bound put together from those pieces;
- `training`: Adam, mini-batches, early stopping;
- `tables`: how tables become what the network reads;
- `model`: `MultimodalVAE`, and `IndependentAutoencoders` to compare it with;
- `study`: two small worlds in which a layer is missing, and who fills it best.

Everything is NumPy, with gradients written out by hand: at the size of a course (hundreds of samples, thousands of
features) that is faster than a framework, and can be read. Rows are samples. Following Wu & Goodman 2018 (NeurIPS) and,
for counts, Lopez et al. 2018 (Nature Methods 15:1053) and Minoura et al. 2021 (Cell Reports Methods 1:100071).
"""

from reference_impl.integration.mvae.bound import (
    elbo,
    gaussian_log_likelihood,
    kl_divergence,
    negative_binomial_log_likelihood,
    product_of_experts,
)
from reference_impl.integration.mvae.gradients import (
    gaussian_gradient,
    negative_binomial_gradient,
    posterior_gradient,
    product_gradient,
)
from reference_impl.integration.mvae.model import IndependentAutoencoders, MultimodalVAE
from reference_impl.integration.mvae.study import (
    compare_imputers,
    feature_correlations,
    linear_layers,
    nonlinear_layers,
)
from reference_impl.integration.mvae.training import adam_step

__all__ = [
    "IndependentAutoencoders",
    "MultimodalVAE",
    "adam_step",
    "compare_imputers",
    "elbo",
    "feature_correlations",
    "gaussian_gradient",
    "gaussian_log_likelihood",
    "kl_divergence",
    "linear_layers",
    "negative_binomial_gradient",
    "negative_binomial_log_likelihood",
    "nonlinear_layers",
    "posterior_gradient",
    "product_gradient",
    "product_of_experts",
]
