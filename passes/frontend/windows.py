"""Make every window explicit: kernel_shape, strides, dilations and pads of Conv and the pools.

Later passes then read one form: no auto_pad, no output_shape, no defaults.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import CONVOLUTIONS
from rpucc.passes.frontend.layers import WINDOWED, Layer
from rpucc.passes.frontend.messages import label_of, node_text, shape_text
from rpucc.passes.frontend.onnx_tools import Inferred


def make_windows_explicit(model: ir.Model, shapes: Mapping[str, Inferred]) -> None:
    """Write every attribute of a window out; `shapes` must be complete.

    auto_pad follows the ONNX specification of Conv, ConvTranspose and MaxPool: SAME pads to
    ceil(input / stride) outputs and puts an odd pad at the end (SAME_UPPER) or begin (SAME_LOWER).
    """
    for node in model.graph:
        layer = Layer(node, shapes)
        if layer.op not in WINDOWED:
            continue
        x, kernel = layer.dims(0), layer.kernel()
        if x is None or kernel is None:
            continue  # a weight that is computed from the input: stays digital as it is
        rank = len(kernel)
        strides = list(layer.ints("strides") or [1] * rank)
        dilations = list(layer.ints("dilations") or [1] * rank)
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        if layer.op == "ConvTranspose":
            pads = _transposed_pads(model, layer, x[2:], strides, extents)
        else:
            pads = _pads(layer, x[2:], strides, extents)
        for name in ("auto_pad", "output_shape"):
            node.attributes.pop(name, None)
        if layer.op in CONVOLUTIONS:
            node.attributes.add(ir.AttrInt64("group", node.attributes.get_int("group", 1)))
        explicit = {
            "kernel_shape": list(kernel),
            "strides": strides,
            "dilations": dilations,
            "pads": pads,
        }
        for name, values in explicit.items():
            node.attributes.add(ir.AttrInt64s(name, values))


def _pads(
    layer: Layer, space: tuple[int, ...], strides: list[int], extents: list[int]
) -> list[int]:
    """Pads of Conv or a pool, begins then ends."""
    mode = layer.node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(layer.ints("pads") or [0] * 2 * len(space))
    if mode == "VALID":
        return [0] * 2 * len(space)
    layer.node.attributes.pop("ceil_mode", None)  # SAME fixes the output size by itself
    totals = [
        max((-(-size // stride) - 1) * stride + extent - size, 0)
        for size, stride, extent in zip(space, strides, extents, strict=True)
    ]
    return _split(totals, more_at_end=mode == "SAME_UPPER")


def _transposed_pads(
    model: ir.Model,
    layer: Layer,
    space: tuple[int, ...],
    strides: list[int],
    extents: list[int],
) -> list[int]:
    """Pads of ConvTranspose; output_shape or SAME say the output's size instead of the pads.

    Where the kernel does not reach the output_shape, the node gets the rest as output_padding; SAME
    then makes do with less, as onnx and onnxruntime have it.
    """
    mode = layer.node.attributes.get_string("auto_pad", "NOTSET")
    wanted = layer.ints("output_shape")
    rank = len(space)
    if wanted is None:
        if mode == "NOTSET":
            return list(layer.ints("pads") or [0] * 2 * rank)
        if mode == "VALID":
            return [0] * 2 * rank
        wanted = [size * stride for size, stride in zip(space, strides, strict=True)]
    extra = layer.ints("output_padding") or [0] * rank
    sizes = list(wanted)[-rank:]
    totals = [
        stride * (size - 1) + more + extent - out
        for size, stride, more, extent, out in zip(
            space, strides, extra, extents, sizes, strict=True
        )
    ]
    missing = [max(-total, 0) for total in totals]
    if any(missing) and layer.ints("output_shape"):
        more = [a + b for a, b in zip(extra, missing, strict=True)]
        if any(a >= b for a, b in zip(more, strides, strict=True)):
            raise UnsupportedError(
                f"{label_of(model)}: {node_text(layer.node)}: the output {shape_text(sizes)} is "
                f"larger than the transposed convolution can make it: it needs output_padding "
                f"{shape_text(more)}, which must stay below the strides {shape_text(strides)}"
            )
        layer.node.attributes.add(ir.AttrInt64s("output_padding", more))
    return _split([max(total, 0) for total in totals], more_at_end=mode == "SAME_UPPER")


def _split(totals: list[int], *, more_at_end: bool) -> list[int]:
    """Split each total into a begin and an end; begins first."""
    less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return less + more if more_at_end else more + less
