"""The trail that each node of a file leaves on its way through the importer and the passes.

A node is known by its outputs until the operators are normalised (onnx's converter makes new
nodes), by itself while the importer works, and by its name from then on. Which step took a node
out says what became of it. Not for what a step does: the steps are asked, never copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import onnx_ir as ir

from rpucc.constant_weights import count_of, weights_of
from rpucc.layers import MATRIX, NO_LAYER
from rpucc.opset.drop import DROP
from rpucc.passes.batch_norm_fates import decisions_of
from rpucc.passes.callbacks import IMPORT
from rpucc.passes.fold_batchnorm import BATCH_NORM
from rpucc.passes.frontend.dropouts import is_dropout, ratio_of
from rpucc.passes.frontend.messages import node_text
from rpucc.passes.graph_reader import ANALOG, LAYER
from rpucc.passes.normalise_products import could_be_layer
from rpucc.passes.select_analog import is_candidate
from rpucc.step_contract import StepContract
from rpucc.target.target import Target

if TYPE_CHECKING:
    from rpucc.passes.callbacks import PassEvent

Fate = Literal["array", "digital", "folded", "removed", "constant", "refused", "undecided"]

FATES: dict[Fate, str] = {
    "array": "its weights live on arrays",
    "digital": "computed outside the arrays, natively or through onnxruntime",
    "folded": "part of another node from then on",
    "removed": "not needed",
    "constant": "known before the first run",
    "refused": "cannot be compiled",
    "undecided": "the import stops before it is looked at",
}
"""What can become of a node."""

_TAKEN_OUT_BY: dict[str, tuple[Fate, str]] = {
    "drop_unread_inputs": ("removed", "no output depends on it"),
    "normalise_operators": ("removed", "the conversion to the program's opset replaces it"),
    "lift_constants": ("constant", "a constant of the file"),
    "drop_idle_nodes": ("removed", "it does nothing"),
    "fold_constants": ("constant", "its inputs are all constants"),
    "remove_unused_nodes": ("removed", "nothing uses its result"),
    "pin_batch": ("constant", "its inputs, shapes, are known"),
    "remove_shape_arithmetic": ("constant", "its result, a shape, is known"),
    "fold_batchnorm": ("folded", "a batch norm after a layer"),
    "select_analog": ("folded", "the bias of a layer"),
}
"""Step or pass -> what it did with a node that is there before it and not after it."""


@dataclass(frozen=True)
class NodeFate:
    """What would become of one node of the file."""

    node: str
    """As the file names it; empty where it does not."""
    layer: str
    """The name that plans and layer rules know it by; empty where the import takes it out."""
    output: str
    """Its first output: what tells apart nodes without a name."""
    op: str
    fate: Fate
    why: str
    into: str = ""
    """The node that it becomes part of."""
    runs: str = ""
    """Of a digital node: "native" or "onnxruntime"."""


@dataclass
class _Track:
    """A node under way."""

    name: str
    op: str
    text: str
    """What messages call it before the import names it."""
    out: str
    """Its first output."""
    node: ir.Node | None = None
    fate: Fate | None = None
    why: str = ""
    into: str = ""
    runs: str = ""
    weights: dict[str, int] = field(default_factory=dict)
    """Of a digital node: how many numbers its constant weights have, by their names."""


class Trail:
    """Watches a compilation; `fates` says what became of each node."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        """`own` are the names of passes of the user's own."""
        self._own = frozenset(own)
        self.name = ""
        """The name of the model's graph."""
        self.started = False
        """Whether a valid model has been seen."""
        self._tracks: list[_Track] = []
        self._target: Target | None = None
        """The target with its rules in the names of this model's layers, once there are names."""
        self._trained: set[str] | None = None
        """The initializers that a training step changes; None before that is known."""
        self._constants_known = False
        """Whether the import came so far that weights can be told from activations."""

    def imported(self, step: str, model: ir.Model) -> None:
        """Take note of a step of the importer."""
        if step == "check_file":
            self.name, self.started = model.graph.name or "model", True
            self._start(model)
        elif step == "normalise_operators":
            self._match_outputs(model)
        elif step == "lift_constants":
            self._constants_known = True
        self._note_taken_out(step, model)

    def lowered(self, event: PassEvent) -> None:
        """Take note of a pass of the pipeline."""
        model = event.model
        if event.name == IMPORT:  # the pipeline works on a copy
            self._target = Target.from_json(model.metadata_props["rpucc.target"])
            names = {node.name: node for node in model.graph}
            for track in self._under_way():
                track.node = names[track.node.name] if track.node is not None else None
            return
        if event.name == "draw_dropouts":
            self._note_dropouts(model)
        elif event.name == "normalise_products":
            self._follow_rewritten(model)
        elif event.name == "fold_batchnorm":
            self._note_batch_norms(model)
        elif event.name == "select_analog":
            self._note_layers()
        elif event.name == "differentiate":
            self._trained = set(StepContract.of(model).state)
        self._note_taken_out(event.name, model)
        if event.name == "select_analog":
            for track in self._under_way():
                _note_digital(track)

    def fates(self, target: Target, problems: Iterable[str]) -> list[NodeFate]:
        """Return what became of each node, in the order of the file.

        What a problem left undecided gets the fate that it would have by itself.
        """
        problems, bound = list(problems), self._target or target
        return [self._finished(track, bound, problems) for track in self._tracks]

    # ---------------------------------------------------------------- following nodes

    def _start(self, model: ir.Model) -> None:
        functions = {(f.domain, f.name) for f in model.functions.values()}
        for node in model.graph:
            if (node.domain, node.op_type) not in functions:  # its body's nodes take its place
                self._tracks.append(_track(node, node))

    def _match_outputs(self, model: ir.Model) -> None:
        """Find the nodes of the file again, and those that functions and the converter added."""
        made = {_first_output(node): node for node in model.graph}
        for track in self._tracks:
            track.node = made.pop(track.out, None)
        self._tracks += [_track(node, node) for node in made.values() if node.op_type != "Constant"]

    def _under_way(self) -> list[_Track]:
        return [track for track in self._tracks if track.fate is None]

    def _note_taken_out(self, step: str, model: ir.Model) -> None:
        """Give the nodes that a step has taken out the fate that this means."""
        meaning = _TAKEN_OUT_BY.get(step)
        if meaning is None and step in self._own:
            meaning = ("removed", f"taken out by pass '{step}'")
        if meaning is None:
            return
        made = {_first_output(node): node for node in model.graph}
        for track in self._under_way():
            if track.node is not None and track.node.graph is not None:
                continue
            successor = made.get(track.out)
            if successor is not None and successor.op_type == track.op:
                track.node = successor  # an Identity that could not go was made anew
                continue
            track.fate, track.why = meaning
            if track.fate == "folded" and successor is not None:
                track.into = successor.name or ""

    def _follow_rewritten(self, model: ir.Model) -> None:
        """Find nodes again whose names others have taken over: layers in the form of layers."""
        names = {node.name: node for node in model.graph}
        for track in self._under_way():
            if track.node is not None and track.node.graph is None:
                track.node = names.get(track.node.name)

    def _note_dropouts(self, model: ir.Model) -> None:
        """Find dropouts again that draw, and say why the others went."""
        names = {node.name: node for node in model.graph}
        for track in self._under_way():
            if track.node is None or not is_dropout(track.node):
                continue
            ratio, name = ratio_of(track.node), track.node.name
            made = names.get(name)
            if made is not None and made.op_type == DROP.name:
                track.node, track.why = made, f"draws its mask in training, ratio {ratio:g}"
                continue
            off = self._target is not None and self._target.for_layer(name or "").dropout.policy
            why = "its ratio is 0" if ratio == 0 else "it does nothing in inference"
            track.fate = "removed"
            track.why = "dropout.policy is off" if off == "off" else why

    def _note_batch_norms(self, model: ir.Model) -> None:
        found = {decision.node: decision for decision in decisions_of(model)}
        names = {node.name: node for node in model.graph}
        for track in self._under_way():
            decision = found.get(track.node.name or "") if track.node is not None else None
            if decision is None:
                continue
            if decision.fate == "folded":
                track.fate, track.why = _TAKEN_OUT_BY["fold_batchnorm"]
                track.into = decision.into
            else:
                why = f"{decision.fate}: {decision.why or 'the policy of the target'}"
                track.why, track.node = why, names[decision.node]

    def _note_layers(self) -> None:
        """Read the marks of select_analog."""
        for track in self._under_way():
            marks = track.node.metadata_props if track.node is not None else {}
            layer = marks.get(LAYER)
            if layer is None or track.node is None:
                continue
            if layer != track.node.name:  # the Add behind a MatMul
                track.fate, track.why = _TAKEN_OUT_BY["select_analog"]
                track.into = layer
            elif marks[ANALOG] == "1":
                shared = MATRIX in marks
                why = f"reads the matrix of {marks[MATRIX]!r}" if shared else "constant weights"
                track.fate, track.why = "array", why
            else:
                track.why = "a layer rule of the target"

    def _finished(self, track: _Track, target: Target, problems: list[str]) -> NodeFate:
        node = track.node
        if track.fate is None and not self._constants_known:
            track.fate, track.why = "undecided", "the import stops before"
        elif track.fate is None:
            _guess(track, target)
        if track.weights:
            track.why = _weights_text(track, self._trained)
        texts = {track.text} | ({node_text(node)} if node is not None else set())
        blamed = any(text in problem for text in texts for problem in problems)
        assert track.fate is not None
        return NodeFate(
            node=track.name,
            layer=(node.name or "") if node is not None and track.fate in _NAMED else "",
            output=track.out,
            op=track.op,
            fate="refused" if blamed else track.fate,
            why="see the problems" if blamed else track.why,
            into="" if blamed else track.into,
            runs="" if blamed else track.runs,
        )


