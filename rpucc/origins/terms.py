"""A constant as a sum of constants of the user's file, moved and scaled.

Not for the matrix that a layer's constants become: `matrix.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.origins.view import View, integers

Numbers = NDArray[np.float64]
Reader = Callable[[str], NDArray[Any]]
"""Gives the numbers of a constant of the file by its name; raises KeyError."""
Layout = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Norm:
    """What a batch norm multiplies its channels by: scale / √(variance + epsilon), [R].

    scale and variance are the names of constants of the file.
    """

    scale: str
    variance: str
    epsilon: float

    def deviation(self, read: Reader) -> Numbers:
        """√(variance + epsilon): the scale with which it would multiply by 1."""
        return np.sqrt(read(self.variance).astype(np.float64) + self.epsilon).reshape(-1)

    def values(self, read: Reader) -> Numbers:
        """The factor of each channel."""
        return read(self.scale).astype(np.float64).reshape(-1) / self.deviation(read)


@dataclass(frozen=True)
class Factor:
    """What elements are multiplied by: elements of a batch norm's vector, or of numbers."""

    view: View
    """Broadcasts to the constant."""
    norm: Norm | None = None
    numbers: tuple[float, ...] = ()

    @classmethod
    def of(cls, numbers: NDArray[Any], norm: Norm | None = None) -> Factor | None:
        """Take numbers that broadcast to the constant; with a norm, they are its channels."""
        small = _compact(np.asarray(numbers))
        if norm is None:
            floats = tuple(float(each) for each in small.reshape(-1))
            return cls(View.whole(small.shape), numbers=floats)
        view = View.of(small.astype(np.int64))
        return None if view is None else cls(view, norm)

    def values(self, read: Reader) -> Numbers:
        """The factors, in a shape that broadcasts to the constant."""
        vector = np.array(self.numbers) if self.norm is None else self.norm.values(read)
        return self.view.of_array(vector)

    def reshaped(self, count: int, shape: tuple[int, ...]) -> Factor | None:
        """Return it for a constant of `count` elements that gets another shape."""
        if self.view.count == 1:
            return replace(self, view=replace(self.view, shape=(1,) * len(shape)))
        return replace(self, view=replace(self.view, shape=shape)) if self.view.count == count \
            else None  # fmt: skip


@dataclass(frozen=True)
class Term:
    """Numbers of a constant of the file, times factors."""

    source: str
    """The constant's name, or that of a value that is computed from constants."""
    dims: tuple[int, ...]
    """Its shape."""
    view: View
    factors: tuple[Factor, ...] = ()
    uses: tuple[tuple[str, int], ...] = ()
    """What takes the constant in the file: the first output of a node, and which of its inputs."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the constant, in its order."""
        return self.view.is_plain and self.view.count == math.prod(self.dims)

    def factor(self, read: Reader) -> Numbers:
        """All factors as one, which broadcasts to the constant."""
        found = np.ones((1,) * len(self.view.shape))
        for each in self.factors:
            found = found * each.values(read)
        return found

    def values(self, read: Reader) -> Numbers:
        """Its share of the constant."""
        return self.view.of_array(read(self.source)).astype(np.float64) * self.factor(read)


@dataclass(frozen=True)
class Origin:
    """A constant of a program is the sum of terms; the first is the one that learns.

    The others (what an Add behind a layer adds to its bias, the mean of a batch norm that was
    folded) stay as the file has them when the constant goes back.
    """

    terms: tuple[Term, ...]

    @classmethod
    def of_constant(cls, name: str, dims: Sequence[int]) -> Origin:
        """A constant of the file as it is."""
        return cls((Term(name, tuple(dims), View.whole(dims)),))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the constant."""
        return self.terms[0].view.shape

    def laid_out(self, layout: Layout) -> Origin | None:
        """Return what layout(constant) comes from; None where that cannot be said."""
        moved = []
        for term in self.terms:
            view = View.of(layout(term.view.index()))
            if view is None:
                return None
            factors = [each.reshaped(term.view.count, view.shape) for each in term.factors]
            if view.count != term.view.count or None in factors:
                return None
            if any(each.view.count > 1 for each in term.factors) and len(self.shape) > 1:
                flat = layout(np.arange(term.view.count).reshape(self.shape)).reshape(-1)
                if not np.array_equal(flat, np.arange(term.view.count)):
                    return None
            kept = tuple(each for each in factors if each is not None)
            moved.append(replace(term, view=view, factors=kept))
        return Origin(tuple(moved))

    def times(self, factor: Factor | None) -> Origin | None:
        """Return what factor · constant comes from."""
        if factor is None:
            return None
        rank = len(factor.view.shape)
        wide = self.reshaped((1,) * (rank - len(self.shape)) + self.shape)
        if wide is None:
            return None
        return Origin(tuple(replace(t, factors=(*t.factors, factor)) for t in wide.terms))

    def reshaped(self, shape: Sequence[int]) -> Origin | None:
        """Return it for the same numbers in another shape; of a single one, for all of `shape`."""
        shape = tuple(shape)
        if shape == self.shape:
            return self
        if math.prod(self.shape) == 1:
            return self.laid_out(lambda index: np.broadcast_to(index.reshape(()), shape)) \
                if math.prod(shape) == 1 else self._spread(shape)  # fmt: skip
        return self.laid_out(lambda index: index.reshape(shape))

    def _spread(self, shape: tuple[int, ...]) -> Origin:
        """Return the origin of an array that is one number everywhere."""
        count, ones = math.prod(shape), (1,) * len(shape)
        return Origin(
            tuple(
                replace(
                    term,
                    view=View(shape, (count,), (0,), term.view.offset),
                    factors=tuple(replace(f, view=replace(f.view, shape=ones))
                                  for f in term.factors),
                )
                for term in self.terms
            )
        )  # fmt: skip

    def plus(self, other: Origin, *, learns: bool = False) -> Origin:
        """Return what the sum of two constants of one shape comes from.

        learns: the other one's first term is to be what learns.
        """
        return Origin((*other.terms, *self.terms) if learns else (*self.terms, *other.terms))

    def first(self, constant: NDArray[Any], read: Reader) -> NDArray[Any]:
        """Return the numbers of the first term's view with which the sum is `constant`.

        Where a factor is 0 they are not finite.
        """
        if len(self.terms) == 1 and not self.terms[0].factors:
            return constant
        rest = constant - sum((term.values(read) for term in self.terms[1:]), np.zeros(()))
        with np.errstate(all="ignore"):
            return np.asarray(rest / self.terms[0].factor(read))

    def norms(self) -> dict[Norm, NDArray[np.int64]]:
        """Return the batch norms that scale it, each with the channel of every element.

        The channels broadcast to the constant.
        """
        found = {}
        for term in self.terms:
            for factor in term.factors:
                if factor.norm is not None:
                    found[factor.norm] = factor.view.index()
        return found


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Return one slice of each axis along which an array is the same."""
    for axis in range(array.ndim):
        first = array.take([0], axis=axis)
        if array.shape[axis] > 1 and (array == first).all():
            array = first
    return array


