"""A graph file as a scikit-learn estimator: it takes part in pipelines, grid searches and cross-validation.

The graph has one input, which takes the features (in its own shape: an image, say), and its first output is what is learnt: a score
for each class, or a number for each target. Where the graph has variables `features` and `outputs`, the estimator sets them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from flownet import FlownetError
from flownet.language import expand
from flownet.language import load as load_document
from flownet.network import Network, compile
from flownet.training.given_arrays import with_arrays
from flownet.training.trainer import Trainer

__all__ = ["DEFAULT_GRAPH", "FlownetClassifier", "FlownetRegressor"]

DEFAULT_GRAPH: Mapping[str, Any] = {
    "flownet": 1,
    "vars": {"features": 2, "outputs": 2},
    "inputs": {"x": "float32[N, ${features}]"},
    "nodes": [{"dense": {"units": 32}}, "relu", {"dense": {"name": "scores", "units": "$outputs"}}],
    "outputs": ["scores"],
}
"""One hidden layer of 32 units."""


class _FlownetEstimator(BaseEstimator):
    """What classifier and regressor share.

    graph:         a graph file, its dict, or None for one hidden layer of 32 units; its `train` section is not looked at
    epochs, batch: passes over the data, and examples a step
    learning_rate: of the optimiser
    optimizer:     `adam`, `sgd` or any other, or a mapping with its options: `{"sgd": {"momentum": 0.9}}`
    weight_decay:  λ of an L2 penalty λ·½Σθ² in the loss
    standardise:   subtract the features' means and divide by their standard deviations, as they were when fitted
    device:        `cpu`, `opencl`, …
    dtype:         "float64" for results that do not depend on how predictions are batched; "float32" for devices and speed
    random_state:  seeds the weights and the order of the examples
    """

    def __init__(
        self,
        graph: Path | str | Mapping[str, Any] | None = None,
        *,
        epochs: int = 60,
        batch: int = 32,
        learning_rate: float = 0.01,
        optimizer: str | Mapping[str, Any] = "adam",
        weight_decay: float = 0.0,
        standardise: bool = True,
        device: str = "cpu",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.graph = graph
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.standardise = standardise
        self.device = device
        self.dtype = dtype
        self.random_state = random_state

    # -- fitting -----------------------------------------------------------------------------------------------------

    def _fit(self, x: np.ndarray, name: str, target: np.ndarray, outputs: int, loss: str) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._mean, self._scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
        if self.standardise:
            self._mean, spread = x.mean(axis=0), x.std(axis=0)
            self._scale = np.where(spread > 0, spread, 1.0)
        self._seed = seed
        self._source, self._input, self._shape, self._scores = _made_for(self.graph, x.shape[1], outputs)
        optimizer, options = (
            next(iter(self.optimizer.items())) if isinstance(self.optimizer, Mapping) else (self.optimizer, {})
        )
        section = {
            "loss": {loss: {"in": [self._scores, name]}},
            "optimizer": {optimizer: {"learning_rate": self.learning_rate, **options}},
            "batch": min(self.batch, len(x)),
            "epochs": self.epochs,
            "seed": seed,
            **({"regularise": {"l2": self.weight_decay}} if self.weight_decay else {}),
        }
        network = self._network({**self._source, "train": section})
        fed = with_arrays(network.document.train, {self._input: self._prepared(x), name: target}, "train")
        trainer = Trainer(network.session, fed, fed.data.open())
        self.loss_curve_ = [progress.loss for progress in trainer.run() if progress.kind == "epoch"]
        self.n_iter_ = len(self.loss_curve_)
        self.weights_ = network.weights
        self._fitted_network = network

    def _network(self, source: Mapping[str, Any]) -> Network:
        document = load_document(source)
        return compile(document, device=self.device, dtype=self.dtype, seed=self._seed)

    def _prepared(self, x: np.ndarray) -> np.ndarray:
        return ((x - self._mean) / self._scale).astype(self.dtype).reshape(len(x), *self._shape)

    # -- predicting --------------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> np.ndarray:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False)
        if not hasattr(self, "_fitted_network"):  # unpickled
            self._fitted_network = self._network(self._source).bind(self.weights_)
        return self._fitted_network.run({self._input: self._prepared(x)}, fetch=[self._scores])[self._scores]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_fitted_network", None)  # devices cannot be pickled: it is made again of the weights
        return state


class FlownetClassifier(ClassifierMixin, _FlownetEstimator):
    """A network that tells classes apart, trained by cross-entropy: its outputs are a score for each class.

    classes_, weights_, loss_curve_ (the mean loss of every epoch), n_iter_ (epochs) are there after `fit`.
    """

    def fit(self, X: Any, y: Any) -> FlownetClassifier:
        """Train from the start. Raises FlownetError for a graph that does not fit, ValueError for such data."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs samples of two classes or more, got one class: {self.classes_[0]!r}")
        self._fit(X, "label", labels.astype(np.int32), len(self.classes_), "cross_entropy")
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The scores [n, classes]; for two classes [n], the second's minus the first's."""
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> np.ndarray:
        """The softmax of the scores [n, classes]."""
        scores = self._outputs(X).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        e = np.exp(scores)
        return e / e.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The class of the largest score."""
        scores = self._outputs(X)
        return self.classes_[scores.argmax(axis=1)]


