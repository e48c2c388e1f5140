"""The importer: from any ONNX file to the checked, normalised ir.Model that the pipeline takes.

`load_model` is the way in. Not for what arrays can hold: `select_analog` decides that later.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common

from rpucc import portable
from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.errors import ModelError, UnsupportedError
from rpucc.exact_operators import inexact, not_held
from rpucc.left_out import LEFT_OUT
from rpucc.opset import DOMAIN, IR_VERSION
from rpucc.passes.frontend import support
from rpucc.passes.frontend.batch import FIXED_BATCH_KEY, NOTES_KEY, declared_batch, pin_batch
from rpucc.passes.frontend.bypass import drop_idle_nodes
from rpucc.passes.frontend.casts import settle_cast_likes
from rpucc.passes.frontend.constants import RANDOM_OPS, fold_constants
from rpucc.passes.frontend.dropouts import dropouts, note_ratios
from rpucc.passes.frontend.gemm import split_gemm_sums
from rpucc.passes.frontend.inference import (
    TRAINING_MODE,
    in_training_mode,
    note_constant_inputs,
    take_as_inference,
)
from rpucc.passes.frontend.inputs import drop_unread_inputs
from rpucc.passes.frontend.layers import LAYER_RULES, Layer
from rpucc.passes.frontend.messages import label_of, node_text, one_line
from rpucc.passes.frontend.names import name_nodes, weight_stems
from rpucc.passes.frontend.onnx_tools import Inferred, check, infer_shapes
from rpucc.passes.frontend.opset import convert_opset
from rpucc.passes.frontend.provenance import note_file_constants, note_uses
from rpucc.passes.frontend.rules import Problems, enforce
from rpucc.passes.frontend.sharing import SHARED_KEY, separate_weights
from rpucc.passes.frontend.sizes import refuse_impossible_sizes
from rpucc.passes.frontend.source import Source, read_model
from rpucc.passes.frontend.windows import make_windows_explicit
from rpucc.passes.notes import listed
from rpucc.step_contract import StepContract

__all__ = [
    "FIXED_BATCH_KEY",
    "NOTES_KEY",
    "SHARED_KEY",
    "Importer",
    "Source",
    "Watch",
    "check_file",
    "import_notes",
    "load_model",
]

INPUT_RANGE_KEY = "rpucc.input_range"
"""Model metadata: what the data lie between, where a user wrote it into the file."""

_CHECKER_ERRORS = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    RuntimeError,
    ValueError,
)


def load_model(source: Source) -> ir.Model:
    """Read an ONNX model and bring it into the form that the pipeline takes.

    source: a path, the bytes of a file, an onnx.ModelProto or an ir.Model; it stays untouched.
    External weights are read from the model's folder. `Importer` says what the result is like.

    Raises ModelError, or UnsupportedError for valid ONNX that rpucc cannot compile: one line that
    names the file, the node, the rule and what was found.

    >>> from rpucc.models import build
    >>> model = load_model(build("lenet"))
    >>> [node.name for node in model.graph][:3], StepContract.of(model).inputs
    (['conv1', 'tanh1', 'pool1'], ('x',))
    """
    return Importer()(read_model(source)).model


Watch = Callable[[str, ir.Model], None]
"""Called after each step of the import with the step's name and the model as it left it."""


def import_notes(model: ir.Model) -> list[str]:
    """What a user should know about a model's import: a fixed batch, what is left out."""
    return [str(line) for line in json.loads(model.metadata_props.get(NOTES_KEY, "[]"))]


