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
from rpucc.report.drawings.by_layer import (
    MOST_LAYERS,
    effects_seen,
    errors_drawing,
    signal_drawing,
)
from rpucc.report.drawings.chart import HEIGHT, WIDTH, Curve, axis, chart, spark
from rpucc.report.drawings.svg import Drawing
from rpucc.report.drawings.weights import asymmetry_drawing, weights_drawing
from rpucc.report.png import SIGNATURE, png
from rpucc.report.runs.by_layer import by_layer
from rpucc.runtime.histogram import Histogram, histogram
from rpucc.runtime.layer_effects import ByLayer, LayerEffect, Score


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


def effect(name: str, alone: Score, snr: float, **effects: float) -> LayerEffect:
    powers = {"noise": 0.0, "dac": 0.0, "adc": 0.0, "bound": 0.0, "clipped": 0.0, **effects}
    return LayerEffect(name, alone, alone, snr, 0.0, 0.0, 0.0, math.nan, powers, None)


HOSTILE = "</svg><script>alert(1)</script>"
WORST, IDEAL = Score(0.9, 2.0), Score(0.02, 0.1)
COSTS = {
    "two": ByLayer(
        9, WORST, IDEAL, (effect("a", WORST, 3.0, noise=0.3, adc=0.2), effect("b", IDEAL, 50.0))
    ),
    "no error at all": ByLayer(9, Score(0.0, 0.0), Score(0.0, 0.0), (
        effect("a", Score(0.0, 0.0), math.inf),
    )),
    "regression": ByLayer(9, Score(None, 3.0), Score(None, 0.5), (
        effect("a", Score(None, 2.0), -12.0, bound=30.0),
    )),
    "no loss": ByLayer(9, Score(None, math.nan), Score(None, math.nan), (
        effect("a", Score(None, math.nan), 200.0, dac=1e-20),
    )),
    "many": ByLayer(9, WORST, IDEAL, tuple(effect(f"l{i}", WORST, 1.0 * i) for i in range(99))),
    "hostile": ByLayer(9, WORST, IDEAL, (effect(HOSTILE * 9, WORST, 3.0, dac=0.1),)),
}  # fmt: skip


@pytest.mark.parametrize("costs", COSTS)
def test_what_layers_cost_is_drawn_inside(costs: str) -> None:
    found = COSTS[costs]
    drawn = min(len(found.layers), MOST_LAYERS)
    for drawing in (errors_drawing(found), signal_drawing(found)):
        body = drawing.body
        ElementTree.fromstring(drawing.file())
        assert body.count('text-anchor="end"') == drawn  # the layers' names
        ends = re.findall(r' (?:x[12]?|cx)="([^"]*)"', body)
        assert all(0 <= float(x) <= drawing.width for x in ends)
        assert all(0 <= float(y) <= drawing.height for y in re.findall(r' c?y="([^"]*)"', body))
        widths = re.findall(r'<rect[^>]* x="([^"]*)" width="([^"]*)"', body)
        assert all(float(x) + float(width) <= drawing.width for x, width in widths)
        assert "<script" not in body
    page = by_layer(found, "data", 9)
    assert "<script" not in page
    assert page.count("<tr>") == 1 + len(found.layers)
    assert (f"({MOST_LAYERS} of 99 layers)" in page) == (costs == "many")


def test_bars_and_dots_are_where_their_values_are() -> None:
    found = COSTS["two"]
    widths = [
        float(w) for w in re.findall(r'<rect[^>]* width="([^"]*)"', errors_drawing(found).body)
    ]
    assert widths[:2] == pytest.approx([widths[0]] * 2)
    assert widths[2] / widths[0] == pytest.approx(IDEAL.error / WORST.error, rel=0.02)
    body = signal_drawing(found).body
    dots = dict(re.findall(r"<title>(a, [^<]*|b, [^<]*)</title>()", body))
    assert set(dots) == {
        "a, measured: all of them together: 3.0 dB",
        "a, read noise: 5.2 dB",
        "a, output converters (ADC): 7.0 dB",
        "b, measured: all of them together: 50.0 dB",
    }
    assert [meaning for _, meaning in effects_seen(found)] == [
        "read noise", "output converters (ADC)",
    ]  # fmt: skip
