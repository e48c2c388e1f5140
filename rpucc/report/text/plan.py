"""The plan as tables: one row a layer, then the totals. Pure functions of a Plan.

Not for deriving numbers: those are the plan's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.constant_weights import by_op
from rpucc.plan.plan import LayerPlan, Plan
from rpucc.report import units
from rpucc.report.text.tables import fits, new_table, pairs, plain_text
from rpucc.target.values import STOCHASTIC

Cell = Callable[[LayerPlan], str]


class Column(NamedTuple):
    """One column of the table of layers."""

    header: str
    cell: Cell
    right: bool = False
    shown: Callable[[LayerPlan], bool] | None = None
    """The column is left out where this holds for no layer."""


def forward_reads(layer: LayerPlan) -> str:
    """Return the reads of one copy and what one takes: "36 reads of 10.0 ns (576 on 16 copies)"."""
    each = -(-layer.reads_forward // layer.replicas)
    reads = f"{units.counted(each, 'read')} of {units.seconds(layer.seconds / each)}"
    if layer.replicas == 1:
        return reads
    return f"{reads} ({units.count(layer.reads_forward)} on {layer.replicas:,} copies)"


def _arrays_of(layer: LayerPlan) -> str:
    """The kind of array, with the number where it is more than one: "small", "18 small"."""
    kind = units.plain(layer.array)
    return f"{units.count(layer.arrays)} {kind}" if layer.arrays > 1 else kind


def _analog(cell: Cell) -> Cell:
    """Show nothing for a digital layer."""
    return lambda layer: cell(layer) if layer.analog else units.NONE


NAME = Column("layer", lambda la: units.plain(la.name))
PLACE = (
    Column("op", lambda la: la.op),
    Column("matrix\nR × C", lambda la: units.matrix(la.R, la.C, la.groups), right=True),
    Column("copies", lambda la: str(la.replicas), right=True, shown=lambda la: la.replicas > 1),
    Column(
        "devices\na weight",
        lambda la: str(la.devices_per_weight),
        right=True,
        shown=lambda la: la.devices_per_weight > 1,
    ),
    Column("cell", lambda la: la.cell or units.NONE, shown=lambda la: is_cell(la)),
    Column("scale", lambda la: weight_scale(la), right=True, shown=lambda la: is_scaled(la)),
    Column("clipped", lambda la: clipped(la), right=True, shown=lambda la: la.clipped > 0),
    Column("fixed", lambda la: fixed(la), right=True, shown=lambda la: la.fixed > 0),
    Column("grid", _analog(lambda la: f"{la.grid[0]} × {la.grid[1]}")),
    Column("array", lambda la: _arrays_of(la) if la.analog else "digital"),
    Column("used", _analog(lambda la: units.significant_percent(la.utilisation)), right=True),
)
CYCLES = (
    Column("reads\nfwd", _analog(lambda la: units.count(la.reads_forward)), right=True),
    Column("a sample\nbwd", _analog(lambda la: _backward(la)), right=True),
    Column("NM", lambda la: which_cycles(la.noise_forward, la.noise_backward)),
    Column("BM", lambda la: which_cycles(la.bound_forward, la.bound_backward)),
    Column("update", lambda la: update_policy(la)),
)


def layer_tables(plan: Plan, width: int) -> list[RenderableType]:
    """Return the table of layers, split in two where it would not fit into `width` columns."""
    whole = _table((NAME, *PLACE, *CYCLES), plan.layers)
    if fits(whole, width):
        return [whole]
    return [_table((NAME, *PLACE), plan.layers), Text(), _table((NAME, *CYCLES), plan.layers)]


def _table(columns: Sequence[Column], layers: Sequence[LayerPlan]) -> Table:
    columns = [c for c in columns if c.shown is None or any(c.shown(la) for la in layers)]
    right = [i for i, column in enumerate(columns) if column.right]
    table = new_table(*(column.header for column in columns), numeric=right)
    for layer in layers:
        style = "bold" if layer.is_bottleneck else "" if layer.analog else "dim"
        table.add_row(*(column.cell(layer) for column in columns), style=style)
    return table


def which_cycles(forward: bool, backward: bool) -> str:
    """Return the cycles in which a management runs."""
    if forward and backward:
        return "both"
    return "fwd" if forward else "bwd" if backward else units.NONE


def update_policy(layer: LayerPlan) -> str:
    """Return how a layer's weights change: "BL 10", "BL ≤ 10 UM", "exact", "mean", "frozen"."""
    policy = layer.update
    if not policy:
        return units.NONE
    if layer.frozen:
        return "frozen"
    scale = policy["lr_scale"]
    rate = f" lr × {scale:g}" if scale != 1 else ""
    if policy["pulsed"] is not True:
        return f"{policy['pulsed'] or 'exact'}{rate}"
    most = "≤ " if policy["update_bl_management"] else ""
    managed = " UM" if policy["update_management"] else ""
    pulses = policy.get("pulses", STOCHASTIC)
    kind = "" if pulses == STOCHASTIC else f" {pulses}"
    return f"BL {most}{policy['bl']}{managed}{kind}{rate}"


