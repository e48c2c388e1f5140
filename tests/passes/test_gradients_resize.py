"""Gradients of Resize and of ops that move blocks of pixels, against central differences."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.errors import UnsupportedError

from .gradient_check import check_grads, gradient_model, parse


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def resized(attributes: str, by: str, out: str) -> str:
    """A Resize of [N, 2, 4, 3] to `out`; by: its scales or sizes."""
    return (
        f"(float[N,2,4,3] x) => (float[N,2,{out}] y) "
        f"{{ s = Constant<value = {by}>() y = Resize<{attributes}>(x, , {by_input(by)}) }}"
    )


def by_input(by: str) -> str:
    return ", s" if by.startswith("int64") else "s"


SCALES = "float[4] {1.0, 1.0, 2.0, 3.0}"
MODES = [
    *(
        f'mode = "nearest", coordinate_transformation_mode = "{c}", nearest_mode = "{n}"'
        for c, n in [
            ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"),
            ("align_corners", "round_prefer_ceil"), ("pytorch_half_pixel", "ceil"),
        ]
    ),
    *(
        f'mode = "linear", coordinate_transformation_mode = "{c}"'
        for c in ("asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel")
    ),
    'mode = "cubic"',
    'mode = "cubic", coordinate_transformation_mode = "align_corners", cubic_coeff_a = -0.5',
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_resize_by_scales(mode: str) -> None:
    check_grads(resized(mode, SCALES, "8,9"), {"x": normal(2, 2, 4, 3)}, double=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(7, 2), (3, 5), (4, 8)])
def test_resize_to_sizes(mode: str, size: tuple[int, int]) -> None:
    height, width = size
    shape = f"(float[2,2,4,3] x) => (float[2,2,{height},{width}] y)"
    sizes = f"int64[4] {{2, 2, {height}, {width}}}"
    body = f"s = Constant<value = {sizes}>() y = Resize<{mode}>(x, , , s)"
    check_grads(f"{shape} {{ {body} }}", {"x": normal(2, 2, 4, 3)}, double=False)


@pytest.mark.parametrize(
    "mode", ['mode = "linear", antialias = 1', 'mode = "cubic", exclude_outside = 1']
)
def test_other_filters_are_refused_by_name(mode: str) -> None:
    proto = parse(resized(mode, SCALES, "8,9"))
    with pytest.raises(UnsupportedError, match=r"Resize.*no gradient, .*(antialias|exclude)"):
        gradient_model(proto, ["x"])


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    body = f'y = DepthToSpace<blocksize = 2, mode = "{mode}">(x)'
    text = f"(float[N,12,2,3] x) => (float[N,3,4,6] y) {{ {body} }}"
    check_grads(text, {"x": normal(2, 12, 2, 3)}, double=False)


def test_space_to_depth() -> None:
    text = "(float[N,3,4,6] x) => (float[N,12,2,3] y) { y = SpaceToDepth<blocksize = 2>(x) }"
    check_grads(text, {"x": normal(2, 3, 4, 6)}, double=False)


def test_expand() -> None:
    body = "s = Constant<value = int64[4] {2, 3, 4, 5}>() y = Expand(x, s)"
    text = f"(float[3,1,5] x) => (float[2,3,4,5] y) {{ {body} }}"
    check_grads(text, {"x": normal(3, 1, 5)}, double=False)


@pytest.mark.parametrize(
    ("shape", "repeats"), [("N,3,4", "1, 2, 3"), ("N,3,4", "2, 1, 1"), ("3,N,4", "2, 1, 2")]
)
def test_tile(shape: str, repeats: str) -> None:
    sizes = [2 if d == "N" else int(d) for d in shape.split(",")]
    body = f"r = Constant<value_ints = [{repeats}]>() y = Tile(x, r)"
    check_grads(f"(float[{shape}] x) => (float[P,Q,R] y) {{ {body} }}", {"x": normal(*sizes)})
