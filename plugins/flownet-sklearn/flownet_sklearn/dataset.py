"""scikit-learn's toy datasets and generators by the name of their function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn.datasets

from flownet import FlownetError
from flownet.data.dataset import DataRoot, Dataset, Field, Splits
from flownet.data.preparation import hold_out
from flownet.data.split import ArraySplit
from flownet.errors import near_names
from flownet.types import DType

__all__ = ["Sklearn"]

_LOADERS = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
_MAKERS = (
    "blobs", "circles", "classification", "friedman1", "friedman2", "friedman3", "gaussian_quantiles", "hastie_10_2", "moons",
    "multilabel_classification", "regression", "s_curve", "sparse_uncorrelated", "swiss_roll",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sklearn(Dataset):
    """`x` float32[features]; `label` int32 for classes, and for two of them also `y` float32[1]; `y` float32[targets] for numbers.

    which:   what `load_…` or `make_…` of `sklearn.datasets` is called: `wine`, `diabetes`, `moons`, `friedman1`, …
    samples: of a generator, how many examples
    noise:   of a generator that has it
    seed:    of a generator
    test:    the part held out for testing, a fraction or a number
    """

    name = "sklearn"
    summary = "scikit-learn's toy datasets and generators: wine, diabetes, moons, friedman1, …"
    licence = "as scikit-learn states for each; generated ones are nobody's"
    source = "Pedregosa et al. 2011, scikit-learn"

    which: str = "wine"
    samples: int = 200
    noise: float | None = None
    seed: int = 0
    test: int | float = 0.2

    def read(self, root: DataRoot) -> Splits:
        x, y, classes = self._arrays()
        arrays = {"x": x.astype(np.float32)}
        fields = {"x": Field(DType.float32, x.shape[1:])}
        if classes is None:
            y = y.reshape(len(y), -1)
            arrays["y"] = y.astype(np.float32)
            fields["y"] = Field(DType.float32, y.shape[1:])
        else:
            arrays["label"] = y.astype(np.int32)
            fields["label"] = Field(DType.int32, (), "label", classes)
            if len(classes) == 2:
                arrays["y"] = y.astype(np.float32)[:, None]
                fields["y"] = Field(DType.float32, (1,), range=(0, 1))
        whole = ArraySplit(arrays, fields, files=dict.fromkeys(fields, f"sklearn.datasets, `{self.which}`"))
        if not self.test:
            return {"train": whole}
        train, test = hold_out(whole, self.test, self.split_seed, test=True)
        return {"train": train, "test": test}

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...] | None]:
        if self.which in _LOADERS:
            bunch = getattr(sklearn.datasets, f"load_{self.which}")()
            names = getattr(bunch, "target_names", None)
            is_class = bunch.target.dtype.kind in "iu" and bunch.target.ndim == 1
            return bunch.data, bunch.target, tuple(map(str, names)) if is_class else None
        if self.which not in _MAKERS:
            known = (*_LOADERS, *_MAKERS)
            raise FlownetError.of(
                "bad-option", f"option `which` of dataset `sklearn` is `{self.which}`",
                help=near_names(self.which, known) or f"known are {', '.join(f'`{name}`' for name in known)}",
            )  # fmt: skip
        made = _called(getattr(sklearn.datasets, f"make_{self.which}"), self)
        x, y = made[0], made[1]
        if y.ndim == 1 and self.which == "hastie_10_2":
            y = (y > 0).astype(int)  # −1 and 1
        is_class = y.dtype.kind in "iu" and y.ndim == 1
        return x, y, tuple(map(str, range(int(y.max()) + 1))) if is_class else None


def _called(make: Callable[..., Any], options: Sklearn) -> Any:
    """The generator with those of the options that it has."""
    known = inspect.signature(make).parameters
    arguments: dict[str, Any] = {"n_samples": options.samples, "random_state": options.seed}
    if options.noise is not None:
        if "noise" not in known:
            raise FlownetError.of("bad-option", f"`{options.which}` has no noise", help="leave `noise` out")
        arguments["noise"] = options.noise
    return make(**arguments)
