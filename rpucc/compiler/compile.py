"""The compiler: an ONNX model and a target in, a program out.

Puts importer, pipeline and checks together. Not for the passes themselves (rpucc/passes).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from rpucc import __version__, arguments, portable
from rpucc.compiler.option_values import BALANCED, SHAPE, class_weights, interval
from rpucc.compiler.options import CompileOptions
from rpucc.compiler.takes_options import takes_options
from rpucc.errors import (
    ArgumentError,
    ModelError,
    PassError,
    TargetError,
    UsageError,
    VerificationError,
    one_line,
)
from rpucc.layer_rules import bound
from rpucc.layers import other_names
from rpucc.losses import named
from rpucc.origins.keep import keep_source
from rpucc.passes.callbacks import Callback, check_structure
from rpucc.passes.execute import weights_bytes
from rpucc.passes.fold_batchnorm import is_batch_norm
from rpucc.passes.frontend.dropouts import is_dropout
from rpucc.passes.frontend.inference import take_as_inference
from rpucc.passes.frontend.input_shape import (
    fix_input_shape,
    open_negative_sizes,
    open_sizes,
)
from rpucc.passes.frontend.inputs import drop_unread_inputs
from rpucc.passes.frontend.messages import label_of
from rpucc.passes.frontend.normalise_input import normalisations, normalise_inputs
from rpucc.passes.frontend.onnx_tools import foreign_errors
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.frontend.source import read_model
from rpucc.passes.importer import Importer, Watch, check_file, drop_notes
from rpucc.passes.learning.objective import Wanted
from rpucc.passes.normalise_products import could_be_layer
from rpucc.passes.notes import add_notes
from rpucc.passes.pipeline import Options, build_pipeline, run_pipeline
from rpucc.passes.proof import lower_and_verify
from rpucc.passes.select_analog import is_candidate
from rpucc.plan.layers import digital_layers
from rpucc.program import Program, is_program, problems_of
from rpucc.target.target import Target
from rpucc.target.values import ZEROS
from rpucc.trust import Trust, is_own

if TYPE_CHECKING:
    from rpucc.compiler.options import WeightsOf
    from rpucc.passes.frontend.source import Source
    from rpucc.passes.insertion import Insertion
    from rpucc.target.target import TargetSource

DEFAULT_INPUT_RANGE = (0.0, 1.0)
"""Where neither the caller nor the model says what range the data have."""

VERIFY_MACS = 50_000_000
VERIFY_WEIGHTS = 1_000_000
VERIFY_NODES = 500
"""Above any of them (forward, one sample), compiling does not verify unless it is asked to:
checking costs some ten runs of forward, backward and update on a single thread, and several copies
of all values."""


@takes_options(CompileOptions)
def compile_model(model: Source, target: TargetSource, options: CompileOptions) -> Program:
    """Compile an ONNX model for a target, for training in situ or for inference alone.

    This is `rpucc.compile`. Of a PyTorch module `rpucc.from_torch` makes an ONNX model first, of a
    Keras model `rpucc.from_keras`.

    model: a name of the zoo (`rpucc models`), a path (of an ONNX file, of a .pt2 file of PyTorch or
        of a .keras file), the bytes of an ONNX file, an onnx.ModelProto or an ir.Model; it stays
        untouched. A string is looked up in the zoo first, a Path is a file.
    target: a preset's name (`rpucc targets`), the path of a TOML file, a dictionary with the
        tables of such a file, or a Target. Compiling imports no device of a user's own
        ("module:Class"); a Machine does, and looks beside the target's file first.
    options: all that follows as one CompileOptions; what is given beside it as a keyword comes
        in the place of that field.
    {options}

    Returns a Program: `.plan` prints how the network lies on the arrays, `.save` writes it as ONNX.
    Raises ModelError (file, node), UnsupportedError (an operator), TargetError (key),
    InfeasibleError (too few arrays; its `report` says what would help), PassError (a pass of your
    own), UsageError or, for an argument of a wrong type or value, ArgumentError. One line a
    problem.

    >>> import rpucc
    >>> program = rpucc.compile("lenet", "rpu-managed", overrides=["update.bl=1"])
    >>> program.plan.weights, program.plan.bottleneck
    (80202, 'conv1')
    """
    return compile_watched(model, options.applied_to(target), options, Problems())


def compile_watched(
    model: Source,
    chosen: Target,
    options: CompileOptions,
    problems: Problems,
    watch: Watch | None = None,
) -> Program:
    """Compile as `compile_model` does, in the sight of a caller that follows each step.

    chosen: the target with all that the options change of it. problems: what becomes of broken
    rules; the first is raised all the same. watch: sees the steps of the importer.
    """
    portable.check()
    start = time.perf_counter()
    imported = read_model(_from_zoo(model))
    if is_program(imported):
        raise ModelError(
            f"{_label(model)}: is a compiled rpucc program already; compile the original model"
        )
    version = imported.ir_version
    check_file(imported)  # only a valid model can be cloned
    given = imported.clone()
    given.ir_version = version
    take_as_inference(given)
    drop_notes(imported)
    open_negative_sizes(imported)
    input_shape = options.input_shape
    if callable(input_shape):
        stated = open_sizes(imported)
        input_shape = None if stated is None else input_shape(stated)
    if input_shape is not None:
        fix_input_shape(imported, arguments.integers("input_shape", input_shape, 1, SHAPE))
    if options.mean is not None or options.std is not None:
        by = normalisations(imported, options.mean, options.std)
        for each in (imported, given):  # the model that is exported takes the same data
            normalise_inputs(each, by)
    drawn: list[str] = []
    if options.init is not None:
        from rpucc.compiler.initial_weights import draw_weights

        _refuse_masked_zeros(chosen)
        drawn = draw_weights((imported, given), options.init, problems)
    original = imported.clone()
    take_as_inference(original)  # as the importer does: else training mode draws random numbers
    drop_unread_inputs(original)
    with foreign_errors(label_of(imported)):
        Importer(problems, watch)(imported)
    add_notes(imported, drawn)
    chosen = _bound(chosen, imported, problems)
    _describe(imported, chosen, _input_range(imported, options))
    seconds = time.perf_counter() - start
    from rpucc.runtime.devices import granularity, weight_bounds
    from rpucc.runtime.feedback import draw

    passes = build_pipeline(
        Options(
            chosen,
            training=options.training,
            wanted=_wanted(options),
            bounds=weight_bounds,
            granularity=granularity,
            draw=draw,
            problems=problems,
            own=tuple(options.passes),
        )
    )

    def lower(*checks: Callback) -> ir.Model:
        events = [*options.callbacks, *checks]
        try:
            with foreign_errors(label_of(imported)):
                return run_pipeline(imported.clone(), passes, events, import_seconds=seconds)
        except ModelError as error:
            for each in (error, *problems.found):
                if isinstance(each, ModelError):
                    each.name_model(label_of(imported))
            raise

    verify = _is_cheap(imported) if options.verify is None else options.verify
    folders = (chosen.folder,) if chosen.folder is not None else ()
    trust = Trust.given(chosen.own_devices, folders)
    if not verify:
        lowered = lower()
        check_structure(lowered, "the last pass")
        keep_source(lowered, given)
        return _checked(Program(lowered, trust=trust), options)
    try:
        proof = lower_and_verify(lower, original, seed=0)
    except VerificationError:
        # Rounding can flip a ReLU's gradient or a pool's argmax on one draw of inputs. A wrong
        # pass fails on any other draw too.
        proof = lower_and_verify(lower, original, seed=1)
    keep_source(proof.model, given)
    verified = Program(proof.model, verified=proof.whole, verification=proof.text, trust=trust)
    return _checked(verified, options)


def _refuse_masked_zeros(target: Target) -> None:
    """Refuse to draw weights anew where the file's zeros are to be kept."""
    updates = (target.update, *(rule.update for rule in target.layers))
    if any(update.mask == ZEROS for update in updates):
        raise UsageError(
            f'--init draws the zeros of the file anew, which update.mask = "{ZEROS}" is to keep: '
            "leave one of them out, or name the weights that stay in a file (update.mask = "
            '"FILE.npz")'
        )