class Importer(ir.passes.InPlacePass):
    """Check a model and normalise it; its meaning and its values' names stay.

    Requires: a model whose weights are all readable (`read_model` sees to that).

    Leaves behind: opset 21 (or the model's own, if newer) and IR version 10; no functions but those
    of the rpu domain; no input that nothing reads; no initializer among the inputs; no Constant
    or Identity node and no constant subgraph; every window explicit (no auto_pad); every
    Reshape with a constant target; one initializer a use, unless the file shares a weight matrix
    (metadata `SHARED_KEY`); unique names; a shape on every value, static but for the batch "N" (or
    metadata `FIXED_BATCH_KEY`); the step contract of inference, remarks in `NOTES_KEY`.

    Before: `Conv(x[1,1,28,28], W, auto_pad=SAME_UPPER)`, unnamed, opset 8.
    After:  `conv_1 = Conv(x[N,1,28,28], W, kernel_shape=[5,5], pads=[2,2,2,2], ...)`, opset 21.
    """

    def __init__(self, problems: Problems | None = None, watch: Watch | None = None) -> None:
        """`problems` may collect what is wrong; `watch` is called after each step."""
        self.problems = problems or Problems()
        self.watch: Watch = watch or (lambda step, model: None)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run all steps; raises ModelError or UnsupportedError."""
        drop_notes(model)
        check_file(model)
        self.watch("check_file", model)
        notes = _normalise_operators(model, self.problems, self.watch)
        self.watch("normalise_operators", model)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        self.watch("lift_constants", model)
        drop_idle_nodes(model)
        self.watch("drop_idle_nodes", model)
        settle_cast_likes(model)
        stems = weight_stems(model)  # folding gives a transposed weight another name
        before = dropouts(model)
        notes += _folded_notes(fold_constants(model))
        notes += note_ratios(model, before)
        self.watch("fold_constants", model)
        split_gemm_sums(model)
        self.watch("split_gemm_sums", model)
        common.RemoveUnusedNodesPass()(model)
        self.watch("remove_unused_nodes", model)
        name_nodes(model, stems)
        _check_network(model, self.problems)
        why_fixed = pin_batch(model)
        notes += [why_fixed] if why_fixed else []
        self.watch("pin_batch", model)
        common.RemoveUnusedNodesPass()(model)
        self.watch("remove_shape_arithmetic", model)
        note_file_constants(model)
        separate_weights(model)
        note_uses(model)
        _finish(model, notes + _random_notes(model))
        return ir.passes.PassResult(model, modified=True)


def drop_notes(model: ir.Model) -> None:
    """Forget what a file says in rpucc's own words: it is no program, and nobody has checked it.

    The range of the data is a user's to say.
    """
    functions = model.functions.values()
    nodes = [*model.graph.all_nodes(), *(node for each in functions for node in each.all_nodes())]
    values = (*model.graph.inputs, *model.graph.initializers.values())
    notes = [model.metadata_props, model.graph.metadata_props]
    notes += [function.metadata_props for function in functions]
    notes += [value.metadata_props for value in values]
    notes += [node.metadata_props for node in nodes]
    notes += [value.metadata_props for node in nodes for value in node.outputs]
    for held in notes:
        for key in [key for key in held if key.startswith("rpucc.")]:
            if key not in (INPUT_RANGE_KEY, INITIAL_WEIGHTS, LEFT_OUT):
                del held[key]


def check_file(model: ir.Model) -> None:
    """Refuse what is no valid ONNX model at all; raises ModelError."""
    label = label_of(model)
    enforce(support.FILE_RULES, model, label)
    # Old files (IR 3) must list weights among the inputs; onnxruntime does not mind, nor do we.
    model.ir_version = max(model.ir_version, IR_VERSION)
    try:
        check(model)
    except _CHECKER_ERRORS as error:
        raise ModelError(f"{label}: not a valid ONNX model: {one_line(error)}") from error


def _normalise_operators(model: ir.Model, problems: Problems, watch: Watch) -> list[str]:
    """Only supported standard operators, in inference mode, at the program's opset.

    Returns what a user should know about it.
    """
    label = label_of(model)
    try:
        common.InlinePass(lambda function: function.domain != DOMAIN)(model)
    except (ValueError, ir.passes.InvariantError) as error:
        reason = one_line(error.__cause__ or error)
        raise UnsupportedError(f"{label}: cannot inline the model's functions: {reason}") from error
    for name in [key for key, f in model.functions.items() if f.domain != DOMAIN]:
        del model.functions[name]
    for node in model.graph:
        where = f"{label}: {node_text(node)}"
        enforce(support.OP_RULES, node, where, UnsupportedError, problems)
    if any(support.no_subgraphs(node) for node in model.graph):
        problems.gate()  # nothing is known of the sizes in there
    common.RemoveInitializersFromInputsPass()(model)
    training = in_training_mode(model)
    take_as_inference(model)
    notes = drop_unread_inputs(model)
    watch("drop_unread_inputs", model)
    _check_input(model, problems)
    refuse_impossible_sizes(model)
    common.RemoveUnusedOpsetsPass()(model)
    model.ir_version = IR_VERSION
    try:
        convert_opset(model)
    except UnsupportedError:
        problems.gate()  # a refused op may be the cause
        raise
    for node in model.graph:  # after the converter, which drops what is noted on nodes
        if node.outputs[0].name in training:
            node.metadata_props[TRAINING_MODE] = "1"
    note_constant_inputs(model)
    return notes


def _check_input(model: ir.Model, problems: Problems) -> None:
    """Whether the network has inputs of known shape; nothing can be inferred without."""
    before, label, inputs = len(problems.found), label_of(model), list(model.graph.inputs)
    enforce((support.some_input,), model, label, UnsupportedError, problems)
    for value in inputs:
        enforce(support.INPUT_RULES, value, label, UnsupportedError, problems)
    if len(problems.found) == before:
        for value in inputs:
            enforce(support.INPUT_SIZE_RULES, value, label, problems=problems)
        enforce((support.one_batch,), model, label, UnsupportedError, problems)
    if len(problems.found) > before:
        problems.gate()


def _check_network(model: ir.Model, problems: Problems) -> None:
    """Weights and shapes; leaves the windows explicit."""
    label = label_of(model)
    for value in model.graph.initializers.values():
        enforce(support.WEIGHT_TYPE_RULES, value, label, UnsupportedError, problems)
        enforce(support.WEIGHT_RULES, value, label, problems=problems)
    batch = declared_batch(model) or 1
    shapes = infer_shapes(model, batch, strict=False)
    for node in model.graph:
        where = f"{label}: {node_text(node)}"
        enforce(LAYER_RULES, Layer(node, shapes), where, problems=problems)
    problems.gate()
    shapes = _infer_strictly(model, batch)
    make_windows_explicit(model, shapes)
    after = _infer_strictly(model, batch)
    for value in (v for node in model.graph for v in node.outputs if v.name):
        if after.get(str(value.name)) != shapes.get(str(value.name)):
            raise AssertionError(f"explicit pads change the shape of {value.name!r}")


def _infer_strictly(model: ir.Model, batch: int) -> dict[str, Inferred]:
    try:
        return infer_shapes(model, batch)
    except _CHECKER_ERRORS as error:
        raise ModelError(
            f"{label_of(model)}: the shapes in the network do not fit: {one_line(error)}"
        ) from error


def _random_notes(model: ir.Model) -> list[str]:
    """Say which nodes draw numbers that no seed of rpucc's decides."""
    names = [
        str(node.name) for node in model.graph if node.domain == "" and node.op_type in RANDOM_OPS
    ]
    if not names:
        return []
    verb = "draws" if len(names) == 1 else "draw"
    return [
        f"{listed(names)} {verb} from onnxruntime's own generator, in evaluations too: no run can "
        "be repeated"
    ]


def _folded_notes(folded: list[ir.Node]) -> list[str]:
    """Say which constants of a portable compilation another machine may round otherwise."""
    if not portable.asked() or not (names := inexact(folded)):
        return []
    return [f"{not_held(names)}; compiled once, the program is the same everywhere"]


def _finish(model: ir.Model, notes: list[str]) -> None:
    """Metadata, and a last full check of what the steps have made."""
    StepContract.inference(model).write(model)
    if notes:
        model.metadata_props[NOTES_KEY] = json.dumps(notes)
    try:
        check(model, full=True)
    except _CHECKER_ERRORS as error:
        raise ModelError(
            f"{label_of(model)}: not valid after the import: {one_line(error)}"
        ) from error
