"""The infeasibility report in a terminal: nothing cut, long lists shortened and said so."""

from __future__ import annotations

import pytest
from rich.console import Console

from rpucc.placement.infeasible import Infeasible, LayerNeed, Remedy, Shortage
from rpucc.report.text.infeasible import tables

LAYERS = tuple(
    LayerNeed(f"layer{i}", "small", 64, 512, 1 + 31 * (i == 3), 1 + (i == 4), 40 - i, 40 - i)
    for i in range(23)
)
NAMES = tuple(layer.layer for layer in LAYERS)
FOUND = Infeasible(
    "mine",
    (Shortage("small", (512, 256), 1500, 1000), Shortage("large", (4096, 4096), 2, 1)),
    LAYERS,
    (
        Remedy("analog = false for 8 layers", NAMES[:8], {"small": 900, "large": 1}, True),
        Remedy("placement.share = true", (), {"small": 1400}, False),
        Remedy("analog = false for 23 layers", NAMES, {}, True),
    ),
)


@pytest.mark.parametrize("width", [80, 100])
def test_tables(width: int) -> None:
    console = Console(width=width, markup=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(*tables(FOUND), sep="\n")
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert max(map(len, captured.get().splitlines())) <= width
    text = " ".join(lines)
    assert "…" not in text
    assert "small 512 × 256 1,500 1,000 500" in lines
    assert "large 4,096 × 4,096 2 1 1" in lines
    assert "layer3 32 of 64 × 512 small 37 37" in lines
    assert "layer4 64 × 512, 2 copies small 36 36" in lines
    assert "and 3 more layers on fewer arrays (--json lists all)" in lines
    assert "placement.share = true 1,400 small no" in lines
    assert "and 2 more" in text
    assert "none yes" in text


def test_one_line() -> None:
    assert FOUND.summary() == (
        "target mine: the network needs 1,500 arrays 'small' of 512 × 256 and there are 1,000 "
        "(500 too few), needs 2 arrays 'large' of 4096 × 4096 and there are 1 (1 too few); "
        "analog = false for 8 layers would be enough"
    )
    assert Infeasible("t", FOUND.shortages[1:], (), ()).summary().endswith("(1 too few)")
