"""What snfpy 0.2.2 makes of the three layers in snf.npz, beside the numbers recorded there.

Run from the repository's root in an environment of its own; snfpy needs an older scikit-learn than the project:

    uv run --no-project --python 3.11 --with snfpy==0.2.2 --with 'scikit-learn<1.4' --with 'numpy<2' \
        python tests/golden/snf/make_golden.py FOLDER

It writes layer1.csv, layer2.csv and layer3.csv into FOLDER for make_golden.R, prints the largest differences from the
recorded numbers, and ends with exit code 1 if one is above 1e-9.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import snf  # type: ignore[import-not-found]  # not in the project's environment

RECORDED = Path(__file__).parent / "snf.npz"
K, MU, ITERATIONS = 20, 0.5, 20


def z_scores(layer: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1 (divisor n − 1), as `standardNormalization` of SNFtool."""
    return (layer - layer.mean(axis=0)) / layer.std(axis=0, ddof=1)


def main(folder: Path) -> int:
    recorded = np.load(RECORDED)
    layers = [recorded[f"layer{number}"] for number in (1, 2, 3)]
    for number, layer in enumerate(layers, start=1):
        np.savetxt(folder / f"layer{number}.csv", layer, delimiter=",", fmt="%.17g")
    affinities = [
        snf.make_affinity(z_scores(layer), metric="sqeuclidean", K=K, mu=MU, normalize=False) for layer in layers
    ]
    made = {
        "affinity_layer1_k20_mu05": affinities[0],
        "fused_snfpy_k20_t20": snf.snf(affinities, K=K, t=ITERATIONS),
    }
    differences = {name: float(np.abs(values - recorded[name]).max()) for name, values in made.items()}
    for name, difference in differences.items():
        print(f"{name}: largest difference {difference:.1e}")
    return int(max(differences.values()) > 1e-9)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
