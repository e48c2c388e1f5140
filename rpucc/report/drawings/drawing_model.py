"""What the drawings and the page show of a program, derived once.

Not for how it looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rpucc.plan.plan import LayerPlan, Plan
from rpucc.report import units
from rpucc.report.drawings.network_graph import NetworkGraph, network
from rpucc.report.drawings.svg import kind_style
from rpucc.report.text.plan import update_policy, which_cycles

if TYPE_CHECKING:
    from rpucc.cost.network import NetworkCost
    from rpucc.placement import Placement
    from rpucc.program import Program
    from rpucc.target.target import ArrayKind


@dataclass(frozen=True)
class Scene:
    """A program with its plan, its network and its placement."""

    program: Program

    @cached_property
    def plan(self) -> Plan:
        """The program's plan."""
        return self.program.plan

    @cached_property
    def network(self) -> NetworkGraph:
        """The forward network."""
        return network(self.program)

    @cached_property
    def kinds(self) -> tuple[ArrayKind, ...]:
        """The target's kinds of array, also those not used."""
        return self.plan.kinds

    @cached_property
    def placement(self) -> Placement:
        """Which tile lies on which array."""
        return self.plan.placement

    @property
    def cost(self) -> NetworkCost:
        """What a sample costs."""
        return self.plan.cost

    @cached_property
    def positions(self) -> dict[str, int]:
        """Layer name to its place in the plan, the number that links drawings and tables."""
        return {layer.name: i for i, layer in enumerate(self.plan.layers)}

    @cached_property
    def kind_styles(self) -> list[tuple[str, str]]:
        """Return the style of each kind of array in use, with its name and size."""
        return [
            (kind_style(i), f"{kind.name} {units.matrix(kind.rows, kind.cols)}")
            for i, kind in enumerate(self.kinds)
            if kind.name in self.placement.arrays
        ]

    def layer(self, name: str) -> LayerPlan:
        """Return a layer of the plan by its name; KeyError for an unknown one."""
        return self.plan.layers[self.positions[name]]

    def kind_index(self, name: str) -> int:
        """Return the place of a kind of array in the target."""
        return next(i for i, kind in enumerate(self.kinds) if kind.name == name)


def layer_summary(layer: LayerPlan) -> str:
    """Return what a drawing says about a layer where the pointer rests; several lines."""
    lines = [f"{layer.name} ({layer.op})", f"matrix {units.matrix(layer.R, layer.C, layer.groups)}"]
    if not layer.analog:
        return "\n".join([*lines, "digital"])
    lines.append(
        f"{layer.grid[0]} × {layer.grid[1]} arrays {layer.array}, "
        f"{units.significant_percent(layer.utilisation)} used"
    )
    reads = f"{units.counted(layer.reads_forward, 'read')} forward"
    if layer.updates:
        reads += (
            f", {units.count(layer.reads_backward)} backward, "
            f"{units.counted(layer.updates, 'update')}"
        )
    lines.append(f"{reads} a sample")
    lines.append(f"{units.seconds(layer.seconds)} forward a sample")
    noise = which_cycles(layer.noise_forward, layer.noise_backward)
    bound = which_cycles(layer.bound_forward, layer.bound_backward)
    lines.append(f"NM {noise}, BM {bound}, update {update_policy(layer)}")
    return "\n".join([*lines, *(["the bottleneck"] if layer.is_bottleneck else [])])
