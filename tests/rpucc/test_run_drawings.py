"""Charts, histograms and images of a run's page."""

from __future__ import annotations

import math
import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

from rpucc.report.drawings.answers import confusion_drawing, scatter_drawing
from rpucc.report.drawings.chart import HEIGHT, WIDTH, Curve, axis, chart, spark
from rpucc.report.drawings.svg import Drawing
from rpucc.report.drawings.weights import asymmetry_drawing, weights_drawing
from rpucc.report.png import SIGNATURE, png
from rpucc.runtime.histogram import Histogram, histogram


def points(drawing: Drawing) -> list[tuple[float, float]]:
    """Every corner of every line of a drawing, which is well-formed XML."""
    ElementTree.fromstring(drawing.file())
    texts = re.findall(r'points="([^"]*)"', drawing.body)
    return [tuple(map(float, p.split(","))) for text in texts for p in text.split()]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "low", "high", "logarithmic"),
    [
        ([0.0, 0.0], 0.0, 0.5, False),
        ([5.0], 0.0, 6.0, False),
        ([-3.0, 2.0], -4.0, 2.0, False),
        ([0.9, 1.0], 0.9, 1.0, False),
        ([0.01, 0.9], 0.01, 1.0, True),
        ([0.0, 0.9], 0.0, 1.0, False),
        ([1e-6, 1.0], 1e-6, 1.0, True),
        ([math.nan, math.inf], 0.0, 0.5, False),
        ([], 0.0, 0.5, False),
    ],
)
def test_axes_hold_their_values(
    values: list[float], low: float, high: float, logarithmic: bool
) -> None:
    found = axis(values)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert found.logarithmic == logarithmic
    assert 2 <= len(found.ticks) <= 7
    for value in values:
        if math.isfinite(value):
            assert -1e-9 <= found.share(value) <= 1 + 1e-9


@pytest.mark.parametrize("epochs", [1, 2, 39, 500])
def test_a_chart_keeps_its_curves_inside(epochs: int) -> None:
    curve = [(float(e), 1 / e) for e in range(1, epochs + 1)]
    drawing = chart("loss", [Curve("a", curve, 0), Curve("b", curve[:1], 7)], str)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points(drawing))
    assert 1 <= drawing.body.count("<circle") <= 80
    assert len(re.findall(r">\d+</text>", drawing.body)) <= 12  # labels have room


def test_what_is_not_finite_is_a_gap() -> None:
    curve = [(1.0, 1.0), (2.0, 2.0), (3.0, math.nan), (4.0, 3.0), (5.0, 1.0), (6.0, math.inf)]
    drawing = chart("loss", [Curve("a", curve, 0)], str)
    assert drawing.body.count("<polyline") == 2
    assert drawing.body.count("<circle") == 4
    assert spark(Curve("a", [], 0), str).body.count("<circle") == 0


def test_hostile_names_stay_text() -> None:
    drawing = chart("</svg>", [Curve("<script>", [(1.0, 1.0), (2.0, 3.0)], 0)], str)
    assert "<script>" not in drawing.file()
    points(drawing)


@pytest.mark.parametrize("seed", range(3))
def test_histograms_stay_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    now = histogram(rng.normal(0, 0.1, 500))
    start, single = histogram(rng.uniform(-0.05, 0.05, 500)), histogram(np.zeros(500))
    far = (histogram(rng.normal(-4, 1, 500)), histogram(rng.normal(4, 1, 500)))
    near = (histogram(rng.normal(-0.6, 0.2, 500)), histogram(rng.normal(0.6, 0.2, 500)))
    for bounds in (far, near, ()):
        for before in (start, single, None):
            drawing = weights_drawing("w", now, before, [start, single], bounds)
            assert all(
                0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in points(drawing)
            )
    drawing = asymmetry_drawing("w", Histogram(-2.0, 0.5, (1, 0, 0, 0, 9, 0, 0, 1)))
    assert all(0 <= x <= drawing.width for x, _ in points(drawing))
    points(weights_drawing("one weight", histogram(np.zeros(1))))


@pytest.mark.parametrize("classes", [1, 2, 13, 40])
def test_a_matrix_draws_what_is_there(classes: int) -> None:
    matrix = np.diag(np.full(classes, 10)).tolist()
    matrix[0][-1] += 3
    drawing = confusion_drawing(matrix, lambda i: f"<{i}>")
    ElementTree.fromstring(drawing.file())
    assert drawing.body.count("<title>") == classes + (classes > 1)
    if classes == 2:
        assert "&lt;0&gt; taken for &lt;1&gt;: 3 of 13, 23.1 %" in drawing.body


def test_a_scatter_takes_any_numbers() -> None:
    for pairs in ([[0.0, 0.0]], [[1.0, math.nan], [2.0, 5.0]], [], [[1e9, -1e9]]):
        ElementTree.fromstring(scatter_drawing(pairs).file())


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (4, 2, 3)])
def test_a_png_holds_its_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = png(pixels)
    assert data[:8] == SIGNATURE
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(kind + content),
        )
        chunks[kind], at = content, at + 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (shape[1], shape[0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(shape[0], -1)
    assert not rows[:, 0].any()
    np.testing.assert_array_equal(rows[:, 1:].reshape(shape), pixels)
