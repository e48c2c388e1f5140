"""What each layer on arrays costs, as a table, as CSV, and in words.

Pure functions of what was measured. Not for the measuring: `rpucc.runtime.by_layer`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.csv import records_csv
from rpucc.report.drawings.by_layer import EFFECTS
from rpucc.report.text.tables import heading, new_table, pairs, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rpucc.runtime.layer_effects import ByLayer, LayerEffect, Score

WORDS = {name: meaning for name, (_, meaning) in EFFECTS.items()}
"""Effect -> what it is called."""


def as_text(found: ByLayer, width: int = 100) -> str:
    """Return the table and what belongs to it as plain text, for `print(found)`."""
    title = heading("layer by layer", f": {units.counted(found.samples, 'sample')}")
    return plain_text(*_tables(found, title), width=width)


def as_tables(found: ByLayer, program: str, data: str, state: str) -> list[RenderableType]:
    """Return the title, the table, what would help, and what was chosen.

    state: how long the weights were trained.
    """
    title = f" on {data}, layer by layer: {units.count(found.samples)} test samples, {state}"
    return _tables(found, heading(program, title))


def _tables(found: ByLayer, title: RenderableType) -> list[RenderableType]:
    totals = [
        ("all on the target", score_text(found.target)),
        ("all ideal", score_text(found.ideal)),
    ]
    what = "error" if found.ideal.error is not None else "loss"
    table = new_table(
        "layer", f"{what} alone", "all but it", "SNR", "clipped", "saturated", "range used",
        numeric=range(1, 7),
    )  # fmt: skip
    for each in found.layers:
        table.add_row(
            units.plain(each.layer),
            score_text(each.alone),
            score_text(each.without),
            decibel_text(each.snr),
            units.percent(each.clipped),
            units.percent(each.saturated),
            units.percent(each.range_used, 0),
        )
    parts: list[RenderableType] = [title, "", pairs(totals), "", table]
    if remedies := [(each.layer, remedy_text(each)) for each in found.layers if each.remedy]:
        parts += ["", pairs((units.plain(layer), text) for layer, text in remedies)]
    if found.chosen:
        chosen = [
            (
                units.plain(kept.layer),
                f"{score_text(kept.score)} with it digital{' too' if i else ''}",
            )
            for i, kept in enumerate(found.chosen)
        ]
        parts += ["", heading("to keep digital"), pairs(chosen)]
    return parts


def as_csv(found: ByLayer) -> str:
    """Return a line a layer: names as in the JSON, scores and effects as columns of their own."""
    return records_csv([_record(each) for each in found.layers])


def _record(each: LayerEffect) -> dict[str, object]:
    scores = {
        f"{name}_{key}": _cell(getattr(score, key))
        for name, score in (("alone", each.alone), ("without", each.without))
        for key in ("error", "loss")
    }
    figures = {
        key: _cell(getattr(each, key))
        for key in ("snr", "clipped", "at_bounds", "saturated", "range_used")
    }
    effects = {f"effect_{name}": value for name, value in each.effects.items()}
    remedy = "" if each.remedy is None else each.remedy.option
    return {"layer": each.layer, **scores, **figures, **effects, "remedy": remedy}


def _cell(value: float | None) -> object:
    return "" if value is None or math.isnan(value) else value


def score_text(score: Score) -> str:
    """Return an error, of a regression a loss."""
    return units.number(score.loss) if score.error is None else units.percent(score.error)


def decibel_text(snr: float) -> str:
    """Return a signal-to-noise ratio."""
    return f"{units.number(snr)} dB" if math.isinf(snr) else f"{snr:.1f} dB"


def remedy_text(each: LayerEffect) -> str:
    """Return what takes most of a layer's outputs, and what to try."""
    assert each.remedy is not None
    advice = f"try --set {units.plain(each.remedy.option)}"
    effect = each.remedy.effect
    if effect not in WORDS:
        return f"no single effect explains it; {advice}"
    lost = each.effects[effect]
    return f"{WORDS[effect]}: {decibel_text(-10 * math.log10(lost))} SNR alone; {advice}"