# ---------------------------------------------------------------- plain data


def term_to_dict(term: Term, *, with_uses: bool) -> dict[str, Any]:
    """As plain data; what follows from the rest is left out."""
    data: dict[str, Any] = {"from": term.source, **term.view.to_dict()}
    if term.dims != term.view.shape:
        data["of"] = list(term.dims)
    if term.factors:
        data["times"] = [_factor_to_dict(factor) for factor in term.factors]
    if with_uses:
        data["uses"] = [list(use) for use in term.uses]
    return data


def _factor_to_dict(factor: Factor) -> dict[str, Any]:
    if factor.norm is None:
        return {**factor.view.to_dict(), "numbers": list(factor.numbers)}
    norm = factor.norm
    names = {"scale": norm.scale, "variance": norm.variance, "epsilon": norm.epsilon}
    return {**factor.view.to_dict(), "batch_norm": names}


def term_from_dict(data: Any) -> Term:
    """Read what `term_to_dict` wrote; raises ValueError."""
    data = table(data)
    view = View.from_dict(data)
    dims = integers(data["of"], 0) if "of" in data else view.shape
    low, high = view.bounds if view.count else (0, -1)
    if low < 0 or high >= math.prod(dims):
        raise ValueError("takes elements that its constant does not have")
    factors = tuple(_factor_from_dict(each, view.shape) for each in _list(data.get("times", [])))
    uses = tuple(_use(each) for each in _list(data.get("uses", [])))
    return Term(text(data.get("from")), dims, view, factors, uses)


def _factor_from_dict(data: Any, shape: tuple[int, ...]) -> Factor:
    data = table(data)
    view = View.from_dict(data)
    fits = len(view.shape) == len(shape) and all(
        a in (1, b) for a, b in zip(view.shape, shape, strict=False)
    )
    if not fits:
        raise ValueError("has a factor of another shape than its constant")
    if "batch_norm" in data:
        norm = table(data["batch_norm"])
        names = text(norm.get("scale")), text(norm.get("variance"))
        return Factor(view, Norm(*names, *_floats([norm.get("epsilon")])))
    numbers = _floats(_list(data.get("numbers")))
    if view.count and not 0 <= view.bounds[0] <= view.bounds[1] < len(numbers):
        raise ValueError("has a factor of too few numbers")
    return Factor(view, numbers=numbers)


def _floats(data: list[Any]) -> tuple[float, ...]:
    if not all(type(each) in (int, float) and math.isfinite(each) for each in data):
        raise ValueError("has a factor that is no number")
    return tuple(float(each) for each in data)


def _use(data: Any) -> tuple[str, int]:
    if not isinstance(data, list) or len(data) != 2 or type(data[1]) is not int or data[1] < 0:
        raise ValueError("has a use that is none")
    return text(data[0]), data[1]


def text(data: Any) -> str:
    """Return plain data as a text; raises ValueError."""
    if not isinstance(data, str):
        raise ValueError("has a name that is no text")  # noqa: TRY004
    return data


def table(data: Any) -> dict[str, Any]:
    """Return plain data as a dictionary; raises ValueError."""
    if not isinstance(data, dict):
        raise ValueError("is no table")  # noqa: TRY004
    return data


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError("has no list where one belongs")  # noqa: TRY004
    return data
