"""How devices answer to pulses, as text: a curve of one line and what it says in numbers.

Not for pulsing them: that is rpucc.runtime.response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import RenderableType

from rpucc.report import units
from rpucc.report.text.tables import pairs

if TYPE_CHECKING:
    from rpucc.runtime.devices.derived import Derived
    from rpucc.runtime.response import Response

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE_COLUMNS = 60


def response_label(name: str, response: Response) -> str:
    """Return what a response shows, in a line."""
    devices, leg = units.counted(len(response.weights), "device"), units.count(response.leg)
    return f"{name}: {leg} pulses up, then {leg} down, on {devices} (seed {response.seed})"


def symmetry_text(response: Response) -> str:
    """Return the symmetry points as mean ± standard deviation; "none" for a model without."""
    points = response.symmetry
    if points is None:
        return "none"
    text = units.spread(float(points.mean()), float(points.std()))
    none = len(response.weights) - len(points)
    return text + (f", none for {units.counted(none, 'device')}" if none else "")


def response_text(name: str, response: Response, figures: Derived) -> RenderableType:
    """Return what follows from the parameters, then the mean curve in a line of blocks.

    With its ends, and the spread of the devices there.
    """
    top = len(response.pulses) // 2
    found = " (searched: the model does not declare them)" if response.searched else ""
    return pairs(
        [
            *_derived(figures),
            ("response", response_label(name, response)),
            ("mean", _curve(response.mean)),
            ("after up", _weight(response, top)),
            ("after down", _weight(response, -1)),
            ("symmetry", symmetry_text(response) + found),
        ]
    )


def _derived(figures: Derived) -> list[tuple[str, str]]:
    """How fine the steps of the mean device are, and where they cancel."""
    states = "no bounds"
    if figures.states is not None and figures.granular_states is not None:
        states = f"{figures.states:,.4g} steps of dw_min from bound to bound"
        if figures.granularity != figures.dw_min:
            states += f", {figures.granular_states:,.4g} of the granularity"
    point = figures.symmetry_point
    return [
        ("granularity", f"{figures.granularity:.4g}, the step that pulse probabilities divide by"),
        ("states", states),
        ("mean device", f"symmetry point {'none' if point is None else f'{point:.4g}'}"),
    ]


def _weight(response: Response, point: int) -> str:
    return f"weight {units.spread(float(response.mean[point]), float(response.std[point]))}"


def _curve(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    """The values, at equal distances, as blocks between their lowest and highest."""
    at = np.linspace(0, len(values) - 1, CURVE_COLUMNS).round().astype(int)
    low, high = float(values.min()), float(values.max())
    heights = (values[at] - low) / ((high - low) or 1.0) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[int(height)] for height in heights.round())
