"""What flows along an edge: element types, sizes (numbers, symbols and arithmetic on them), tensor types.

A size that is not known until data arrives is a polynomial over symbols with integer coefficients, kept in a canonical
form, so that two sizes are equal exactly when their forms are. Floor division, which convolutions and pools need, makes
a new indeterminate of its canonical text when it does not come out even: `(H - 3) // 2` equals itself and nothing else.
"""

from __future__ import annotations

import builtins
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import total_ordering

import numpy as np

__all__ = ["DType", "Dim", "Symbolic", "TensorType", "bind", "symbols_of"]


class DType(enum.Enum):
    """The element types, named as NumPy names them."""

    float32 = "float32"
    float64 = "float64"
    float16 = "float16"
    int8 = "int8"
    int16 = "int16"
    int32 = "int32"
    int64 = "int64"
    uint8 = "uint8"
    uint32 = "uint32"
    bool = "bool"

    @property
    def numpy(self) -> np.dtype:
        return np.dtype(self.value)

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> builtins.bool:
        return self.numpy.kind == "f"

    @property
    def is_integer(self) -> builtins.bool:
        return self.numpy.kind in "iu"

    @classmethod
    def of(cls, dtype: object) -> DType:
        """The element type of a NumPy dtype, a name or a `DType`.

        Raises ValueError for one that flownet does not have.
        """
        return dtype if isinstance(dtype, cls) else cls(np.dtype(dtype).name)  # type: ignore[call-overload]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class _Floor:
    """An indeterminate that stands for `numerator // divisor`."""

    numerator: Symbolic
    divisor: int

    def __str__(self) -> str:
        return f"({self.numerator}) // {self.divisor}"


# A monomial is the sorted tuple of its indeterminates (symbols as str, `_Floor`s), with repetition for powers.
_Monomial = tuple["str | _Floor", ...]


@total_ordering
class Symbolic:
    """A size known up to its symbols: a polynomial with integer coefficients, in canonical form."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[_Monomial, int]) -> None:
        ordered = sorted(((m, c) for m, c in terms.items() if c), key=lambda term: (-len(term[0]), str(term[0])))
        self.terms: tuple[tuple[_Monomial, int], ...] = tuple(ordered)
        self._hash = hash(self.terms)

    @classmethod
    def symbol(cls, name: str) -> Symbolic:
        return cls({(name,): 1})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbolic) and self.terms == other.terms

    def __lt__(self, other: object) -> bool:  # an order for printing and sorting only, not an order of sizes
        return str(self) < str(other)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim) -> Dim:
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _simplest(terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        terms: dict[_Monomial, int] = {}
        for mine, a in self.terms:
            for theirs, b in _terms(other):
                monomial = tuple(sorted(mine + theirs, key=str))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _simplest(terms)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: Dim) -> Dim:
        if isinstance(divisor, Symbolic):
            if self == divisor:
                return 1
            quotient = _divide_by_monomial(self, divisor)
            if quotient is None:
                raise ValueError(f"`{self}` cannot be divided by `{divisor}` without knowing the sizes")
            return quotient
        if divisor <= 0:
            raise ValueError(f"a size cannot be divided by {divisor}")
        # the part whose coefficients divide leaves the floor: (2*N + 3) // 2 = N + 1
        whole = {m: c // divisor for m, c in self.terms if c % divisor == 0 or not m}
        rest = {m: c % divisor if not m else c for m, c in self.terms if c % divisor}
        symbolic_rest = _simplest(rest)
        if isinstance(symbolic_rest, int):
            return _simplest(whole) + symbolic_rest // divisor
        return _simplest(whole) + _simplest({(_Floor(symbolic_rest, divisor),): 1})

    def __mod__(self, divisor: int) -> Dim:
        return self - (self // divisor) * divisor

    def __int__(self) -> int:
        raise TypeError(
            f"the size `{self}` is no number yet"
        )  # a bug of the caller: what a user can cause is checked before

    def symbols(self) -> set[str]:
        """The names of the symbols in it."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for part in monomial:
                found |= {part} if isinstance(part, str) else part.numerator.symbols()
        return found

    def bind(self, sizes: Mapping[str, int]) -> Dim:
        """The size with numbers put in for the symbols that `sizes` names."""
        total: Dim = 0
        for monomial, coefficient in self.terms:
            product: Dim = coefficient
            for part in monomial:
                if isinstance(part, str):
                    product = product * sizes.get(part, Symbolic.symbol(part))
                else:
                    product = product * (part.numerator.bind(sizes) // part.divisor)
            total = total + product
        return total

    def __str__(self) -> str:
        texts = []
        for monomial, coefficient in self.terms:
            factors = [f"({part})" if isinstance(part, _Floor) else part for part in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            texts.append(f" {sign} {'*'.join(factors)}")
        text = "".join(texts)
        return f"-{text[3:]}" if text.startswith(" -") else text[3:]

    __repr__ = __str__


Dim = int | Symbolic


def _terms(dim: Dim) -> Iterable[tuple[_Monomial, int]]:
    return dim.terms if isinstance(dim, Symbolic) else (((), dim),)


def _simplest(terms: Mapping[_Monomial, int]) -> Dim:
    polynomial = Symbolic(terms)
    if not polynomial.terms:
        return 0
    if len(polynomial.terms) == 1 and not polynomial.terms[0][0]:
        return polynomial.terms[0][1]
    return polynomial


def _divide_by_monomial(dividend: Symbolic, divisor: Symbolic) -> Dim | None:
    """The exact quotient by a divisor of one term, or None: what `reshape: [-1]` needs of N*16 / N."""
    if len(divisor.terms) != 1:
        return None
    ((factors, by),) = divisor.terms
    terms: dict[_Monomial, int] = {}
    for monomial, coefficient in dividend.terms:
        left = list(monomial)
        for factor in factors:
            if factor not in left:
                return None
            left.remove(factor)
        if coefficient % by:
            return None
        terms[tuple(left)] = coefficient // by
    return _simplest(terms)


def bind(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    """`dim` with numbers put in for the symbols that `sizes` names.

    >>> bind(Symbolic.symbol("N") * 2 + 1, {"N": 3})
    7
    """
    return dim.bind(sizes) if isinstance(dim, Symbolic) else dim


def symbols_of(dims: Iterable[Dim]) -> set[str]:
    """The names of all symbols in `dims`."""
    return set().union(*(dim.symbols() for dim in dims if isinstance(dim, Symbolic)))


@dataclass(frozen=True)
class TensorType:
    """An element type and a shape, written `float32[N, 28, 28]`; a scalar is `float32[]`."""

    dtype: DType
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        product: Dim = 1
        for dim in self.shape:
            product = product * dim
        return product

    @property
    def nbytes(self) -> Dim:
        """Bytes that the tensor takes."""
        return self.size * self.dtype.itemsize

    @property
    def is_concrete(self) -> bool:
        """Whether every size is a number."""
        return all(isinstance(dim, int) for dim in self.shape)

    def bind(self, sizes: Mapping[str, int]) -> TensorType:
        """The type with numbers put in for the symbols that `sizes` names."""
        if self.is_concrete:
            return self
        return TensorType(self.dtype, tuple(bind(dim, sizes) for dim in self.shape))

    def with_shape(self, *shape: Dim) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