_NAMED = ("array", "digital", "folded")


def _track(node: ir.Node, current: ir.Node | None) -> _Track:
    return _Track(node.name or "", node.op_type, node_text(node), _first_output(node), current)


def _first_output(node: ir.Node) -> str:
    return next((value.name for value in node.outputs if value.name), "")


def _guess(track: _Track, target: Target) -> None:
    """Decide by the node alone: a problem elsewhere has stopped the compilation before it."""
    node = track.node
    if node is None:
        track.fate, track.why = "digital", "unknown until the problems are solved"
    elif (is_candidate(node) or could_be_layer(node)) and target.for_layer(node.name or "").analog:
        track.fate, track.why = "array", "constant weights"
    else:
        _note_digital(track)


def _note_digital(track: _Track) -> None:
    """A node that stays outside the arrays: why, and what will run it."""
    from rpucc.runtime.digital.forecast import runs_natively

    node = track.node
    assert node is not None
    known = all(value is None or value.shape is not None for value in (*node.inputs, *node.outputs))
    track.fate = "digital"
    if not track.why and BATCH_NORM not in node.metadata_props:
        track.weights = {str(value.name): count_of(value) for value in weights_of(node)}
        track.why = node.metadata_props.get(NO_LAYER, "" if track.weights else "no weights")
    if known:
        track.runs = "native" if runs_natively(node) else "onnxruntime"


def _weights_text(track: _Track, trained: set[str] | None) -> str:
    """Say how many weights a digital node has, whether they learn, and why it is no layer."""
    total = sum(track.weights.values())
    count = f"{total:,} constant weight{'' if total == 1 else 's'}, stays digital"
    if trained is None:
        fate = ""
    elif trained.issuperset(track.weights):
        fate = ", trained"
    else:
        fate = ", not trained"
    return f"{count}{fate}{': ' if track.why else ''}{track.why}"
