"""Factors and explained variance from mofapy2, the authors' implementation; see README.md."""

from pathlib import Path

import numpy as np
from mofapy2.run.entry_point import entry_point  # not in the project's environment

HERE = Path(__file__).parent
ACTIVE = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])  # layers × factors


def planted(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Three layers of 80 samples: one factor for all, one for each; a quarter of the samples miss the third."""
    factors = rng.normal(size=(80, 4))
    layers = {}
    for number, (width, active) in enumerate(zip((60, 50, 40), ACTIVE, strict=True)):
        weights = rng.normal(size=(width, 4)) * (rng.random((width, 4)) < 0.6) * active
        layers[f"layer_{number}"] = factors @ weights.T + rng.normal(size=(80, width))
    layers["layer_2"][rng.choice(80, size=20, replace=False)] = np.nan
    return layers


def main() -> None:
    layers = planted(np.random.default_rng(11))
    model = entry_point()
    model.set_data_options(scale_views=False)
    model.set_data_matrix([[layer] for layer in layers.values()])
    model.set_model_options(factors=8, spikeslab_weights=True, ard_weights=True)
    model.set_train_options(iter=5000, convergence_mode="slow", dropR2=0.02, seed=1)
    model.build()
    model.run()
    nodes = model.model.nodes
    found = {"factors": nodes["Z"].getExpectation(), "explained": model.model.calculate_variance_explained()[0]}
    np.savez_compressed(HERE / "golden.npz", **layers, **found)


if __name__ == "__main__":
    main()
