"""cross_entropy: how surprised a softmax is by its target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flownet.errors import FlownetError
from flownet.op import Op, Sample
from flownet.ops.loss.class_labels import check_scores_and_labels, counted_labels
from flownet.ops.loss.reduction import Reduction, check_reduction, reduced_loss_type
from flownet.ops.requirements import bad_attribute, mismatch, require_float
from flownet.types import Dim, TensorType

__all__ = ["CrossEntropy"]


@dataclass(frozen=True)
class CrossEntropy(Op):
    """−log of the probability that softmax gives to the target's class, averaged over the examples, or over their pixels.

    Targets are class numbers, or distributions q over the classes (soft targets): ℓ = −Σ_c q_c · log softmax(logits)_c.

    reduction:       `mean` (see below), `sum`, or `none`, which gives one number an example or pixel
    ignore_index:    a class number that does not count, in loss, gradient and mean: pixels that nobody labelled
    class_weights:   a factor for each class: ℓ = −Σ_c weight_c · q_c · log softmax(logits)_c
    label_smoothing: ε: a class number t counts as the distribution (1 − ε)·[c = t] + ε / classes, so does a soft target

    `mean` is PyTorch's: of class numbers Σ ℓ / Σ weight_t over those that are not ignored (0 if there are none), of soft targets
    Σ ℓ divided by the number of examples and pixels.
    Shapes: logits float32[n, classes] or float32[n, classes, h, w], target int32[n] or int32[n, h, w] (any integers), or float32
    of the logits' shape -> float32[], with `none` float32[n] or float32[n, h, w].
    Gradient: dlogits = (softmax(logits)·Σ_c q_c − q) · dy / (what the mean divides by), q with its weights; dtarget = −weight ·
    log softmax(logits) likewise. Kept: logits and target.
    Numerical care: the largest logit is subtracted first, and log softmax is computed as such: exact for logits of ±1e4.
    Errors: `label-range` while running, for a class number that the logits have not.
    Source: Bridle 1990; label smoothing, Szegedy et al. 2015, "Rethinking the inception architecture", section 7.
    """

    reduction: Reduction = "mean"
    ignore_index: int | None = None
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    name = "cross_entropy"
    category = "loss"
    differentiable = ("logits",)
    class_numbers = {"target": "logits"}

    def checked(self) -> None:
        check_reduction(self.name, self.reduction)
        if not 0 <= self.label_smoothing <= 1:
            raise bad_attribute(self.name, "label_smoothing", "from 0 to 1", self.label_smoothing)
        if self.class_weights is not None and not all(weight >= 0 for weight in self.class_weights):
            raise bad_attribute(self.name, "class_weights", "at least 0", list(self.class_weights))

    def infer(self, logits: TensorType, target: TensorType) -> TensorType:
        require_float(self.name, logits=logits)
        if target.dtype.is_float and target.rank == logits.rank:
            require_float(self.name, logits=logits, target=target)
            if logits.rank < 2 or target.shape != logits.shape:
                raise mismatch(
                    self.name, "logits [n, classes, …] and soft targets of one shape", f"{logits} and {target}"
                )
            if self.ignore_index is not None:
                raise FlownetError.of(
                    "bad-attribute", f"`ignore_index` of `{self.name}` is about class numbers, the targets are {target}"
                )
        else:
            check_scores_and_labels(self.name, logits, target)
        classes = logits.shape[1]
        if self.class_weights is not None and isinstance(classes, int) and len(self.class_weights) != classes:
            raise mismatch(
                self.name, f"as many classes as `class_weights`, which are {len(self.class_weights)}", logits
            )
        return reduced_loss_type(self.reduction, logits.with_shape(logits.shape[0], *logits.shape[2:]))

    def forward(self, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
        log_probability = _log_softmax(logits)
        if target.dtype.kind == "f" or self.label_smoothing:
            q, divisor = self._distribution(logits, target)
            each = -np.einsum("nc...,nc...->n...", q, log_probability)
        else:
            label, weights, divisor = self._labels(logits, target)
            each = -log_probability[_places(label)]
            if weights is not None:
                each *= weights
        if self.reduction == "none":
            return each
        return each.sum(dtype=each.dtype) / divisor

    def backward(self, logits: np.ndarray, target: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dx = _softmax(logits)
        if target.dtype.kind == "f" or self.label_smoothing:
            q, divisor = self._distribution(logits, target)
            dx *= q.sum(1, keepdims=True)
            dx -= q
            weights = None
        else:
            label, weights, divisor = self._labels(logits, target)
            dx[_places(label)] -= 1
        scale = dy / divisor
        if weights is not None:
            scale = scale * weights
        dx *= scale[:, None] if scale.ndim else scale
        return dx

    def backward_target(self, logits: np.ndarray, target: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Of soft targets only: class numbers have no gradient."""
        _, divisor = self._distribution(logits, target)
        scale = (dy / divisor) * logits.dtype.type(self.label_smoothing - 1)
        return _log_softmax(logits) * self._weights(logits) * (scale[:, None] if scale.ndim else scale)

    def flops(self, logits: TensorType) -> Dim:
        return 5 * logits.size

    def _labels(self, logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.floating]:
        """(class numbers, the weight of each example or None for 1, what the sum is divided by)."""
        label, counted = counted_labels(self.name, target, logits.shape[1], self.ignore_index)
        weights = None
        if self.class_weights is not None:
            weights = np.asarray(self.class_weights, logits.dtype)[label]
        if counted is not None:
            weights = counted.astype(logits.dtype) if weights is None else weights * counted
        if self.reduction != "mean":
            return label, weights, logits.dtype.type(1)
        total = label.size if weights is None else weights.sum(dtype=np.float64)
        return label, weights, logits.dtype.type(total if total > 0 else 1)

    def _distribution(self, logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.floating]:
        """(q of every class, with smoothing and weights; what the sum is divided by)."""
        classes, smoothing = logits.shape[1], logits.dtype.type(self.label_smoothing)
        if target.dtype.kind == "f":
            q, counted = target * (1 - smoothing), None
            divisor = logits.dtype.type(max(target.size // max(classes, 1), 1) if self.reduction == "mean" else 1)
        else:
            label, _, divisor = self._labels(logits, target)
            _, counted = counted_labels(self.name, target, classes, self.ignore_index)
            q = np.zeros_like(logits, order="C")
            q[_places(label)] = 1 - smoothing
        q += smoothing / logits.dtype.type(max(classes, 1))
        q *= self._weights(logits)
        if counted is not None:
            q *= counted[:, None]
        return q, divisor

    def _weights(self, logits: np.ndarray) -> np.ndarray:
        """The weights of the classes, so that they broadcast to the logits."""
        weights = self.class_weights if self.class_weights is not None else (1.0,) * logits.shape[1]
        return np.asarray(weights, logits.dtype).reshape(-1, *(1,) * (logits.ndim - 2))

    @classmethod
    def samples(cls) -> Iterable[Sample]:
        log2, log3 = 0.6931471805599453, 1.0986122886681098
        # probabilities ½, ¼, ¼ and ⅓, ⅓, ⅓
        logits = [[log2, 0.0, 0.0], [5.0, 5.0, 5.0]]
        label = np.array([0, 2], np.int32)
        yield Sample(cls(), {"logits": logits, "target": label}, {"y": (log2 + log3) / 2})
        yield Sample(cls("sum"), {"logits": logits, "target": label}, {"y": log2 + log3})
        yield Sample(cls("none", ignore_index=2), {"logits": logits, "target": label}, {"y": [log2, 0.0]})
        yield Sample(cls("none"), {"logits": logits, "target": [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]}, {"y": [1.5 * log2, log3]},
                     note="soft targets")  # fmt: skip
        yield Sample(
            cls(class_weights=(3.0, 1.0, 1.0)), {"logits": logits, "target": label}, {"y": (3 * log2 + log3) / 4}
        )
        yield Sample(cls("sum", label_smoothing=0.75), {"logits": logits, "target": label}, {"y": 1.5 * log2 + log3})
        pixels = {"logits": [[[[log2, 1e4]], [[0.0, -1e4]], [[0.0, 9e3]]]], "target": np.array([[[255, 2]]], np.int32)}
        yield Sample(cls(ignore_index=255), pixels, {"y": 1000.0}, note="per pixel, one of them not labelled; no overflow")  # fmt: skip


def _places(label: np.ndarray) -> tuple[np.ndarray, ...]:
    """The index of each example's or pixel's label in the scores: NumPy's `…_along_axis` take 5 µs to find the same."""
    n, *inside = np.ogrid[tuple(map(slice, label.shape))] if label.ndim > 1 else (np.arange(label.size),)
    return n, label, *inside


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    z = logits - logits.max(1, keepdims=True, initial=-np.inf)
    z -= np.log(np.exp(z).sum(1, keepdims=True, dtype=z.dtype))
    return z


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = logits - logits.max(1, keepdims=True, initial=-np.inf)
    np.exp(e, out=e)
    e /= e.sum(1, keepdims=True, dtype=e.dtype)
    return e