def weight_scale(layer: LayerPlan) -> str:
    """Return what a layer's outputs are multiplied by: "× 1 to 8.5"; nothing without a scale."""
    if not is_scaled(layer):
        return units.NONE
    low, high = (f"{factor:.3g}" for factor in layer.weight_scale)
    return f"× {low}" if low == high else f"× {low} to {high}"


def is_cell(layer: LayerPlan) -> bool:
    """Tell whether the layer's weights are more than one device each."""
    return layer.cell not in ("", "plain")


def is_scaled(layer: LayerPlan) -> bool:
    """Tell whether the layer's outputs are multiplied for the sake of its weights."""
    return layer.weight_scale != (1.0, 1.0)


def clipped(layer: LayerPlan) -> str:
    """Return the share of a layer's weights that lie beyond the devices' mean bounds."""
    return units.significant_percent(layer.clipped / layer.weights) if layer.clipped else units.NONE


def fixed(layer: LayerPlan) -> str:
    """Return the share of a layer's weights that its mask keeps what they are."""
    return units.significant_percent(layer.fixed / layer.weights) if layer.fixed else units.NONE


def left_out(layer: LayerPlan) -> str:
    """Return what tiles of nothing but fixed zeros save: "8 tiles, 8 arrays and 16 tile reads"."""
    return (
        f"{units.counted(layer.tiles_left_out, 'tile')} of fixed zeros, which saves "
        f"{units.counted(layer.arrays_saved, 'array')} and "
        f"{units.counted(layer.reads_saved, 'tile read')} a sample"
    )


def _backward(layer: LayerPlan) -> str:
    return units.count(layer.reads_backward) if layer.reads_backward else units.NONE


def as_text(plan: Plan, width: int = 100) -> str:
    """Return the layers and the totals as plain text, for `print(program.plan)`."""
    return plain_text(*layer_tables(plan, width), "", totals(plan), width=width)


def totals(
    plan: Plan,
    *,
    verification: str = "",
    state_bytes: int | None = None,
    own_devices: Sequence[str] = (),
) -> RenderableType:
    """Return what the whole network takes: arrays, work, array time and the simulation's state.

    verification: what the compiler compared (`Program.verification`).
    own_devices: models of a user's own, of which nothing is known before they are imported.
    """
    lines = total_lines(plan)
    if own_devices:
        lines.append(
            ("simulation", f"bytes a weight unknown: {', '.join(own_devices)} not imported")
        )
    if state_bytes is not None and plan.weights:
        each = f"{state_bytes / (plan.weights + plan.feedback_weights):.3g}"
        text = f"{each} bytes a weight on arrays, {units.size(state_bytes)} in all"
        lines.append(("simulation", text))
    if verification:
        lines.append(("verified", units.plain(verification)))
    return pairs(lines)


def total_lines(plan: Plan) -> list[tuple[str, str]]:
    """Return the totals as label and text."""
    lines = [("arrays", _arrays(plan)), *_left_out(plan), *_sharing(plan), *_weights(plan)]
    work = f"{units.large(plan.macs)} multiply-accumulates a sample, forward"
    lines.append(("work", work))
    if plan.bottlenecks:
        lines.append(("bottleneck", bottleneck(plan)))
        times = (
            f"{units.seconds(plan.image_seconds)} a sample in the pipeline, "
            f"{units.seconds(plan.latency_seconds)} for one alone"
        )
        if plan.training:
            times += f"; training {units.seconds(plan.training_image_seconds)} a sample"
        lines.append(("array time", times))
        again = plan.expected_rereads
        held = f"with {again:g} re-reads a managed read, " if again else ""
        lines.append(
            ("", f"{held}without digital work{'' if again else ', re-reads'} and transfers")
        )
        lines.append(("rate", rate(plan)))
    if plan.cost.inference.energy.total:
        lines.append(("energy", energy(plan)))
    lines += [("note", units.plain(note)) for note in plan.notes]
    return lines


