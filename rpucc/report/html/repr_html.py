"""How a plan and a program show themselves in a notebook: a small table and the time bars.

No scripts and no style sheet: a notebook may take either away. Not for the whole page (html/).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.latency import cycle_styles, latency_drawing
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.text.plan import total_lines, update_policy, which_cycles

if TYPE_CHECKING:
    from rpucc.plan.plan import LayerPlan, Plan
    from rpucc.program import Program

MOST_LAYERS = 30
"""Rows of the table; the page has all."""
HEADINGS = ("layer", "op", "R × C", "grid", "array", "used", "reads", "NM", "BM", "update")


def program_html(program: Program) -> str:
    """Return a program as HTML: what it is, then its plan."""
    what = f"training with {program.loss} loss" if program.training else "inference"
    return joined(tag("p", tag("b", program.name), f": {what}"), plan_html(program.plan))


def plan_html(plan: Plan) -> Markup:
    """Return a plan as HTML: its layers, its totals, the time of each layer's arrays."""
    head = tag("tr", *(tag("th", heading, scope="col") for heading in HEADINGS))
    rows = [_row(layer) for layer in plan.layers[:MOST_LAYERS]]
    more = len(plan.layers) - MOST_LAYERS
    rest = tag("p", f"and {units.counted(more, 'more layer')}") if more > 0 else None
    totals = [
        tag("tr", tag("th", label, scope="row"), tag("td", text))
        for label, text in total_lines(plan)
    ]
    bars = None
    if plan.analog_layers and more <= 0:
        bars = latency_drawing(plan).file(cycle_styles(plan), header=False)
    return tag("div", tag("table", head, *rows), rest, tag("table", *totals), bars)


def beside(drawings: Iterable[Markup]) -> Markup | None:
    """Return drawings beside each other, in as many lines as they need; None for none."""
    found = [tag("span", each, style="display:inline-block;margin:4px") for each in drawings]
    return tag("div", *found) if found else None


def _row(layer: LayerPlan) -> Markup:
    name = tag("b", layer.name, " (bottleneck)") if layer.is_bottleneck else layer.name
    cells = [layer.op, units.matrix(layer.R, layer.C, layer.groups)]
    if layer.analog:
        cells += [
            f"{layer.grid[0]} × {layer.grid[1]}",
            layer.array,
            units.significant_percent(layer.utilisation),
            units.count(layer.reads_forward),
            which_cycles(layer.noise_forward, layer.noise_backward),
            which_cycles(layer.bound_forward, layer.bound_backward),
            update_policy(layer),
        ]
    else:
        cells += [units.NONE, "digital", *[units.NONE] * 5]
    return tag("tr", tag("td", name), *(tag("td", cell) for cell in cells))
