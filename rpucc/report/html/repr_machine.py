"""How a machine shows itself in a notebook: its layers, and their weights between the bounds.

No scripts and no style sheet: a notebook may take either away. Not for the page of a run
(rpucc.report.runs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.weights import LEGEND, weights_drawing
from rpucc.report.html.repr_html import beside
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.text.training import trained_text
from rpucc.runtime.plane_figures import device_figures, state_figures

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.plane_figures import PlaneState

MOST_LAYERS = 24
"""Layers that are shown; of large networks the page of a run has all."""
HEADINGS = ("layer", "weights", "from", "to", "mean ± std", "at bounds", "clipped")
SHOWN = [LEGEND[0], LEGEND[3]]
"""Styles of the drawings: weights now, bounds of devices."""


def machine_html(machine: Machine) -> str:
    """Return a machine as HTML: what it is, a row and a histogram a layer."""
    done = machine.counters
    what = f" on {machine.program.target.name}, seed {machine.seed}, "
    what += trained_text(done.epoch, done.done, done.earlier)
    arrays = list(machine.arrays.values())
    rows, drawings = [], []
    for array in arrays[:MOST_LAYERS]:
        for state in state_figures(array):
            rows.append(_row(array, state))
            drawings.append(_drawing(array, state))
    head = tag("tr", *(tag("th", heading, scope="col") for heading in HEADINGS))
    more = len(arrays) - MOST_LAYERS
    rest = tag("p", f"and {units.counted(more, 'more layer')}") if more > 0 else None
    name = tag("p", tag("b", units.plain(machine.program.name)), what)
    return joined(name, tag("table", head, *rows), rest, beside(drawings))


def _row(array: Array, state: PlaneState) -> Markup:
    at_bounds = units.NONE
    if state.at_lower is not None and state.at_upper is not None:
        at_bounds = units.significant_percent(state.at_lower + state.at_upper)
    cells = (
        units.count(array.size),
        f"{state.weights.low:.3g}",
        f"{state.weights.high:.3g}",
        f"{state.mean:.2g} ± {state.std:.2g}",
        at_bounds,
        units.count(array.clipped) if array.clipped else units.NONE,
    )
    return tag("tr", tag("td", tag("b", _name(array, state))), *(tag("td", c) for c in cells))


def _name(array: Array, state: PlaneState) -> str:
    """The layer, and which of its planes where a weight is more than one device."""
    alone = len(array.planes) == 1 or not state.plane
    return units.plain(array.layer if alone else f"{array.layer}, {state.plane}")


def _drawing(array: Array, state: PlaneState) -> Markup:
    devices = next((each for each in device_figures(array) if each.plane == state.plane), None)
    ends = (devices.lower, devices.upper) if devices is not None else ()
    bounds = [each for each in ends if each is not None]
    drawing = weights_drawing(f"{_name(array, state)}: weights", state.weights, bounds=bounds)
    return drawing.file(SHOWN if bounds else SHOWN[:1], header=False)
