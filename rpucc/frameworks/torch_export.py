"""`rpucc.from_torch`: a PyTorch module as an ONNX model whose weights are called as in its state.

Through `torch.onnx.export(dynamo=True)` without its optimiser, which would fold batch norms away.
Not for weights on their way back: `weights_home.py`. Not for files: `torch_archive.py`.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.errors import ArgumentError, ModelError, UnsupportedError, one_line
from rpucc.left_out import note_left_out

if TYPE_CHECKING:
    import onnx

NEEDED = ("torch", "onnxscript")
INSTALL = "pip install 'rpucc[torch]'"

SCOPES = "pkg.torch.onnx.name_scopes"
"""Node metadata of torch's exporter: a list of the modules that a node is in, and its operator."""

MODULE = "a torch.nn.Module, or what torch.export.export returns"
EXAMPLE = (
    "what the module is called with: a float tensor [N, ...], a tuple of arguments, or a "
    "dictionary of arguments by their names"
)


def from_torch(module: Any, example_input: Any = None) -> onnx.ModelProto:
    """Return a PyTorch module as an ONNX model, for `rpucc.compile`.

    Weights are called as in `module.state_dict()`, so that `machine.export().to_torch(module)`
    finds them again. The module stays as it is. Batch norms are exported as in evaluation and stay
    nodes of their own: they compute with the running mean and variance that the module has by now,
    and the target says what becomes of them. Dropouts (torch.nn.Dropout) stay nodes too, in the
    form of inference: a program that trains draws their masks. For layers that drop whole channels
    (Dropout2d), and for AlphaDropout, ONNX has no operator: they are left out, which a note of the
    program says.

    module: a torch.nn.Module with float32 weights, or a torch.export.ExportedProgram.
    example_input: what the module is called with: a tensor or an array [N, ...], of which shape
        and type count (uint8, as images are stored, stands for float32), a tuple of arguments, or a
        dictionary of arguments by their names. An ExportedProgram has its own: None. The batch N
        may be any; it stays open in the ONNX model unless the module fixes it.

    Raises ModelError where torch or onnxscript is not installed, UnsupportedError where torch
    cannot export the module, and ArgumentError for other arguments.
    """
    require("from_torch")
    import torch

    exported = isinstance(module, torch.export.ExportedProgram)
    if not exported and not isinstance(module, torch.nn.Module):
        raise arguments.wrong("from_torch(module)", module, MODULE)
    if exported:
        if example_input is not None:
            raise arguments.wrong("example_input", example_input, "None: an exported program's own")
        return export_program(module, "the exported program")
    module = plain(module)
    positional, named = _arguments(module, example_input)
    name = type(module).__name__
    modes = {each: each.training for each in module.modules()}
    drawing, others = _dropouts(module)
    try:
        module.eval()
        for each in drawing:
            each.train()  # else the exporter leaves it out
        shapes = {"dynamic_shapes": _open_batches(module, positional, named)}
        model = _export(module, positional, name, kwargs=named, **shapes)
        note_left_out(model, others)
        return model
    finally:
        for each, training in modes.items():
            each.training = training


def export_program(program: Any, name: str) -> onnx.ModelProto:
    """Return a torch.export.ExportedProgram as an ONNX model; raises UnsupportedError."""
    return _export(program, (), name)


def require(where: str) -> None:
    """Raise ModelError where torch or what its exporter needs is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ModelError(f"{where}: needs {' and '.join(missing)}: {INSTALL}")


def plain(module: Any) -> Any:
    """Return the module that torch.compile wraps: it has the names that its state goes by."""
    return getattr(module, "_orig_mod", module)


def _export(module: Any, positional: tuple[Any, ...], name: str, **how: Any) -> onnx.ModelProto:
    import torch

    try:
        with _silence():
            program = torch.onnx.export(
                module, positional, dynamo=True, optimize=False, verbose=False, **how
            )
            assert program is not None  # it is where no file is asked for
            model: onnx.ModelProto = program.model_proto
    except Exception as error:  # torch raises what it likes, also that of the module's own code
        raise UnsupportedError(f"{name}: torch cannot export it: {_reason(error)}") from error
    model.graph.name = name
    _drop_zero_biases(model.graph)
    _take_dropouts_as_inference(model.graph)
    return model


def _drop_zero_biases(graph: onnx.GraphProto) -> None:
    """Take the zeros away that torch adds to a convolution without a bias, which shall have none.

    They are a number, by way of CastLike and Expand; a bias of the module is an initializer.
    """
    from onnx import numpy_helper

    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.input) < 3:
            continue
        value, path = node.input[2], []
        while value in makers and makers[value].op_type in ("Expand", "CastLike", "Constant"):
            path.append(makers[value])
            value = path[-1].input[0] if path[-1].input else ""
        if path and path[-1].op_type == "Constant":
            (constant,) = path[-1].attribute
            if not numpy_helper.to_array(constant.t).any():
                del node.input[2]


def _dropouts(module: Any) -> tuple[list[Any], list[str]]:
    """The dropouts of a module that ONNX has an operator for, and the names of all others."""
    from torch.nn.modules.dropout import _DropoutNd

    drawing, others = [], []
    for name, each in module.named_modules():
        if isinstance(each, _DropoutNd) and each.p > 0:
            if type(each).__name__ == "Dropout":
                drawing.append(each)
            else:
                others.append(f"{name} ({type(each).__name__})")
    return drawing, others


def _take_dropouts_as_inference(graph: onnx.GraphProto) -> None:
    """Call each Dropout as its module, and take the input away that has it drop at random."""
    for node in graph.node:
        if node.op_type != "Dropout" or node.domain:
            continue
        del node.input[2:]
        scopes = {each.key: each.value for each in node.metadata_props}.get(SCOPES, "")
        with contextlib.suppress(ValueError, SyntaxError, TypeError, IndexError):
            node.name = ast.literal_eval(scopes)[-2] or node.name


def _reason(error: BaseException) -> str:
    """The first line of what began it all; torch adds pages of advice to it."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return one_line(f"{type(error).__name__}: {first}")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what torch prints, logs and warns of while it exports from the user's screen."""
    before = logging.root.manager.disable
    unread = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(unread),
        contextlib.redirect_stderr(unread),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


# ---------------------------------------------------------------- the example


def _arguments(module: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as positional and named arguments, tensors where the module's parameters are."""
    parameter = next(module.parameters(), None)
    device = parameter.device if parameter is not None else "cpu"
    if isinstance(example, Mapping):
        return (), {str(key): _tensor(each, device) for key, each in example.items()}
    if isinstance(example, tuple):
        return tuple(_tensor(each, device) for each in example), {}
    found = _tensor(example, device)
    if found is example and not hasattr(example, "dtype"):
        raise arguments.wrong("example_input", example, EXAMPLE)
    return (found,), {}


def _tensor(value: Any, device: Any) -> Any:
    """An array as a tensor, pixels as numbers; what is neither array nor tensor stays."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        value = torch.as_tensor(value)
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device, torch.float32 if value.dtype == torch.uint8 else value.dtype)


def _open_batches(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Say for every tensor that its first dimension may vary; torch finds where it may not."""
    import torch

    def opened(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return {0: torch.export.Dim.AUTO} if value.ndim else None
        if isinstance(value, Mapping):
            return {key: opened(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(opened(each) for each in value)
        return None

    try:
        bound = inspect.signature(module.forward).bind(*positional, **named).arguments
    except TypeError as error:
        raise ArgumentError(
            f"example_input: does not fit {type(module).__name__}.forward: {error}"
        ) from None
    return {name: opened(value) for name, value in bound.items()}