def _wanted(options: CompileOptions) -> Wanted:
    """The loss that the options ask for; the file of a user's own is read here."""
    if not options.training:
        return Wanted()
    loss, given = options.loss, options.class_weights
    if isinstance(given, str):
        raise UsageError(
            f"class weights {BALANCED}: there are no labels here that would say them; give the "
            "weights, or in Python class_weights=rpucc.balanced_weights(data)"
        )
    weights = partial(_weights_by, given) if callable(given) else given
    named_loss = isinstance(loss, str) and named(loss) is not None
    wanted = str(loss) if named_loss else read_model(loss)
    return Wanted(wanted, weights, options.label_smoothing, options.input_gradients)


def _weights_by(function: WeightsOf, output: tuple[int, ...]) -> tuple[float, ...]:
    """What a user's function says, checked."""
    return class_weights("class_weights, what the function returns", function(output))


def _bound(target: Target, model: ir.Model, problems: Problems) -> Target:
    """The target with its layer rules in the names of the layers, batch norms and dropouts."""
    others = other_names(model)
    layers = {
        str(node.name): others.get(str(node.name), [])
        for node in model.graph
        if is_candidate(node) or could_be_layer(node) or is_batch_norm(node) or is_dropout(node)
    }
    try:
        return bound(target, layers, label_of(model))
    except TargetError as error:
        problems.add(error)
    return target