def bottleneck(plan: Plan) -> str:
    """Return the slowest layer and its reads, and how many are as slow."""
    first, *others = plan.bottlenecks
    more = f" and {units.counted(len(others), 'layer')} as slow" if others else ""
    return f"{units.plain(first.name)}{more}: {forward_reads(first)}"


def rate(plan: Plan) -> str:
    """Return images a second: "173,611 images/s; training 77,042 one by one, 86,806 pipelined"."""
    cost = plan.cost
    text = f"{units.large(cost.inference.images_per_second)} images/s"
    if cost.training_serial is None or cost.training_pipelined is None:
        return text
    serial = units.large(cost.training_serial.images_per_second)
    pipelined = units.large(cost.training_pipelined.images_per_second)
    return f"{text}; training {serial} one by one, {pipelined} pipelined"


def energy(plan: Plan) -> str:
    """Return the energy of an image, power and efficiency: "1.2 µJ an image, 0.2 W, 1.9 TOPS/W"."""
    run = plan.cost.inference
    power = f", {units.si(run.watts, 'W')}" if run.watts else ""
    efficiency = f"{units.three_digits(plan.tops_per_watt)} TOPS/W"
    text = f"{units.si(run.energy.total, 'J')} an image{power}, {efficiency}"
    if plan.cost.training_serial is not None:
        text += f"; training {units.si(plan.cost.training_serial.energy.total, 'J')} an image"
    return text


def _arrays(plan: Plan) -> str:
    if not plan.analog_layers:
        return "none: all layers are digital"
    if not plan.arrays:
        return "none"
    kinds = {layer.array: layer.array_size for layer in plan.analog_layers}
    used = (
        f"{units.count(n)} {units.plain(kind)} ({units.matrix(*kinds[kind])})"
        for kind, n in plan.arrays.items()
    )
    return f"{', '.join(used)}; {units.significant_percent(plan.utilisation)} of them used"


def _sharing(plan: Plan) -> Iterator[tuple[str, str]]:
    """Say what sharing arrays gains, and what of its cost is modelled."""
    apart, sharing = (plan.arrays_if(share=share) for share in (False, True))
    if apart == sharing:
        return
    if plan.share:
        yield "", f"shared by layers on disjoint rows and columns; apart they need {_kinds(apart)}"
        yield (
            "",
            "all stay readable at once, so no time is added; wiring and drivers are not modelled",
        )
    else:
        yield "", f"{_kinds(sharing)} if layers shared arrays (placement.share = true)"


def _left_out(plan: Plan) -> Iterator[tuple[str, str]]:
    """Say what tiles save that hold nothing but fixed zeros."""
    if text := left_out_text(plan):
        yield "left out", text


def left_out_text(plan: Plan) -> str:
    """Return what the tiles save that are left out: "8 tiles of fixed zeros: 8 small and …"."""
    tiles = sum(layer.tiles_left_out for layer in plan.layers)
    if not tiles:
        return ""
    reads = sum(layer.reads_saved for layer in plan.layers)
    saved = f"{_kinds(plan.arrays_saved) or 'no arrays'} and {units.counted(reads, 'tile read')}"
    return f"{units.counted(tiles, 'tile')} of fixed zeros, which saves {saved} a sample"


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{units.count(n)} {units.plain(kind)}" for kind, n in counts.items())


def weight_parts(plan: Plan) -> list[str]:
    """Return what is known of the weights, part by part: "24 digital", "8 digital, not trained"."""
    frozen = sum(each.count for each in plan.frozen)
    parts = [f"{units.count(plan.weights)} on arrays"]
    if plan.feedback_weights:
        parts.append(f"{units.count(plan.feedback_weights)} random for the errors")
    if plan.digital_weights > frozen:
        parts.append(f"{units.count(plan.digital_weights - frozen)} digital")
    if frozen:
        parts.append(f"{units.count(frozen)} digital and not trained")
    return parts


def _weights(plan: Plan) -> Iterator[tuple[str, str]]:
    text = ", ".join(weight_parts(plan))
    yield "weights", f"{text} ({units.size(plan.weights_bytes)} as float32)"
    if plan.frozen:
        ops = (f"{op} {units.count(count)}" for op, count in by_op(plan.frozen).items())
        yield "", f"not trained: {', '.join(ops)}"
