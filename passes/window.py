"""The sliding window of a convolution or pool, with every default filled in.

Resolves absent attributes and auto_pad into explicit numbers. Not for computing anything on data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.errors import UnsupportedError


@dataclass(frozen=True)
class Window:
    """kernel_shape, strides, pads (begins, then ends) and dilations on an input of size `space`."""

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    @classmethod
    def of(cls, node: ir.Node, kernel: Sequence[int] | None = None) -> Window:
        """Read the window of a Conv, MaxPool or AveragePool; its input's space must be static.

        `kernel` stands in for an absent kernel_shape (a Conv takes it from its weight).
        """
        space = static_space(node)
        rank = len(space)
        ones = (1,) * rank
        size = ints(node, "kernel_shape", tuple(kernel) if kernel is not None else ones)
        strides, dilations = ints(node, "strides", ones), ints(node, "dilations", ones)
        pads = ints(node, "pads", (0,) * (2 * rank))
        lengths = (len(size), len(strides), len(dilations), len(pads) / 2)
        if any(length != rank for length in lengths):
            raise UnsupportedError(
                f"node {node.name!r} ({node.op_type}): kernel_shape {list(size)}, strides "
                f"{list(strides)}, pads {list(pads)} and dilations {list(dilations)} do not fit "
                f"an input with {rank} spatial dimensions"
            )
        auto_pad = node.attributes.get_string("auto_pad", "NOTSET")
        if auto_pad == "VALID":
            pads = (0,) * (2 * rank)
        elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            pads = _same_pads(space, size, strides, dilations, upper=auto_pad == "SAME_UPPER")
        return cls(space, size, strides, pads, dilations)

    @property
    def rank(self) -> int:
        """Number of spatial dimensions."""
        return len(self.kernel)

    @property
    def positions(self) -> tuple[int, ...]:
        """Window positions along each axis, the last partial one dropped (floor)."""
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        return tuple(
            (self.space[i] + self.pads[i] + self.pads[i + self.rank] - reach[i]) // self.strides[i]
            + 1
            for i in range(self.rank)
        )


def transposed_window(node: ir.Node, space: Sequence[int], kernel: tuple[int, ...]) -> Window:
    """Return the window that slides over the output of a ConvTranspose; UnsupportedError for none.

    space: the sizes of its input behind batch and channels.
    """
    rank = len(space)
    strides, dilations = ints(node, "strides", (1,) * rank), ints(node, "dilations", (1,) * rank)
    pads = ints(node, "pads", (0,) * 2 * rank)
    extra = ints(node, "output_padding", (0,) * rank)
    if any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        raise UnsupportedError(
            f"node {node.name!r} (ConvTranspose): output_padding {list(extra)} must be less than "
            f"strides {list(strides)}; pad its result with a Pad node instead"
        )
    size = tuple(
        strides[i] * (space[i] - 1) + dilations[i] * (kernel[i] - 1) + 1
        + extra[i] - pads[i] - pads[i + rank]
        for i in range(rank)
    )  # fmt: skip
    return Window(size, kernel, strides, pads, dilations)


def ints(node: ir.Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return an INTS attribute of `node`, or `default` where it is absent."""
    return tuple(node.attributes.get_ints(name, default))


def static_space(node: ir.Node) -> tuple[int, ...]:
    """Return the sizes of a node's input behind batch and channels; raises UnsupportedError."""
    value = node.inputs[0]
    if value is None or value.shape is None:
        raise UnsupportedError(
            f"node {node.name!r} ({node.op_type}): the shape of its input is not known; run shape "
            "inference on the model first"
        )
    space = value.shape.dims[2:]
    static = tuple(d for d in space if isinstance(d, int))
    if len(static) != len(space):
        raise UnsupportedError(
            f"node {node.name!r} ({node.op_type}): its input {value.name!r} has the dynamic shape "
            f"{value.shape}; only the batch may be dynamic, so export with a fixed image size"
        )
    return static


def _same_pads(
    space: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    upper: bool,
) -> tuple[int, ...]:
    """Return the pads with which ceil(space / stride) positions fit, the odd one last if upper."""
    begins, ends = [], []
    for size, k, stride, dilation in zip(space, kernel, strides, dilations, strict=True):
        positions = -(-size // stride)
        total = max(0, (positions - 1) * stride + dilation * (k - 1) + 1 - size)
        small = total // 2
        begins.append(small if upper else total - small)
        ends.append(total - small if upper else small)
    return (*begins, *ends)
