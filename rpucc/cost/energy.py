"""Joules: from reads, updates, digital operations and bytes, by the target's cost table.

Plain numbers only. Every formula and the source of each default: docs/cost.md.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpucc.cost.operations import Operations
    from rpucc.target.target import CostTable


@dataclass(frozen=True)
class Energy:
    """Joules by what takes them."""

    arrays: float = 0.0
    """Current through the crosspoints, in reads and pulses."""
    dac: float = 0.0
    adc: float = 0.0
    pulses: float = 0.0
    """Charging lines in updates."""
    digital: float = 0.0
    movement: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(astuple(self)))

    def __add__(self, other: Energy) -> Energy:
        return Energy(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Lines:
    """The lines and crosspoints of all tiles of one layer that one read or update uses."""

    rows: float
    """Rows, once for every tile that has them: R times the column segments."""
    columns: float
    """Columns, once for every tile that has them: C times the row blocks."""
    crosspoints: float
    """R · C: unused lines of an array are not driven, nor are those of tiles that are not there."""


def read_energy(
    reads: float, inputs: float, outputs: float, crosspoints: float, *,
    t_read: float, dac_bits: int, adc_bits: int, table: CostTable,
) -> Energy:  # fmt: skip
    """Return the energy of `reads` reads, repetitions included.

    arrays = reads · crosspoints · P · t_read
    dac    = reads · inputs · E_dac               (0 without converters)
    adc    = reads · outputs · E_step · 2^bits    (0 without converters)
    """
    return Energy(
        arrays=reads * crosspoints * table.crosspoint_power * t_read,
        dac=reads * inputs * table.dac_energy if dac_bits else 0.0,
        adc=reads * outputs * table.adc_step_energy * 2**adc_bits if adc_bits else 0.0,
    )


def update_energy(
    updates: int, lines: Lines, *, bl: int, t_pulse: float, table: CostTable
) -> Energy:
    """Return the energy of `updates` pulsed updates with BL slots, p of them used by each line.

    pulses = updates · BL · p · (rows + columns) · E_pulse
    arrays = updates · BL · p² · crosspoints · P · t_pulse     (where row and column coincide)
    """
    slots, p = updates * bl, table.pulse_density
    return Energy(
        arrays=slots * p**2 * lines.crosspoints * table.crosspoint_power * t_pulse,
        pulses=slots * p * (lines.rows + lines.columns) * table.pulse_energy,
    )


def transfer_energy(
    columns: float, lines: Lines, *, bl: int, t_pulse: float, table: CostTable
) -> Energy:
    """Return the energy of pulsing so many columns, whose line is on in all BL slots.

    lines: those of one column. Rows fire in p of the slots.

    pulses = columns · BL · (columns' lines + p · rows) · E_pulse
    arrays = columns · BL · p · crosspoints · P · t_pulse
    """
    slots, p = columns * bl, table.pulse_density
    return Energy(
        arrays=slots * p * lines.crosspoints * table.crosspoint_power * t_pulse,
        pulses=slots * (lines.columns + p * lines.rows) * table.pulse_energy,
    )


def write_energy(rows: float, columns: float, *, t_pulse: float, table: CostTable) -> Energy:
    """Return the energy of writing so many rows, each in one slot in which its line is on.

    columns: of a row, which fire in p of the slots.

    pulses = rows · (1 + p · columns) · E_pulse
    arrays = rows · p · columns · P · t_pulse
    """
    fired = rows * table.pulse_density * columns
    return Energy(
        arrays=fired * table.crosspoint_power * t_pulse,
        pulses=(rows + fired) * table.pulse_energy,
    )


def digital_energy(operations: Operations, table: CostTable) -> Energy:
    """Return the energy of digital operations."""
    return Energy(
        digital=operations.adds * table.add_energy
        + operations.multiplies * table.multiply_energy
        + operations.functions * table.function_energy
    )


def movement_energy(moved: float, table: CostTable) -> Energy:
    """Return the energy of moving so many bytes."""
    return Energy(movement=moved * table.byte_energy)
