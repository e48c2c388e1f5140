"""Whether every random draw of a layer has an address of its own: limits of the counter's words.

A word has 32 bits (`scalars/philox.py`). What needs more would be drawn twice, so that it is
refused: samples and epochs as they are counted (`counters.py`), positions, lines and chunks here,
when their sizes are known. Not for tiles, which are numbered when a program is placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.errors import RpuccError

if TYPE_CHECKING:
    from rpucc.runtime.layout import Layout

WORD = 2**32
ELEMENTS = 64 * WORD // 16
"""Elements of one stream: 16 counters give 64."""
PLACES = 2**24
"""Reads of one matrix at different places of a network: 8 bits of their word count re-reads."""
POSITIONS = 2**26
"""Positions of a sample: 5 bits of their word are the slot, one marks the rest of a draw."""
CHUNKS = 2**16
"""Chunks of a batch whose noise is drawn together: 16 bits of their word are the row."""


def hold_read(layer: str, positions: int, lines: int, place: int) -> None:
    """Hold that a read's converters and noise have draws; lines: inputs or outputs of a tile."""
    _hold(layer, "values that a sample puts through a tile", positions * lines, ELEMENTS)
    _hold(layer, "places that read the matrix", place + 1, PLACES)


def hold_update(layer: str, layout: Layout, positions: int, slots: int, chunks: int | None) -> None:
    """Hold that an update's pulse trains and their noise have draws.

    positions: of a sample, each as often as it has trains; slots: of a train; chunks: of the batch,
    where coincidences are counted.
    """
    rows = max(b - a for a, b in zip(layout.row_cuts, layout.row_cuts[1:], strict=False))
    _hold(layer, "positions of a sample", positions, POSITIONS)
    _hold(layer, "rows of a tile times positions of a sample", positions * int(rows), WORD)
    if chunks is None:
        pulses = positions * slots * layout.longest_segment
        _hold(layer, "pulses that a row of a tile may get in a sample", pulses, ELEMENTS)
    else:
        _hold(layer, "groups of positions that are counted together", chunks, CHUNKS)


def hold_numbers(layer: str, positions: int, slots: int) -> None:
    """Hold that the pulses of a sample have draws where their numbers follow from the vectors."""
    pulses = positions * (-(-slots // 4))
    _hold(layer, "positions of a sample times a quarter of BL", pulses, WORD)


def hold_transfer(layer: str, columns: int, rows: int, slots: int) -> None:
    """Hold that the rows of all columns that are transferred together have draws in all slots."""
    _hold(layer, "pulse slots of a transfer", columns * rows * slots, ELEMENTS)


def _hold(layer: str, what: str, found: int, most: int) -> None:
    if found > most:
        raise RpuccError(
            f"layer '{layer}': random numbers would repeat: {what}: {found:,}, and {most:,} have "
            "numbers of their own; smaller samples, batches or arrays are needed"
        )
