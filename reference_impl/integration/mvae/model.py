"""The multimodal autoencoder as an estimator, and autoencoders that never met, to compare it with."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from reference_impl.integration.layers import require_known_features, require_some_layer, whole_matrix
from reference_impl.integration.mvae.bound import product_of_experts
from reference_impl.integration.mvae.network import Batch, Network
from reference_impl.integration.mvae.tables import LIKELIHOODS, Form, batch, form, read
from reference_impl.integration.mvae.training import Plan, fixed_noise, train
from reference_impl.validation import as_matrix, labels, require_between, require_integer, require_number


class MultimodalVAE(TransformerMixin, BaseEstimator):
    """Multimodal variational autoencoder with a product of experts.

    Parameters
    ----------
    latent : dimensions of the latent space
    hidden : units of the one hidden layer of each encoder and decoder (tanh)
    likelihoods : dict layer → "gaussian" (standardised inside; the default) or "negative_binomial" (counts)
    decoder : "mlp", or "linear", whose weights can be read
    masks : dict layer → (n_features, latent) bool, with a linear decoder: which feature may depend on which dimension,
        for example by pathway
    single_layer_terms : also train every encoder to speak alone; needed to fill in a missing layer
    beta : weight of the KL divergence; only 1 gives a bound of the evidence
    epochs, batch_size, learning_rate : of Adam
    validation_fraction : share of samples held out to watch for overfitting; 0 for none
    patience : epochs without a better bound on the samples held out after which training stops
    dtype : "float32", or "float64" for checking
    progress : write one line to standard error that follows the training
    random_state : seed of weights, batches and draws

    Attributes
    ----------
    latent_ : (n_samples, latent) DataFrame or array, posterior means of the samples fitted
    history_ : DataFrame[loss, validation_bound], one row per epoch; in nats per sample
    n_parameters_ : int

    Notes
    -----
    The latent axes mean nothing by themselves: if the posterior and the decoders are rotated together, every bound is
    the same. A linear decoder with masks gives them meaning.

    Single-layer terms: each sample is also encoded from each of its layers alone, and must explain all of them.

    Memory: at its peak `fit` takes twice the layers (as float64) and six copies of the parameters.

    References
    ----------
    Kingma & Welling 2014, ICLR; Wu & Goodman 2018, NeurIPS

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(100, 2))
    >>> layers = {"rna": z @ rng.normal(size=(2, 30)) + 0.3 * rng.normal(size=(100, 30)),
    ...           "protein": z @ rng.normal(size=(2, 20)) + 0.3 * rng.normal(size=(100, 20))}
    >>> model = MultimodalVAE(latent=2, hidden=16, epochs=60).fit(layers)
    >>> filled = model.impute({"rna": layers["rna"]})["protein"]
    >>> bool(np.mean((filled - layers["protein"]) ** 2) < 0.5 * layers["protein"].var())
    True
    """

    def __init__(
        self,
        latent: int = 10,
        *,
        hidden: int = 64,
        likelihoods: dict[str, str] | None = None,
        decoder: str = "mlp",
        masks: dict[str, Any] | None = None,
        single_layer_terms: bool = True,
        beta: float = 1.0,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        validation_fraction: float = 0.1,
        patience: int = 30,
        dtype: str = "float32",
        progress: bool = False,
        random_state: int = 0,
    ) -> None:
        self.latent = latent
        self.hidden = hidden
        self.likelihoods = likelihoods
        self.decoder = decoder
        self.masks = masks
        self.single_layer_terms = single_layer_terms
        self.beta = beta
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.dtype = dtype
        self.progress = progress
        self.random_state = random_state

    def fit(self, layers: Any, y: Any = None) -> MultimodalVAE:  # noqa: ARG002 (scikit-learn passes y)
        """Train on the layers. A training that is interrupted or fails leaves the model as it was.

        Parameters
        ----------
        layers : dict or list of (n_samples, n_features) DataFrames or arrays; NaN where nothing was measured
            DataFrames are matched by label, and one may lack samples that others have; arrays have a row for each.
        y : ignored

        Raises
        ------
        ValueError : a bad parameter, a sample without any layer, a feature that never varies, values that are no
            counts, a training that diverged

        Warns
        -----
        ConvergenceWarning : the bound on the samples held out was still rising when the epochs ran out
        """
        named, samples, n_samples = read(layers)
        self._check_parameters(named)
        kinds = self.likelihoods or {}
        forms = {name: form(name, table, samples, kinds.get(name, "gaussian")) for name, table in named.items()}
        network = self._make_network(forms)
        whole = batch(forms, named, samples, n_samples, self.dtype)
        require_some_layer(whole.present, samples)
        vector, history = train(network, whole, Plan(**{name: getattr(self, name) for name in Plan._fields}))
        self._forms, self._network, self._vector = forms, network, vector
        self.history_, self.n_parameters_ = history, network.n_parameters
        self.latent_ = self._labelled(self._posterior(whole)[0], samples)
        return self

    def encode(self, layers: Any) -> tuple[Any, Any]:
        """Posterior mean and log-variance of samples, (n_samples, latent) each, from whichever layers they have.

        Raises
        ------
        ValueError : a layer or features that the model does not know, a sample without any layer
        """
        seen, samples = self._batch_of(layers)
        mean, log_variance = self._posterior(seen)
        return self._labelled(mean, samples), self._labelled(log_variance, samples)

    def transform(self, layers: Any) -> Any:
        """Posterior means of samples, (n_samples, latent)."""
        return self.encode(layers)[0]

    def decode(self, z: Any, *, totals: Any = None) -> dict[str, Any]:
        """What every layer is expected to look like at latent positions, in the layers' own units.

        Parameters
        ----------
        z : (n, latent) DataFrame or array
        totals : dict layer → number or (n,), total counts of negative binomial layers; 1 gives shares

        Returns
        -------
        dict of (n, n_features) tables

        Raises
        ------
        ValueError : z has another number of columns
        """
        check_is_fitted(self, "n_parameters_")
        position = as_matrix(z, "z")
        if position.shape[1] != self.latent:
            raise ValueError(f"z must have {self.latent} columns, one per latent dimension; got {position.shape[1]}")
        weights = self._network.parts(self._vector)
        found = {}
        for m, (name, told) in enumerate(self._forms.items()):
            hidden = self._network.unfold(weights, m, position.astype(self.dtype))
            out = self._network.decode(weights, m, hidden).astype(float)
            if told.likelihood == "gaussian":
                values = out * told.scale + told.centre
            else:
                share = np.exp(out - logsumexp(out, axis=1, keepdims=True))
                total = np.broadcast_to((totals or {}).get(name, 1.0), len(out))
                values = share * total[:, None]
            labelled = isinstance(z, pd.DataFrame)
            found[name] = pd.DataFrame(values, index=z.index, columns=told.features) if labelled else values
        return found

    def impute(self, layers: Any) -> dict[str, Any]:
        """Every layer of the model for every sample: measured values as they are, the rest as decoded from the others.

        Counts that were not measured are filled for a sample of the layer's median total.

        Raises
        ------
        ValueError : as for `encode`
        """
        named, samples, _ = read(layers)
        decoded = self.decode(self.transform(layers), totals={name: told.total for name, told in self._forms.items()})
        for name, table in named.items():
            matrix = whole_matrix(name, table, samples)
            filled = np.where(np.isnan(matrix), np.asarray(decoded[name]), matrix)
            decoded[name] = filled if samples is None else pd.DataFrame(filled, index=samples, columns=table.columns)
        return decoded

    def score(self, layers: Any, y: Any = None) -> float:  # noqa: ARG002 (scikit-learn passes y)
        """Mean evidence bound of samples in nats, features in standard units; with fixed draws, so that it repeats."""
        seen, _ = self._batch_of(layers)
        noise = fixed_noise(seen.present.shape[1], self.latent, self.random_state, self.dtype)
        return self._network.bound(self._vector, seen, noise)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to one file (.npz) that holds numbers and text only, never code.

        What belongs to the training samples, `latent_` and `history_`, is not written.

        Raises
        ------
        ValueError : names of features that are neither all words nor all whole numbers
        """
        check_is_fitted(self, "n_parameters_")
        layers, arrays = [], {"vector": self._vector}
        for m, (name, told) in enumerate(self._forms.items()):
            about = {"name": name, "likelihood": told.likelihood, "total": told.total}
            layers.append(about | {"features": _plain(told.features, name)})
            arrays |= {f"centre_{m}": told.centre, f"scale_{m}": told.scale}
            mask = self._network.masks[m]
            if mask is not None:
                arrays[f"mask_{m}"] = mask.T.astype(bool)
        text = json.dumps({"parameters": self.get_params() | {"masks": None}, "layers": layers})
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(text), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> MultimodalVAE:
        """Read a model that `save` wrote. Nothing in the file is run: no pickle is opened.

        Raises
        ------
        ValueError : the file is no such model
        FileNotFoundError : it is not there
        """
        try:
            arrays = _stored_arrays(path)
            told = json.loads(str(arrays["about"]))
            return cls(**told["parameters"])._restored(told["layers"], arrays)
        except (KeyError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as problem:
            raise ValueError(f"{path} is not a model that MultimodalVAE.save wrote: {problem}") from None

    def _restored(self, layers: list[dict[str, Any]], arrays: dict[str, np.ndarray]) -> MultimodalVAE:
        """Take over what a file says of the layers, checked as if it were new."""
        forms, masks = {}, {}
        for m, told in enumerate(layers):
            name, features = str(told["name"]), pd.Index(told["features"])
            centre, scale = (_numbers(arrays[f"{part}_{m}"], (len(features),), part) for part in ("centre", "scale"))
            forms[name] = Form(features, str(told["likelihood"]), centre, scale, float(told["total"]))
            if f"mask_{m}" in arrays:
                masks[name] = arrays[f"mask_{m}"]
        self.masks = masks or None
        self._check_parameters(forms)
        self._forms, self._network = forms, self._make_network(forms)
        self.n_parameters_ = self._network.n_parameters
        self._vector = _numbers(arrays["vector"], (self.n_parameters_,), "vector").astype(self.dtype)
        return self

    def _check_parameters(self, named: dict[str, Any]) -> None:
        for name in ("latent", "hidden", "epochs", "batch_size", "patience"):
            require_integer(getattr(self, name), name)
        require_integer(self.random_state, "random_state", at_least=0)
        require_number(self.beta, "beta", low=0)
        require_between(self.learning_rate, "learning_rate", 0, 1)
        require_number(self.validation_fraction, "validation_fraction", low=0, high=0.5)
        if self.decoder not in ("mlp", "linear"):
            raise ValueError(f'decoder must be "mlp" or "linear"; got {self.decoder!r}')
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64"; got {self.dtype!r}')
        for option in ("likelihoods", "masks"):
            for name in getattr(self, option) or {}:
                if name not in named:
                    raise ValueError(f"{option} names layer {name!r}; the layers are {', '.join(named)}")
        for name, kind in (self.likelihoods or {}).items():
            if kind not in LIKELIHOODS:
                raise ValueError(f"the likelihood of {name} must be one of {', '.join(LIKELIHOODS)}; got {kind!r}")
        if self.masks and self.decoder != "linear":
            raise ValueError('masks need decoder="linear": in a network of hidden units no weight belongs to a pathway')

    def _make_network(self, forms: dict[str, Form]) -> Network:
        return Network(
            [len(told.features) for told in forms.values()],
            [told.likelihood for told in forms.values()],
            latent=self.latent,
            hidden=self.hidden,
            linear=self.decoder == "linear",
            masks=[self._mask(name, told.features) for name, told in forms.items()],
            beta=self.beta,
            single_layer_terms=self.single_layer_terms,
        )

    def _mask(self, name: str, features: pd.Index) -> np.ndarray | None:
        mask = (self.masks or {}).get(name)
        if mask is None:
            return None
        matrix = np.asarray(mask)
        if matrix.shape != (len(features), self.latent) or matrix.dtype != bool:
            raise ValueError(
                f"the mask of {name} must be features × latent, {(len(features), self.latent)}, of True and False; "
                f"got {matrix.shape} of {matrix.dtype}"
            )
        if isinstance(mask, pd.DataFrame) and not mask.index.equals(features):
            raise ValueError(f"the rows of the mask of {name} must be the features of the layer, in their order")
        return matrix.T.astype(self.dtype)

    # What the fitted model knows

    def _batch_of(self, layers: Any) -> tuple[Batch, pd.Index | None]:
        check_is_fitted(self, "n_parameters_")
        named, samples, n_samples = read(layers)
        require_known_features(named, {name: told.features for name, told in self._forms.items()})
        seen = batch(self._forms, named, samples, n_samples, self.dtype)
        require_some_layer(seen.present, samples)
        return seen, samples

    def _posterior(self, seen: Batch) -> tuple[np.ndarray, np.ndarray]:
        _, means, log_variances = self._network.experts(self._network.parts(self._vector), seen)
        mean, log_variance = product_of_experts(means, log_variances, seen.present)
        return mean.astype(float), log_variance.astype(float)

    def _labelled(self, table: np.ndarray, samples: pd.Index | None) -> Any:
        if samples is None:
            return table
        return pd.DataFrame(table, index=samples, columns=[f"Latent{k + 1}" for k in range(self.latent)])


class IndependentAutoencoders(TransformerMixin, BaseEstimator):
    """One autoencoder per layer, which know nothing of each other: what the multimodal one is to be compared with.

    Parameters
    ----------
    latent : dimensions of each layer's latent space
    options : dict of further parameters of `MultimodalVAE`

    Attributes
    ----------
    models_ : dict layer → MultimodalVAE of that layer alone

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layers = {"rna": rng.normal(size=(40, 6)), "protein": rng.normal(size=(40, 5))}
    >>> IndependentAutoencoders(latent=2, options={"epochs": 3}).fit(layers).transform(layers).shape
    (40, 4)
    """

    def __init__(self, latent: int = 10, options: dict[str, Any] | None = None) -> None:
        self.latent = latent
        self.options = options

    def fit(self, layers: Any, y: Any = None) -> IndependentAutoencoders:  # noqa: ARG002 (scikit-learn passes y)
        """Train one model per layer on the samples that have it.

        Raises
        ------
        ValueError : as for `MultimodalVAE.fit`, or an option for a layer that is not there
        """
        named, samples, _ = read(layers)
        options = self.options or {}
        for part in ("likelihoods", "masks"):
            for name in options.get(part) or {}:
                if name not in named:
                    raise ValueError(f"{part} names layer {name!r}; the layers are {', '.join(named)}")
        self.models_ = {}
        for name, table in named.items():
            own = dict(options)
            for part in ("likelihoods", "masks"):
                if own.get(part) is not None:
                    own[part] = {key: value for key, value in own[part].items() if key == name} or None
            present, _ = self._present(name, table, samples)
            self.models_[name] = MultimodalVAE(self.latent, **own).fit({name: present})
        return self

    def transform(self, layers: Any) -> Any:
        """All layers' latent positions side by side; 0, the prior's mean, where a sample lacks a layer."""
        check_is_fitted(self, "models_")
        named, samples, n_samples = read(layers)
        require_known_features(named, {name: model._forms[name].features for name, model in self.models_.items()})
        parts = []
        for name, model in self.models_.items():
            part = np.zeros((n_samples, self.latent))
            if name in named:
                present, rows = self._present(name, named[name], samples)
                if len(rows):
                    part[rows] = np.asarray(model.transform({name: present}))
            parts.append(part)
        together = np.hstack(parts)
        if samples is None:
            return together
        names = [f"{name} {k + 1}" for name in self.models_ for k in range(self.latent)]
        return pd.DataFrame(together, index=samples, columns=names)

    def impute(self, layers: Any) -> dict[str, Any]:
        """Every layer for every sample; a layer that a sample lacks is what the prior's mean decodes to.

        No other layer can say more, since the models never met.
        """
        named, samples, _ = read(layers)
        position = np.asarray(self.transform(layers))
        found = {}
        for m, (name, model) in enumerate(self.models_.items()):
            mine = position[:, m * self.latent : (m + 1) * self.latent]
            told = model._forms[name]
            values = np.asarray(model.decode(mine, totals={name: told.total})[name])
            if name in named:
                matrix = whole_matrix(name, named[name], samples)
                values = np.where(np.isnan(matrix), values, matrix)
            found[name] = values if samples is None else pd.DataFrame(values, index=samples, columns=told.features)
        return found

    @staticmethod
    def _present(name: str, table: Any, samples: pd.Index | None) -> tuple[pd.DataFrame, np.ndarray]:
        """The samples that have the layer, with its features' names, and their rows among all samples."""
        matrix = whole_matrix(name, table, samples)
        rows = np.flatnonzero(~np.isnan(matrix).all(axis=1))
        return pd.DataFrame(matrix[rows], columns=labels(table, 1)), rows


# --- Files -----------------------------------------------------------------------------------------------------------


def _stored_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a file as `save` writes it: not compressed, so that none becomes larger than the file."""
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise ValueError("its parts are compressed")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _numbers(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} must hold {shape} finite numbers; got {array.shape} of {array.dtype}")
    return array


def _plain(features: pd.Index, name: str) -> list[Any]:
    """Labels as JSON can hold them."""
    if all(isinstance(feature, str) for feature in features):
        return [str(feature) for feature in features]
    if all(isinstance(feature, (int, np.integer)) for feature in features):
        return [int(feature) for feature in features]
    raise ValueError(f"the features of {name} must be all words or all whole numbers to be saved")