class FlownetRegressor(RegressorMixin, _FlownetEstimator):
    """A network that computes numbers, trained by ½(y − y*)²; targets are standardised while it is trained.

    weights_, loss_curve_ (in standardised units), n_iter_ (epochs) are there after `fit`.
    """

    def fit(self, X: Any, y: Any) -> FlownetRegressor:
        """Train from the start. Raises FlownetError for a graph that does not fit, ValueError for such data."""
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True)
        self._is_flat = y.ndim == 1
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        self._target_mean, spread = y.mean(axis=0), y.std(axis=0)
        self._target_scale = np.where(spread > 0, spread, 1.0)
        target = ((y - self._target_mean) / self._target_scale).astype(self.dtype)
        self._fit(X, "y", target, y.shape[1], "squared_error")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The numbers, [n] for one target that was given as [n], else [n, targets]."""
        scores = self._outputs(X)
        result = scores * self._target_scale + self._target_mean
        return result[:, 0] if self._is_flat else result

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _made_for(
    graph: Path | str | Mapping[str, Any] | None, features: int, outputs: int
) -> tuple[dict[str, Any], str, tuple[int, ...], str]:
    """The graph in full form for so many features and outputs, its input's name and shape, and the value that is learnt.

    Raises FlownetError (`input-mismatch`, `output-mismatch`).
    """
    source = DEFAULT_GRAPH if graph is None else graph
    document = load_document(source)
    numbers = {"features": features, "outputs": outputs}
    overrides = [f"vars.{name}={number}" for name, number in numbers.items() if name in document.vars]
    if overrides:
        document = load_document(source, overrides=overrides)
    if len(document.graph.inputs) != 1:
        names = ", ".join(f"`{value.name}`" for value in document.graph.inputs)
        raise FlownetError.of("input-mismatch", f"an estimator feeds one input, the graph has {names}")
    (taken,) = document.graph.inputs
    shape = taken.type.shape[1:]
    if not all(isinstance(size, int) for size in shape) or math.prod(shape) != features:  # type: ignore[arg-type]
        raise FlownetError.of(
            "input-mismatch", f"the graph takes `{taken.name}`: {taken.type}, the data have {features} features",
            help="write `x: float32[N, ${features}]`, and `vars: {features: 2}`: the estimator puts the number in",
        )  # fmt: skip
    learnt = document.graph.values[next(iter(document.graph.outputs.values()))]
    if learnt.producer is not None and document.graph.nodes[learnt.producer].op.name == "softmax":
        # the loss wants scores, and predict_proba makes probabilities of them itself
        learnt = document.graph.values[document.graph.nodes[learnt.producer].inputs["x"]]
    if learnt.type.shape[1:] != (outputs,):
        raise FlownetError.of(
            "output-mismatch", f"the graph's output `{learnt.name}` is {learnt.type}, the data need [N, {outputs}]",
            help="write `units: $outputs`, and `vars: {outputs: 2}`: the estimator puts the number in",
        )  # fmt: skip
    text = expand(replace(document, train=None))
    return _plain(YAML(typ="safe", pure=True).load(text)), taken.name, shape, learnt.name  # type: ignore[return-value]


def _plain(tree: Any) -> Any:
    """The tree of dicts and lists that a text reads as, without what the reader hangs on to it."""
    if isinstance(tree, Mapping):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree
