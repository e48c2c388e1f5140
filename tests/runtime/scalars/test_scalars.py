"""The scalar functions as plain Python and compiled: the same bits, on thousands of inputs.

Compiled without fast math, that is: with it a product and a sum may be rounded once and not twice.
How far the kernels' own are off then is held beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
import pytest

from rpucc.runtime.kernels import activations as fast_activations
from rpucc.runtime.kernels import bits
from rpucc.runtime.kernels import floats as fast_floats
from rpucc.runtime.kernels import normals as fast_normals
from rpucc.runtime.kernels import philox as fast_philox
from rpucc.runtime.kernels import pulses as fast_pulses
from rpucc.runtime.scalars import activations, floats, normals, philox, pulses

COUNT = 3000
INTRINSICS = {floats.bits_of: bits.bits_of, floats.float_of: bits.float_of}
KINDS = (activations.NONE, activations.TANH, activations.RELU, activations.SIGMOID)


def words(seed: int) -> np.ndarray:
    """Random uint32, with the extreme ones."""
    drawn = np.random.default_rng(seed).integers(0, 2**32, COUNT, dtype=np.uint32)
    drawn[:6] = 0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1
    return drawn


def numbers(seed: int, scale: float = 3.0) -> np.ndarray:
    """Random float32, with zeros and large and tiny ones."""
    drawn = np.random.default_rng(seed).normal(size=COUNT) * scale
    drawn[:8] = 0.0, -0.0, 1e-30, -1e-30, 3e38, -3e38, 0.5, -1.0
    return drawn.astype(np.float32)


def strict(function: Callable[..., Any]) -> Any:
    """A scalar function and what it calls compiled by Numba, without fast math."""
    if function in INTRINSICS:
        return INTRINSICS[function]
    names = function.__globals__
    callees = {
        name: strict(names[name])
        for name in function.__code__.co_names
        if isinstance(names.get(name), FunctionType) and names[name] is not function
    }
    copy = FunctionType(function.__code__, {**names, **callees}, function.__name__)
    return numba.njit(error_model="numpy", inline="always")(copy)


def each(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> np.ndarray:
    """The function's results one after the other, as float64: it holds every 32-bit number."""
    return np.array([function(*given) for given in arguments], np.float64)


CASES: dict[str, tuple[Callable[..., Any], list[np.ndarray]]] = {
    "philox": (philox.philox, [words(i) for i in range(6)]),
    "log": (normals.log, [np.abs(numbers(1)) + np.float32(1e-30)]),
    "sin_half_turns": (normals.sin_half_turns, [np.clip(numbers(2, 0.2), -0.5, 0.5)]),
    "box_muller": (normals.box_muller, [words(1), words(2)]),
    "floor": (floats.floor, [numbers(3, 1000.0)]),
    "magnitude_bits": (floats.magnitude_bits, [numbers(4)]),
    "whole": (floats.whole, [np.abs(numbers(4, 100.0)), np.float32([4, 255, 2**24] * 1000)]),
    "first_byte": (pulses.first_byte, [words(8).view(np.int32)]),
    "tanh": (activations.tanh, [numbers(5)]),
    "relu": (activations.relu, [numbers(6)]),
    "sigmoid": (activations.sigmoid, [numbers(7)]),
}
FAST = {
    "philox": (fast_philox.philox, 0.0),
    "box_muller": (fast_normals.box_muller, 2e-6),
    "floor": (fast_floats.floor, 0.0),
    "magnitude_bits": (fast_floats.magnitude_bits, 0.0),
    "whole": (fast_floats.whole, 0.0),
    "tanh": (fast_activations.tanh, 4e-7),
    "relu": (fast_activations.relu, 0.0),
    "sigmoid": (fast_activations.sigmoid, 4e-7),
}
"""What kernels use: compiled with fast math, off by so much at most."""


@pytest.mark.parametrize("name", CASES)
def test_plain_equals_compiled(name: str) -> None:
    function, columns = CASES[name]
    arguments = list(zip(*columns, strict=True))
    plain = each(function, arguments)
    assert np.all(np.isfinite(plain))
    np.testing.assert_array_equal(each(strict(function), arguments), plain)
    if name in FAST:
        fast, off = FAST[name]
        np.testing.assert_allclose(each(fast, arguments), plain, rtol=off, atol=off)


@pytest.mark.parametrize("kind", KINDS)
def test_slope_plain_equals_compiled(kind: int) -> None:
    g, y = np.clip(numbers(1), -1e6, 1e6), np.tanh(numbers(2))
    arguments = [(a, b, kind) for a, b in zip(g, y, strict=True)]
    plain = each(activations.slope, arguments)
    np.testing.assert_array_equal(each(strict(activations.slope), arguments), plain)
    fast = each(fast_activations.slope, arguments)
    assert np.all(np.abs(fast - plain) <= 4e-7 * np.abs(g))  # 1 - y² is rounded as a whole


def test_below_plain_equals_compiled() -> None:
    """Also where 64 bits are needed, and never beyond."""
    counts = np.random.default_rng(3).integers(1, 2**32 - 1, COUNT)
    arguments = [(a, b, int(c)) for a, b, c in zip(words(1), words(2), counts, strict=True)]
    plain = each(philox.below, arguments)
    np.testing.assert_array_equal(each(strict(philox.below), arguments), plain)
    np.testing.assert_array_equal(each(fast_philox.below, arguments), plain)
    assert np.all((plain >= 0) & (plain < counts))
    a, b, c = arguments[9]
    assert plain[9] == (int(a) << 32 | int(b)) % c


@pytest.mark.parametrize("managed", [0, 1, 2])
@pytest.mark.parametrize("bl_managed", [False, True])
def test_gains_plain_equals_compiled(managed: int, bl_managed: bool) -> None:
    """BL is the same, the gains are; where nothing can fire all are 0."""
    rng = np.random.default_rng(1)
    x, d, lr, dw_min = rng.uniform(0, 1, (4, COUNT)).astype(np.float32)
    x[:20], d[10:30] = 0, 0
    columns = zip(x, d, lr, dw_min * np.float32(0.01) + np.float32(1e-4), strict=True)
    arguments = [(*each, 1 + i % 31, managed, bl_managed) for i, each in enumerate(columns)]
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = each(pulses.gains, arguments)
    np.testing.assert_array_equal(each(strict(pulses.gains), arguments), plain)
    assert np.all((plain[:, 0] >= 1) | ~plain.any(axis=1))
    assert np.all(plain[10:30] == 0)
    for given, expected in zip(arguments[:500], plain, strict=False):
        largest = (np.array([value], np.float32) for value in given[:2])
        fast = fast_pulses.pulse_gains(*largest, *given[2:])
        np.testing.assert_allclose(fast, expected, rtol=1e-6)


def test_columns_are_never_cut_where_errors_alone_are() -> None:
    """An update that asks for k > BL pulses: max p_x = 1, max p_d = k / BL; else as with UM."""
    lr, dw_min, bl = np.float32(0.1), np.float32(0.001), 31
    for x, d in ((0.9, 2.0), (0.001, 700.0), (0.5, 0.2)):
        asked = lr * np.float32(x) * np.float32(d) / dw_min
        slots, cx, cd = pulses.gains(np.float32(x), np.float32(d), lr, dw_min, bl, 2, True)
        if asked > bl:
            assert (slots, cx * x, cd * d) == (bl, pytest.approx(1), pytest.approx(asked / bl))
        else:
            usual = pulses.gains(np.float32(x), np.float32(d), lr, dw_min, bl, 1, True)
            assert (slots, cx, cd) == usual


def test_integer_functions_take_whole_arrays() -> None:
    columns = [words(i) for i in range(6)]
    one_by_one = each(philox.philox, zip(*columns, strict=True)).T
    np.testing.assert_array_equal(np.array(philox.philox(*columns), np.float64), one_by_one)
    x = numbers(4)
    np.testing.assert_array_equal(floats.float_of(floats.bits_of(x)), x)
    np.testing.assert_array_equal(floats.magnitude_bits(x), np.abs(x).view(np.int32))


def modules(folder: str) -> list[Path]:
    (place,) = find_spec(f"rpucc.runtime.{folder}").submodule_search_locations
    return sorted(Path(place).glob("*.py"))


@pytest.mark.parametrize("path", modules("scalars") + modules("reference"), ids=lambda p: p.stem)
def test_no_compiler_is_named(path: Path) -> None:
    """Another backend can compile them, and the plain statements need none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    allowed = ("numpy", "math", "typing", "collections", "dataclasses", "__future__")
    allowed += ("rpucc.runtime.scalars", "rpucc.runtime.reference")
    assert all(str(name).startswith(allowed) for name in imported), imported
    assert not any(f.decorator_list for f in ast.walk(tree) if isinstance(f, ast.FunctionDef))
