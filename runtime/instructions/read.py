"""The read cycles as instructions: a NoiseManage, Read, Rescale, ReduceSum chain is one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import RpuccError
from rpucc.layers import FOR_INPUT, READS, cycle_of, weight_of
from rpucc.node_attributes import carried
from rpucc.runtime.addresses import hold_read
from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.chains import ReadChain
from rpucc.runtime.fits import require
from rpucc.runtime.kernels import philox
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.composed import Stages, read_kernels
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.products import multiply, multiply_groups
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Draws, Lines, Scratch, Settings
from rpucc.runtime.tallies import TILE_READS
from rpucc.stages import PRODUCT_STAGES, ProductStage

if TYPE_CHECKING:
    from rpucc.runtime.array import Array

# Outputs of a block of rows: 128 KiB of float32, so that they and their normals stay in cache.
BLOCK_OUTPUTS = 32768


def stages_of(node: ir.Node) -> dict[type[ProductStage], tuple[np.float32, ...]]:
    """The stages behind the product that a Read or BoundedRead has on, with their keys' values."""
    found = {}
    for stage in PRODUCT_STAGES:
        keys = carried(stage, "Read")
        values = [key.of_node(node) for key in keys]
        if values != [key.attribute.default for key in keys]:
            found[stage] = tuple(np.float32(cast(float, value)) for value in values)
    return found


def read_settings(node: ir.Node, noise_managed: bool) -> Settings:
    """What the attributes of a Read or BoundedRead say, in the kernels' terms."""
    attributes = node.attributes
    bound = attributes.get_float("bound", 0.0)
    dac_bits, adc_bits = attributes.get_int("dac_bits", 0), attributes.get_int("adc_bits", 0)
    max_halvings = attributes.get_int("max_halvings", 0)
    assumed_w_max = attributes.get_float("assumed_w_max", 0.0)
    return Settings(
        noise_managed=noise_managed,
        max_halvings=min(max_halvings, 1) if assumed_w_max else max_halvings,
        worst_case=np.float32(assumed_w_max / bound if bound > 0 else 0),
        noise=np.float32(attributes.get_float("noise", 0.0)),
        bound=np.float32(bound if bound > 0 else UNBOUNDED),
        dac_levels=np.float32(2 ** (dac_bits - 1) - 1 if dac_bits else 0),
        dac_stochastic=bool(dac_bits and attributes.get_int("dac_stochastic", 0)),
        adc_step=np.float32(2 * bound / (2**adc_bits - 2) if adc_bits else 0),
        stages=tuple(value for values in stages_of(node).values() for value in values),
    )


def _is_ideal(s: Settings) -> bool:
    """Whether a read is nothing but a matrix product."""
    return not (s.noise or s.dac_levels or s.adc_step or s.bound < UNBOUNDED or s.stages)


def build_read(executor: Builder, chain: ReadChain) -> Instruction:
    """One grid read, forward or transposed, from the chain's first input to its last output."""
    nodes = chain.nodes
    by_op = {node.op_type: node for node in nodes}
    node = by_op.get("Read") or by_op["BoundedRead"]
    array = executor.matrix(weight_of(node))
    layout = array.layout
    transpose = bool(node.attributes.get_int("transpose", 0))
    in_cuts, out_cuts = layout.col_cuts, layout.group_cuts
    tiles = np.ascontiguousarray(layout.group_tiles.transpose(0, 2, 1))
    if transpose:
        in_cuts, out_cuts, tiles = out_cuts, in_cuts, layout.group_tiles
    managed = "NoiseManage" in by_op
    if "ReduceSum" not in by_op or managed != ("Rescale" in by_op):
        raise RpuccError(
            f"node '{node.name}': the runtime runs a Read followed by the ReduceSum of its "
            "partial sums (and a Rescale between where a NoiseManage comes before)"
        )
    x = executor.array(nodes[0].inputs[0])
    inputs, outputs = int(in_cuts[-1]), int(out_cuts[-1])
    fits = x.dtype == np.float32 and x.ndim >= 2 and x.shape[-1] == inputs
    fits = fits and (layout.groups == 1 or (x.ndim == 4 and x.shape[1] == layout.groups))
    require(node, fits, f"its input {list(x.shape)} does not fit its matrix")
    y = executor.new(nodes[-1].outputs[0], (*x.shape[:-1], outputs))
    settings = read_settings(node, managed)
    grouped = layout.groups > 1
    lead = x.shape[-2:-1] if grouped else ()  # of groups the positions stay an axis
    X, Y = x.reshape(-1, *lead, inputs), y.reshape(-1, *lead, outputs)
    address, exact = executor.address, executor.address.exact
    if address.ideal or (_is_ideal(settings) and exact is None):
        return _product(executor, array, array.visible, X, Y, transpose)
    lines = Lines(in_cuts, out_cuts, tiles if grouped else tiles[0], transpose)
    purpose = philox.READ_BACKWARD if transpose else philox.READ_FORWARD
    if address.measuring:
        purpose = philox.READ_MEASURE
    if address.evaluating:
        purpose = philox.READ_RECALIBRATE if address.recalibrating else philox.READ_EVALUATE
    draws = Draws(
        positions=lead[0] if grouped else len(X) // executor.batch,
        purpose=purpose,
        place=_place(node, address.evaluating),
        k0=address.key[0],
        k1=address.key[1],
    )
    if _is_ideal(settings):
        analog = _product(executor, array, array.visible, X, Y, transpose)
    else:
        stages = tuple(stages_of(node))
        analog = _analog(executor, array, X, Y, lines, settings, draws, stages)
    if exact is None:
        return analog
    product = _product(executor, array, exact.weights[array.layer], X, Y, transpose)
    return lambda: (product if array.layer in exact.layers else analog)()


