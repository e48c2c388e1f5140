"""Dropouts of the file: which draw their masks in training, and what they become.

How it works, from the file to the step. The importer leaves a Dropout as it stands, in the form of
inference. Here it becomes one rpu Drop (`rpucc/opset/drop.py`) in a program that trains, or goes.
Drop has its mode and the names of its draws as graph inputs (`step_inputs.py`): one graph is a step
of training and an evaluation, which drops nothing, so every pass verifies. What it multiplies by is
a value of the graph, and the gradient multiplies by it again (`gradients/elementwise.py`).

Not for what an exporter's mode of a Dropout means: it draws in training whatever the file says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import ModelError
from rpucc.left_out import LEFT_OUT, left_out_of
from rpucc.opset import DOMAIN
from rpucc.opset.drop import DROP, RATIO
from rpucc.passes.base import RpuPass
from rpucc.passes.frontend.bypass import bypass
from rpucc.passes.frontend.dropouts import dropouts, ratio_of
from rpucc.passes.frontend.inference import TRAINING_MODE
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.notes import add_notes, listed, shortened
from rpucc.passes.step_inputs import draws_input, mode_input

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class DrawDropouts(RpuPass):
    """Give dropouts the masks that steps of training draw, or take them out.

    Requires: named nodes; folded constants; known shapes. Leaves behind: no Dropout. In a program
    that trains each of policy "draw" and a ratio above 0 is an rpu Drop, whose draws are its own;
    its mode and the address of its draws are new graph inputs, `training` and `draws`. All others
    are gone: they do nothing. The import notes sum it up.

        before: y = Dropout(x, ratio)
        after:  y, drop.mask = Drop(x, training, draws)   # ratio, number
    """

    target: Target
    training: bool = True
    problems: Problems = field(default_factory=Problems, repr=False, compare=False)

    name: ClassVar[str] = "draw_dropouts"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace or remove every Dropout; a ratio that is none raises ModelError."""
        nodes, left_out = dropouts(model), left_out_of(model)
        model.metadata_props.pop(LEFT_OUT, None)
        if self.training and left_out:
            add_notes(model, [_unknown(left_out)])
        if not nodes:
            return ir.passes.PassResult(model, modified=False)
        emitter = Emitter(model)
        drawn: list[tuple[str, float]] = []
        off = [str(node.name) for node in nodes if not self._is_on(node)]
        idle = [str(node.name) for node in nodes if TRAINING_MODE in node.metadata_props]
        for number, node in enumerate(nodes):
            ratio = self._ratio(node) if self.training and self._is_on(node) else 0.0
            if ratio > 0:
                drawn.append((str(node.name), ratio))
                _draw(emitter, node, ratio, number)
            else:
                bypass(model.graph, node)
        self.problems.gate()
        add_notes(model, _notes(drawn, off) if self.training else _left_out(idle))
        return ir.passes.PassResult(model, modified=True)

    def _is_on(self, node: ir.Node) -> bool:
        policy: str = self.target.for_layer(node.name or "").dropout.policy
        return policy == "draw"

    def _ratio(self, node: ir.Node) -> float:
        """The ratio of the file; 0 beside a problem where it is none."""
        ratio, x = ratio_of(node), node.inputs[0]
        if ratio is None:
            wrong = "its ratio is computed, not a constant"
        elif not RATIO.accepts(ratio):
            wrong = f"its ratio is {ratio:g}, not {RATIO.allowed.text}"
        elif ratio and x is not None and x.dtype is not None and x.dtype != ir.DataType.FLOAT:
            wrong = f"its input is {x.dtype.name.lower()}, not float"
        else:
            return ratio
        self.problems.add(
            ModelError(
                f"node {node.name!r} (Dropout): {wrong}; export it otherwise, or train without it: "
                'dropout.policy = "off"'
            )
        )
        return 0.0


def _draw(e: Emitter, node: ir.Node, ratio: float, number: int) -> None:
    """Put a Drop in the place of a Dropout, with the names of the node and of its result."""
    e.before = node
    y, _ = e.ops(
        DROP.name,
        node.inputs[0],
        mode_input(e),
        draws_input(e),
        outputs=["", f"{node.name}.mask"],
        name=str(node.name),
        domain=DOMAIN,
        ratio=ratio,
        number=number,
    )
    e.take_place(node, y)


def _notes(drawn: list[tuple[str, float]], off: list[str]) -> list[str]:
    lines = []
    if drawn:
        count = Counter(ratio for _, ratio in drawn)
        ratios = ", ".join(f"{ratio:g} ({n})" for ratio, n in sorted(count.items()))
        share = f"ratio {drawn[0][1]:g}" if len(count) == 1 else f"ratios {ratios}"
        verb, them = ("draws its mask", "it") if len(drawn) == 1 else ("draw their masks", "them")
        lines.append(
            f"dropouts: {listed(name for name, _ in drawn)} {verb} in training, {share}; "
            f"dropout.policy off leaves {them} out"
        )
    if off:
        verb = "does" if len(off) == 1 else "do"
        lines.append(f"dropouts: {listed(off)} {verb} nothing in training: dropout.policy is off")
    return lines


def _unknown(names: list[str]) -> str:
    """Say what the exporter could not take along."""
    verb = "draws" if len(names) == 1 else "draw"
    return (
        f"{shortened(names)} {verb} at random in training, in a way that ONNX has no operator for: "
        "left out"
    )


def _left_out(idle: list[str]) -> list[str]:
    """Say which the file would have drop at random where the program does not."""
    if not idle:
        return []
    was = "was" if len(idle) == 1 else "were"
    return [
        f"dropouts: {listed(idle)} {was} exported in training mode: left out, this is inference"
    ]
