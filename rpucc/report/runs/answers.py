"""The section on answers: which class is taken for which, and the samples that are most wrong.

Not for counting: that is rpucc.runtime.answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rpucc.report import units
from rpucc.report.drawings.answers import confusion_drawing, scatter_drawing
from rpucc.report.html.parts import scrolling, section, table
from rpucc.report.markup import Markup, tag
from rpucc.report.png import data_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rpucc.report.runs.run_report import AnswerReport
    from rpucc.runtime.answers import (
        BitAnswers,
        ClassAnswers,
        NumberAnswers,
        Wrong,
    )

MOST_CLASSES = 40
"""Classes up to which the whole matrix is drawn."""
PAIRS, CLASSES, OUTPUTS = 12, 12, 30
"""Rows of the tables."""
SIDE = 84
"""Pixels of the longer side of an image on the page."""
SHOWN_VALUES = 4
"""Numbers of a target that are written out."""

CLASS_COLOURS = (
    (27, 31, 36), (43, 108, 176), (180, 95, 6), (15, 118, 110), (112, 72, 168), (176, 58, 111),
    (107, 114, 24), (194, 65, 12), (90, 159, 224), (221, 138, 53), (53, 171, 156), (165, 133, 220),
    (221, 118, 164), (166, 175, 69), (230, 233, 236),
)  # fmt: skip
"""Of classes of pixels, red, green and blue; after the last they begin again."""


def answers(report: AnswerReport) -> Markup:
    """Return the section."""
    found = report.found
    if found.kind == "classes":
        return _classes(report, found)
    if found.kind == "bits":
        return _bits(report, found)
    return _numbers(report, found)


def _section(report: AnswerReport, text: str, *children: Markup | None) -> Markup:
    intro = f"{units.count(report.samples)} test samples of {report.data}, as rpucc eval reads them"
    return section("answers", "Answers", f"{intro}: {text}", *children)


# ---------------------------------------------------------------- classes


def _classes(report: AnswerReport, found: ClassAnswers) -> Markup:
    of = f"{units.count(found.wrong)} of {units.count(found.labels)}"
    what = "labels of pixels" if found.pixels else "answers"
    text = f"{of} {what} wrong ({units.percent(found.wrong / max(found.labels, 1))})."
    sides: list[Markup] = []
    if len(found.matrix) <= MOST_CLASSES:
        title = "A row is a label, a column an answer; shades are roots of parts of the row."
        if report.class_names:
            title += " " + ", ".join(f"{i} {name}" for i, name in enumerate(report.class_names))
        drawing = confusion_drawing(found.matrix.tolist(), report.class_name)
        sides.append(tag("figure", tag("figcaption", title), drawing.scaled(), class_="matrix"))
    tables = [_confused(report, found), _missed(report, found)]
    sides.append(tag("div", *tables, class_="beside"))
    return _section(report, text, tag("div", *sides, class_="answers"), _worst(report))


def _confused(report: AnswerReport, found: ClassAnswers) -> Markup:
    """The pairs of label and answer that are confused most."""
    wrong = found.matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS].tolist()
    rows = []
    for place in order:
        label, answer = divmod(place, len(wrong))
        count = int(wrong[label, answer])
        if count:
            part = count / found.matrix[label].sum()
            names = report.class_name(label), report.class_name(answer)
            rows.append(_row(*names, units.count(count), units.percent(part)))
    if not rows:
        return tag("p", "No answer is wrong.")
    title = tag("h3", "Confused most")
    return tag("div", title, _table(("label", "answer", "times", "of the label"), rows))


def _missed(report: AnswerReport, found: ClassAnswers) -> Markup:
    """The classes that are missed most; of pixels, with how far their places overlap."""
    counts, missed, overlap = found.matrix.sum(axis=1), found.missed, found.overlap
    order = np.argsort(-np.nan_to_num(missed, nan=-1.0), kind="stable")[:CLASSES].tolist()
    rows = []
    for label in order:
        if missed[label] > 0 or (found.pixels and counts[label]):
            cells = [units.count(int(counts[label])), units.percent(float(missed[label]))]
            cells += [units.percent(float(overlap[label]))] if found.pixels else []
            rows.append(_row(report.class_name(label), *cells))
    headings = ("label", "there are", "missed", *(("IoU",) if found.pixels else ()))
    more = ""
    if found.pixels:
        present = overlap[np.isfinite(overlap)]
        more = f"; mean IoU {units.percent(float(present.mean()))}"
    return tag("div", tag("h3", f"Missed most{more}"), _table(headings, rows))


# ---------------------------------------------------------------- 0 or 1, and numbers


def _bits(report: AnswerReport, found: BitAnswers) -> Markup:
    text = (
        f"{units.count(found.wrong)} of {units.count(found.labels)} labels wrong "
        f"({units.percent(found.wrong / max(found.labels, 1))}); each output answers 0 or 1."
    )
    counts = found.counts
    wrong = counts[:, 0, 1] + counts[:, 1, 0]
    order = np.argsort(-wrong, kind="stable")[:OUTPUTS].tolist()
    rows = []
    for output in order:
        (right_0, false_1), (false_0, right_1) = counts[output].tolist()
        precision, recall = right_1 + false_1, right_1 + false_0
        shares = [right_1 / whole if whole else None for whole in (precision, recall)]
        numbers = [units.count(n) for n in (right_1, false_1, false_0, right_0)]
        rows.append(_row(str(output), *numbers, *(units.percent(share) for share in shares)))
    headings = ("output", "1 as 1", "0 as 1", "1 as 0", "0 as 0", "precision", "recall")
    return _section(report, text, _table(headings, rows), _worst(report))


def _numbers(report: AnswerReport, found: NumberAnswers) -> Markup:
    text = (
        f"root mean square difference {units.number(found.rmse)} over "
        f"{units.counted(found.values, 'target')}, R² {units.number(found.explained)}. There are "
        f"no classes; outputs stand against their targets, {units.count(len(found.pairs))} of them."
    )
    drawing = scatter_drawing(found.pairs.tolist())
    figure = tag("figure", drawing.scaled(), class_="matrix")
    return _section(report, text, tag("div", figure, class_="answers"), _worst(report))


# ---------------------------------------------------------------- the samples


def _worst(report: AnswerReport) -> Markup | None:
    """The samples that are most wrong: as images, or in a table where they are none."""
    worst = report.found.worst
    if not worst:
        return None
    title = tag("h3", "Most wrong")
    if not report.pictures:
        note = "The samples are no images; by their places in the test part:"
        headings = ("sample", "label", "answer", "")
        rows = [_row(str(w.index), _label(w.label), _label(w.answer), _how_wrong(w)) for w in worst]
        return tag("div", title, tag("p", note), scrolling(_table(headings, rows), "Most wrong"))
    figures = []
    for wrong, pixels in zip(worst, report.pictures, strict=True):
        images = [_image(pixels, f"sample {wrong.index}"), *_maps(wrong)]
        text = _caption(report, wrong)
        figures.append(tag("figure", *images, tag("figcaption", text)))
    return tag("div", title, tag("div", *figures, class_="worst"))


def _caption(report: AnswerReport, wrong: Wrong) -> Markup:
    said = " → ".join(_said(report, wrong))
    if wrong.label.ndim == 0:
        more = f"sample {wrong.index}, {_how_wrong(wrong)}"
        return tag("span", tag("b", said), tag("span", more))
    lines = [tag("span", said)] if wrong.label.ndim == 1 else []
    return tag("span", tag("b", f"sample {wrong.index}"), *lines, tag("span", _how_wrong(wrong)))


def _said(report: AnswerReport, wrong: Wrong) -> tuple[str, str]:
    """Return label and answer: a class, or numbers."""
    label, answer = wrong.label, wrong.answer
    if report.found.kind == "classes" and label.ndim == 0:
        return report.class_name(int(label)), report.class_name(int(answer))
    return _label(label), _label(answer)


def _how_wrong(wrong: Wrong) -> str:
    if wrong.score == wrong.score:  # a class that the network is so sure of
        return f"{units.percent(wrong.score, 0)} sure"
    if wrong.answer.dtype.kind == "f":
        return f"off by {units.number(wrong.measure)}"
    return f"{units.percent(wrong.measure, 1)} wrong"


def _label(value: NDArray[Any]) -> str:
    """The first of the numbers."""
    flat = value.reshape(-1)
    shown = ", ".join(f"{float(each):.3g}" for each in flat[:SHOWN_VALUES].tolist())
    return f"{shown}, …" if flat.size > SHOWN_VALUES else shown


def _maps(wrong: Wrong) -> Iterator[Markup]:
    """Label and answer of a sample that has one a pixel, as pictures."""
    parts = (wrong.label, wrong.answer)
    if wrong.label.ndim == 2 and wrong.label.dtype.kind != "f":
        palette = np.array(CLASS_COLOURS, np.uint8)
        for part, what in zip(parts, ("label", "answer"), strict=True):
            yield _image(palette[part.astype(np.int64) % len(palette)], what)
    elif wrong.label.ndim >= 2 and wrong.label.dtype.kind == "f":
        low, high = float(wrong.label.min()), float(wrong.label.max())
        for part, what in zip(parts, ("target", "output"), strict=True):
            plane = part.reshape(-1, *part.shape[-2:])[0]
            scaled = (plane - low) * (255 / ((high - low) or 1.0))
            yield _image(np.clip(scaled, 0, 255).astype(np.uint8), what)


def _image(pixels: NDArray[np.uint8], what: str) -> Markup:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = {"width": max(round(width * scale), 1), "height": max(round(height * scale), 1)}
    return tag("img", src=data_uri(pixels), alt=what, title=what, **size)


def _row(first: str, *cells: str) -> Markup:
    numbers = (tag("td", cell, class_="num") for cell in cells)
    return tag("tr", tag("th", first, scope="row"), *numbers)


def _table(headings: Sequence[str], rows: Sequence[Markup]) -> Markup:
    first, *others = headings
    cells = [tag("th", first, scope="col")]
    cells += [tag("th", text, scope="col", class_="num") for text in others]
    return table(cells, rows)
