"""The piecewise-step device: steps that follow a table over the range, linear between its nodes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rpucc.errors import TargetError
from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.halving import cancelling
from rpucc.runtime.devices.shaped_step import LEAST_RANGE, ONE, ZERO, ShapedStep
from rpucc.target.values import ParameterValue

f32: Any = np.float32
i32: Any = np.int32
u32: Any = np.uint32


class PiecewiseStep(ShapedStep):
    """Δw+ = a+ f+(w), Δw- = -a- f-(w), times 1 + std ξ, clipped to the device's own bounds.

    f: factors at nodes that are equally spaced from the device's lower to its upper bound, linear
    between; a± as for `ConstantStep`. Both tables have as many nodes; one node is a constant.
    Source: Rasch et al. 2021 (arXiv 2104.02184), there `PiecewiseStepDevice`.
    """

    name = "piecewise-step"
    summary = "steps by a table of factors from bound to bound, linear between"
    source = "Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ShapedStep.defaults,
        "nodes_up": (1.0,),
        "nodes_down": (1.0,),
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ShapedStep.ranges,
        "nodes_up": (0.0, 1e6),
        "nodes_down": (0.0, 1e6),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ShapedStep.meanings,
        "dw_min": "step that the factors multiply",
        "nodes_up": "factors of up steps at equally spaced weights from w_min to w_max",
        "nodes_down": "factors of down steps there, from w_min to w_max, too",
    }
    constants = ("dw_min_std", "sections")
    tabulated = True

    def __init__(self, **parameters: ParameterValue) -> None:
        super().__init__(**parameters)
        up, down = (len(self.parameters[key]) for key in ("nodes_up", "nodes_down"))
        if up != down:
            raise TargetError(
                f"device.nodes_up: device '{self.name}' takes as many as nodes_down; found {up} "
                f"and {down}"
            )

    def _nodes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The factors up and down, of two nodes at least."""
        up, down = self.parameters["nodes_up"], self.parameters["nodes_down"]
        return (up, down) if len(up) > 1 else (up * 2, down * 2)

    def constant_values(self) -> tuple[float, ...]:
        """The noise from pulse to pulse, and how many pieces there are."""
        return self.parameters["dw_min_std"], float(len(self._nodes()[0]) - 1)

    def table_values(self) -> tuple[float, ...]:
        """All factors up, then all down."""
        up, down = self._nodes()
        return up + down

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray | None:
        """Where up and down steps are equal, by halving; nan where they are at no weight.

        None for factors that are the same everywhere.
        """
        ups, downs = (np.asarray(nodes, np.float32) for nodes in self._nodes())
        up, down, w_max, w_min = fabricated
        span, at = np.maximum(w_max - w_min, LEAST_RANGE), np.linspace(0, 1, len(ups))

        def net(w: FloatArray) -> Any:
            part = (w - w_min) / span
            return up * np.interp(part, at, ups) - down * np.interp(part, at, downs)

        return np.asarray(cancelling(net, w_min, w_max), np.float32)

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        dw_down: float,
        w_max: float,
        w_min: float,
        dw_min_std: float,
        sections: float,
        table: Any,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        part = (w - w_min) / max(w_max - w_min, LEAST_RANGE) * sections
        part = min(max(part, ZERO), sections)
        section = min(i32(part), i32(sections - ONE))
        place = u32(section if direction > 0 else section + i32(sections + ONE))
        first, second = table[place], table[u32(place + u32(1))]
        factor = first + (part - f32(section)) * (second - first)
        dw = direction * (dw_up if direction > 0 else dw_down) * factor
        moved: float = min(max(w + (dw + dw * dw_min_std * noise), w_min), w_max)
        return moved