def _checked(program: Program, options: CompileOptions) -> Program:
    """Refuse device parameters that the device model does not have, before anything runs.

    The target cannot: only the model of the device knows which parameters there are. A model of a
    user's own is imported when a machine is made, and says so there.
    """
    _check_work_of(options.passes, program)
    from rpucc.runtime.devices import device_of

    for layer in program.plan.analog_layers:
        policy = program.target.for_layer(layer.name)
        for plane, device in policy.plane_devices.items():
            if not is_own(device.model):
                device_of(policy, plane=plane)
    return program


def _check_work_of(own: Sequence[Insertion], program: Program) -> None:
    """Raise PassError where passes of a user's own leave what could not be loaded again."""
    if not own:
        return
    names = ", ".join(f"'{each.each.name}'" for each in own)
    try:
        problem = next(problems_of(program), None)
    except Exception as error:  # any damage at all may have been done
        raise PassError(f"pass {names}: leaves no sound program: {one_line(error)}") from error
    if problem is not None:
        raise PassError(f"pass {names}: leaves no sound program: {one_line(problem)}")


def _from_zoo(model: Source) -> Source:
    """Build a model that is given by its name in the zoo; anything else stays."""
    if isinstance(model, str):
        from rpucc.models.zoo import MODELS, build, suggestion

        if model in MODELS:
            return build(model)
        path = Path(model)
        if not path.exists() and path.name == model and path.suffix != ".onnx":
            raise ModelError(
                f"{model}: no such file, and no model of the zoo ({', '.join(MODELS)})"
                f"{suggestion(model)}"
            )
    return model


def _describe(model: ir.Model, target: Target, input_range: tuple[float, float]) -> None:
    """Write what every program carries into the model's metadata."""
    notes = model.metadata_props
    notes["rpucc.version"] = __version__
    notes["rpucc.target"] = target.to_json()
    notes["rpucc.input_range"] = f"{input_range[0]!r} {input_range[1]!r}"
    model.producer_name, model.producer_version = "rpucc", __version__


def _input_range(model: ir.Model, options: CompileOptions) -> tuple[float, float]:
    """The caller's range, else the model's own, else (0, 1).

    The model's own is that of what it takes: of data that are normalised before it, nothing.
    """
    if options.input_range is not None:
        return options.input_range
    text = model.metadata_props.get("rpucc.input_range")
    if text is None or options.mean is not None or options.std is not None:
        return DEFAULT_INPUT_RANGE
    try:
        return interval("metadata rpucc.input_range", text[:60].split())
    except ArgumentError as error:
        raise ModelError(f"{label_of(model)}: {error}; --input-range gives another") from None


def _is_cheap(model: ir.Model) -> bool:
    """Whether verifying takes no more than some seconds and some hundred MB.

    onnxruntime opens some 30 models on the way, and takes milliseconds for each rpu op in each.
    """
    if len(model.graph) > VERIFY_NODES:
        return False
    macs = sum(layer.macs for layer in digital_layers(model))
    return macs <= VERIFY_MACS and weights_bytes(model) <= 4 * VERIFY_WEIGHTS


def _label(model: Source) -> str:
    if isinstance(model, str | os.PathLike):
        return str(model)
    if isinstance(model, onnx.ModelProto):
        return f"model {model.graph.name!r}"
    return "the model"
