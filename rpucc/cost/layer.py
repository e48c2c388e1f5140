"""The cost of one layer on arrays, cycle by cycle.

Not for how long images take one after another: that is network.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from rpucc.cost.energy import (
    Energy,
    Lines,
    movement_energy,
    read_energy,
    transfer_energy,
    update_energy,
    write_energy,
)
from rpucc.cost.timing import Cycle, Pace
from rpucc.cost.traffic import incoming, partial_sums
from rpucc.layers import AnalogLayer, left_out, reads_per_sample

if TYPE_CHECKING:
    import onnx_ir as ir

    from rpucc.cost.transfers import Transfers
    from rpucc.plan.layers import LayerPlan
    from rpucc.target.target import CostTable, Periphery


@dataclass(frozen=True)
class CycleCost:
    """One cycle of one layer, for one sample."""

    cycle: Cycle
    count: int
    """Reads, or updates, of the whole layer; replicas share them."""
    transfers: float
    """Columns of a fast array that are read and pulsed into a slow one, or of pairs that are read
    to be refreshed, in the update cycle; all tiles take theirs at once. Where minibatches are
    counted, of minibatches of one sample."""
    writes: float
    """Rows that are written with whole steps of a digital sum, in the update cycle; all tiles write
    theirs at once. Of minibatches of one sample."""
    rereads: float
    """Expected re-reads beyond them."""
    seconds: float
    dac_conversions: float
    adc_conversions: float
    moved_bytes: float
    """Values that come in, and partial sums where there are several column segments."""
    energy: Energy
    """Without digital work: that is counted by op, not by layer."""
    memory_bytes: float = field(default=0.0, repr=False)
    """What cells read and write of their digital memory, of values of the cost table."""


@dataclass(frozen=True)
class LayerCost:
    """One layer on arrays and its cycles: forward, and those of training that it takes part in."""

    name: str
    array: str
    cycles: tuple[CycleCost, ...]
    memory_bytes: float = field(default=0.0, repr=False)
    """Digital memory that its cells keep, of values of the cost table."""

    def energy(self, *cycles: Cycle) -> Energy:
        """Energy of these cycles for one sample."""
        return total_energy(each.energy for each in self.cycles if each.cycle in cycles)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {**asdict(self), "cycles": [asdict(cycle) for cycle in self.cycles]}


def total_energy(parts: Iterable[Energy]) -> Energy:
    """Add energies up."""
    return reduce(add, parts, Energy())


@dataclass(frozen=True)
class LayerCoster:
    """Makes a LayerCost from what is known of a layer."""

    layer: AnalogLayer
    plan: LayerPlan
    pace: Pace
    periphery: Periphery
    table: CostTable
    visible: int
    """Planes of its cells that a read sees."""
    batch: int | str | None
    """The batch axis of the program's values."""

    def run(self) -> LayerCost:
        """Return the cost of all cycles that the program has."""
        cycles = []
        if self.layer.forward:
            cycles.append(self._read("forward"))
        if self.layer.backward:
            cycles.append(self._read("backward"))
        if self.layer.updates:
            cycles.append(self._update())
        return LayerCost(self.plan.name, self.plan.array, tuple(cycles), self._memory)

    @property
    def _lines(self) -> Lines:
        """The lines and crosspoints that one read of all groups of one copy drives."""
        row_blocks, column_segments = self.plan.grid
        gone = [(height, width) for _, _, height, width in left_out(self.layer.first)]
        copies = self.layer.learners  # which are alike
        return Lines(
            rows=self._rows * column_segments - sum(height for height, _ in gone) / copies,
            columns=self.plan.groups * self.plan.C * row_blocks - sum(w for _, w in gone) / copies,
            crosspoints=self._rows * self.plan.C - sum(h * w for h, w in gone) / copies,
        )

    @property
    def _memory(self) -> float:
        found, learners = self.pace.transfers, self.layer.learners
        numbers = 0 if found is None else found.memory * self._lines.crosspoints * learners
        return numbers * self.table.value_bits / 8

    @property
    def _rows(self) -> int:
        return self.plan.groups * self.plan.R * self.plan.devices_per_weight

    def _read(self, cycle: Cycle) -> CycleCost:
        """All reads of a cycle, those of each direction on their own."""
        nodes = self.layer.forward if cycle == "forward" else self.layer.backward
        found = []
        for transposed in (False, True):
            same = [node for node in nodes if _is_transposed(node) == transposed]
            found += [self._read_in(cycle, same, transposed=transposed)] if same else []
        return reduce(_together, found)

    def _read_in(self, cycle: Cycle, nodes: list[ir.Node], *, transposed: bool) -> CycleCost:
        lines, (row_blocks, column_segments) = self._lines, self.plan.grid
        if transposed:
            inputs, outputs, segments = lines.rows, lines.columns, row_blocks
        else:
            inputs, outputs, segments = lines.columns, lines.rows, column_segments
        counts = [reads_per_sample(node) for node in nodes]
        count = sum(counts)
        rereads = count * self.pace.rereads(cycle)
        repeated = count + rereads
        periphery = self.periphery.backward if transposed else self.periphery
        value_bits = self.table.value_bits
        bits = sum(incoming(n, self.batch).bits(periphery.dac_bits, value_bits) for n in nodes)
        bits += partial_sums(count, outputs, segments) * (periphery.adc_bits or value_bits)
        electric = read_energy(
            repeated, inputs, outputs, lines.crosspoints * self.visible, t_read=self.pace.t_read,
            dac_bits=periphery.dac_bits, adc_bits=periphery.adc_bits, table=self.table,
        )  # fmt: skip
        return CycleCost(
            cycle=cycle,
            count=count,
            transfers=0.0,
            writes=0.0,
            rereads=rereads,
            seconds=sum(self.pace.seconds(cycle, each) for each in counts),
            dac_conversions=repeated * inputs if periphery.dac_bits else 0.0,
            adc_conversions=repeated * outputs if periphery.adc_bits else 0.0,
            moved_bytes=bits / 8,
            energy=electric + movement_energy(bits / 8, self.table),
        )

    def _update(self) -> CycleCost:
        counts = [reads_per_sample(node) for node in self.layer.updates]
        count, pace, periphery = sum(counts), self.pace, self.periphery
        copies = pace.replicas if pace.shared_updates else 1
        energy = update_energy(
            count * copies, self._lines, bl=pace.bl, t_pulse=pace.t_pulse, table=self.table
        )
        transfers = columns = 0.0
        found, one = pace.transfers, Lines(0, 0, 0)
        if found is not None:
            one = self._one_column(found)
            transfers = found.of(count) * found.columns
            columns = found.of(count) * found.everywhere * copies
            energy += read_energy(
                columns, one.columns, one.rows, one.crosspoints, t_read=pace.t_read,
                dac_bits=periphery.dac_bits, adc_bits=periphery.adc_bits, table=self.table,
            )  # fmt: skip
            energy += transfer_energy(
                columns, one, bl=found.bl, t_pulse=pace.t_pulse, table=self.table
            )
        writes = pace.writes
        if writes is not None and writes.pulsed:
            energy += write_energy(
                writes.lines * copies, writes.columns, t_pulse=pace.t_pulse, table=self.table
            )
        return CycleCost(
            cycle="update",
            count=count,
            transfers=transfers,
            writes=0.0 if writes is None else writes.rows,
            rereads=0.0,
            seconds=sum(pace.seconds("update", each) for each in counts),
            dac_conversions=columns * one.columns if periphery.dac_bits else 0.0,
            adc_conversions=columns * one.rows if periphery.adc_bits else 0.0,
            moved_bytes=0.0,
            memory_bytes=self._memory_traffic(columns / copies, one),
            energy=energy,
        )

    def _memory_traffic(self, columns: float, one: Lines) -> float:
        """Bytes of memory that so many columns read and write; it is kept once for all copies."""
        found = self.pace.transfers
        numbers = 0 if found is None else 2 * found.memory * columns * one.crosspoints
        return numbers * self.table.value_bits / 8

    def _one_column(self, found: Transfers) -> Lines:
        """What one column of every tile in a row of tiles drives, on average."""
        copies, everywhere = self.layer.learners, max(found.everywhere, 1)
        rows = self._rows - found.absent_values / copies / everywhere
        all_columns = self.plan.groups * self.plan.grid[0]
        columns = all_columns - found.absent_columns / copies / everywhere
        return Lines(rows=rows, columns=columns, crosspoints=rows)


def _is_transposed(read: ir.Node) -> bool:
    return bool(read.attributes.get_int("transpose", 0))


def _together(one: CycleCost, other: CycleCost) -> CycleCost:
    """Add up what reads of two directions cost in one cycle."""
    return CycleCost(
        cycle=one.cycle,
        count=one.count + other.count,
        transfers=one.transfers + other.transfers,
        writes=one.writes + other.writes,
        rereads=one.rereads + other.rereads,
        seconds=one.seconds + other.seconds,
        dac_conversions=one.dac_conversions + other.dac_conversions,
        adc_conversions=one.adc_conversions + other.adc_conversions,
        moved_bytes=one.moved_bytes + other.moved_bytes,
        memory_bytes=one.memory_bytes + other.memory_bytes,
        energy=one.energy + other.energy,
    )