def _product(
    executor: Builder, array: Array, W: NDArray[np.float32], X: NDArray[Any], Y: NDArray[Any],
    transpose: bool,
) -> Instruction:  # fmt: skip
    """Exact products with W [R, C], whatever the periphery."""
    blas = blas_routines()
    if X.ndim == 3:
        return _grouped_product(executor, array.layout.by_group(W), X, Y, transpose)
    block = _block(Y.shape[1])

    def run(a: int, b: int) -> None:
        for m in range(a, b, block):
            multiply(m, min(m + block, b), blas, W, X, Y, transpose, False)

    return executor.split(len(X), X.size * Y.shape[1], run, piece=block)


def _grouped_product(
    executor: Builder, W: NDArray[np.float32], X: NDArray[Any], Y: NDArray[Any], transpose: bool
) -> Instruction:
    blas = blas_routines()
    return executor.split(
        len(X),
        X.size * Y.shape[-1],
        lambda a, b: multiply_groups(a, b, blas, W, X, Y, transpose),
    )


def _analog(
    executor: Builder, array: Array, X: NDArray[Any], Y: NDArray[Any], lines: Lines,
    settings: Settings, draws: Draws, stages: Stages,
) -> Instruction:  # fmt: skip
    longest = int(np.max(np.diff(lines.in_cuts)))
    widest = int(np.max(np.diff(lines.out_cuts)))
    hold_read(array.layer, draws.positions, max(longest, widest), draws.place)
    grouped = X.ndim == 3
    block = min(_block(widest), draws.positions if grouped else len(X))
    read, read_groups = read_kernels(stages)
    kernel, W = (read_groups, array.matrices) if grouped else (read, array.visible)
    bound = blas_routines(), W, X, Y, lines, settings, draws
    sums = max((stage.sums() for stage in stages), default=0)
    address, tallies = executor.address, executor.tallies
    example = Scratch.of(1, 1, 1), np.zeros(3, np.int64)
    code = machine_code(kernel, 0, 1, address.sample, *bound, *example)

    def scratch() -> tuple[Scratch, NDArray[np.int64]]:
        counts = tallies.line(array.layer)[TILE_READS]
        return Scratch.of(block, longest, widest, sums), counts

    def run(a: int, b: int, own: tuple[Scratch, NDArray[np.int64]]) -> None:
        code(a, b, address.sample, *bound, *own)

    piece = 1 if grouped else block
    return executor.split(len(X), X.size * Y.shape[-1], run, scratch, piece)


def _place(node: ir.Node, evaluating: bool) -> int:
    """Which of the layer's reads of its kind the node is: they draw their own noise.

    The reads of one direction have a purpose of their own; in an evaluation, where all forward
    reads have one purpose, both directions count.
    """
    weight, direction = weight_of(node), node.attributes.get_int("transpose", 0)
    same = [
        other
        for other in node.graph or ()
        if other.op_type in READS
        and weight_of(other) is weight
        and (
            cycle_of(other) == "forward"
            if evaluating
            else other.attributes.get_int("transpose", 0) == direction
        )
    ]
    # What only an input's gradient needs comes last, so that the others draw as without it.
    return sorted(same, key=lambda other: FOR_INPUT in other.metadata_props).index(node)


def _block(outputs: int) -> int:
    """Rows that are read together: a fixed function of the shape, so that results are too."""
    return max(64, min(256, BLOCK_OUTPUTS // outputs))
