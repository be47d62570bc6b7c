"""How parameters start: each initialiser is a frozen dataclass whose fields a graph file can set (`init: he_normal`).

Fans are what the op that declares the parameter says: `fan_in` values are summed into one output element, `fan_out`
output elements are reached from one input element.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from flownet.errors import FlownetError

__all__ = ["BUILTIN", "Initialiser", "parameter_generator"]


class Initialiser:
    """Base class. `sample` returns a float64 array; the caller casts it to the parameter's type.

    by_element: whether elements are drawn one after the other, each for itself, whatever the shape: a large parameter is then drawn in
                pieces. A subclass has to say so again
    """

    name: ClassVar[str]
    by_element: ClassVar[bool] = False

    def sample(self, generator: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
        raise NotImplementedError

    def checked(self) -> None:
        """Check the options' values (types are checked already). Raises FlownetError naming the option."""
        for option, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise _bad_option(self, option, "a finite number")

    def require_least(self, option: str, least: float, which: str = "") -> None:
        """Raises FlownetError (`bad-option`): `std` of `normal` must be at least 0, got -0.1"""
        if getattr(self, option) < least:
            raise _bad_option(self, option, f"at least {which or least}")

    def check_shape(self, shape: tuple[object, ...]) -> None:
        """Raises FlownetError (`bad-init`) for a parameter that this cannot start."""


def _bad_option(initialiser: Initialiser, option: str, must: str) -> FlownetError:
    got = getattr(initialiser, option)
    return FlownetError.of("bad-option", f"`{option}` of `{initialiser.name}` must be {must}, got {got}")


@dataclass(frozen=True)
class Constant(Initialiser):
    """Every element is `value`."""

    name = "constant"
    by_element = True
    value: float = 0.0

    def sample(self, generator, shape, fan_in, fan_out):
        return np.full(shape, self.value, np.float64)


@dataclass(frozen=True)
class Zeros(Initialiser):
    """Every element is 0: biases."""

    name = "zeros"
    by_element = True

    def sample(self, generator, shape, fan_in, fan_out):
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initialiser):
    """Every element is 1: the scales of normalisations."""

    name = "ones"
    by_element = True

    def sample(self, generator, shape, fan_in, fan_out):
        return np.ones(shape)


@dataclass(frozen=True)
class Normal(Initialiser):
    """Gaussian with the given mean and standard deviation."""

    name = "normal"
    by_element = True
    mean: float = 0.0
    std: float = 0.01

    def sample(self, generator, shape, fan_in, fan_out):
        return generator.normal(self.mean, self.std, shape)

    def checked(self) -> None:
        super().checked()
        self.require_least("std", 0)


@dataclass(frozen=True)
class Uniform(Initialiser):
    """Uniform over [low, high)."""

    name = "uniform"
    by_element = True
    low: float = -0.05
    high: float = 0.05

    def sample(self, generator, shape, fan_in, fan_out):
        return generator.uniform(self.low, self.high, shape)

    def checked(self) -> None:
        super().checked()
        self.require_least("high", self.low, f"`low`, which is {self.low}")


@dataclass(frozen=True)
class XavierUniform(Initialiser):
    """Uniform over ±gain·√(6 / (fan_in + fan_out)) (Glorot, Bengio 2010), for tanh and logistic units."""

    name = "xavier_uniform"
    by_element = True
    gain: float = 1.0

    def sample(self, generator, shape, fan_in, fan_out):
        bound = self.gain * np.sqrt(6 / (fan_in + fan_out))
        return generator.uniform(-bound, bound, shape)

    def checked(self) -> None:
        super().checked()
        self.require_least("gain", 0)


@dataclass(frozen=True)
class XavierNormal(Initialiser):
    """Gaussian of standard deviation gain·√(2 / (fan_in + fan_out)) (Glorot, Bengio 2010)."""

    name = "xavier_normal"
    by_element = True
    gain: float = 1.0

    def sample(self, generator, shape, fan_in, fan_out):
        return generator.normal(0, self.gain * np.sqrt(2 / (fan_in + fan_out)), shape)

    def checked(self) -> None:
        super().checked()
        self.require_least("gain", 0)


@dataclass(frozen=True)
class HeUniform(Initialiser):
    """Uniform over ±√(6 / fan_in) (He et al. 2015a), for rectified units."""

    name = "he_uniform"
    by_element = True

    def sample(self, generator, shape, fan_in, fan_out):
        bound = np.sqrt(6 / fan_in)
        return generator.uniform(-bound, bound, shape)


@dataclass(frozen=True)
class HeNormal(Initialiser):
    """Gaussian of standard deviation √(2 / fan) (He et al. 2015a); `fan` is `in` or `out`."""

    name = "he_normal"
    by_element = True
    fan: Literal["in", "out"] = "in"

    def sample(self, generator, shape, fan_in, fan_out):
        return generator.normal(0, np.sqrt(2 / (fan_out if self.fan == "out" else fan_in)), shape)


@dataclass(frozen=True)
class LecunNormal(Initialiser):
    """Gaussian of standard deviation √(1 / fan_in) (LeCun et al. 1998b)."""

    name = "lecun_normal"
    by_element = True

    def sample(self, generator, shape, fan_in, fan_out):
        return generator.normal(0, np.sqrt(1 / fan_in), shape)


@dataclass(frozen=True)
class Orthogonal(Initialiser):
    """Orthonormal rows or columns, times gain (Saxe, McClelland, Ganguli 2013); the first axis against the rest."""

    name = "orthogonal"
    gain: float = 1.0

    def sample(self, generator, shape, fan_in, fan_out):
        rows, columns = shape[0], int(np.prod(shape[1:]))
        q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.sign(np.diag(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Bilinear(Initialiser):
    """Bilinear interpolation between grid points, the start of an up-sampling transposed convolution (Long et al. 2015)."""

    name = "bilinear"

    def sample(self, generator, shape, fan_in, fan_out):
        height, width = shape[-2:]
        rows = 1 - np.abs((np.arange(height) - (height - 1) / 2) / ((height + 1) // 2))
        columns = 1 - np.abs((np.arange(width) - (width - 1) / 2) / ((width + 1) // 2))
        weight = np.zeros(shape)
        for channel in range(min(shape[:2])):
            weight[channel, channel] = np.outer(rows, columns)
        return weight

    def check_shape(self, shape) -> None:
        if len(shape) != 4:
            raise FlownetError.of(
                "bad-init",
                f"`bilinear` starts the kernel of a convolution, [a, b, height, width], got [{', '.join(map(str, shape))}]",
                help="take another initialiser, such as `he_normal`",
            )


BUILTIN: dict[str, type[Initialiser]] = {
    cls.name: cls
    for cls in (
        Constant, Zeros, Ones, Normal, Uniform, XavierUniform, XavierNormal, HeUniform, HeNormal, LecunNormal,
        Orthogonal, Bilinear,
    )
}  # fmt: skip


def parameter_generator(seed: int, name: str) -> np.random.Generator:
    """The generator of one parameter: it depends on the seed and the parameter's name, not on the order of the nodes."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *name.encode()])))
