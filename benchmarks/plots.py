"""The two plots of the page: ratios beside the goals, and the scaling series. Needs matplotlib."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks import cases
from benchmarks.measure import Results
from benchmarks.report import scaling_lines
from benchmarks.scaling import SERIES, slope
from rpucc.files import write_whole

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

BLUE, ORANGE, GREY, INK = "#2a6fbb", "#d9792b", "#9aa0a6", "#222222"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "figure.facecolor": "white",
    "svg.hashsalt": "rpucc",
    "svg.fonttype": "none",
}


def write(results: Results, folder: Path) -> list[Path]:
    """Write the plots that have data; returns the files."""
    with plt.rc_context(STYLE):
        figures = {"benchmarks": ratios(results), "benchmarks-scaling": scaling(results)}
        written = []
        for name, figure in figures.items():
            if figure is None:
                continue
            save = partial(figure.savefig, format="svg", bbox_inches="tight", facecolor="white")
            write_whole(folder / f"{name}.svg", partial(save, metadata={"Date": None}))
            plt.close(figure)
            written.append(folder / f"{name}.svg")
    return written


def ratios(results: Results) -> Any:
    """One line a goal: the range over rounds, the median, and where the goal lies."""
    shown = [(g, results.ratios(g.ours, g.theirs, g.metric)) for g in cases.goals()]
    shown = [(goal, found) for goal, found in shown if found][::-1]
    if not shown:
        return None
    figure, axes = plt.subplots(figsize=(8.5, 0.36 * len(shown) + 1.1))
    for y, (goal, found) in enumerate(shown):
        median = statistics.median(found)
        axes.barh(y, median - 1, color=BLUE, height=0.55, left=1, zorder=2)
        axes.plot([min(found), max(found)], [y, y], color=INK, lw=1, zorder=3)
        axes.annotate(
            f"{median:.3g}×", (max(*found, goal.aim or 0, goal.at_least or 0, 1), y),
            xytext=(7, 0), textcoords="offset points", va="center", color=INK,
        )  # fmt: skip
        for wanted, color in ((goal.at_least, ORANGE), (goal.aim, INK)):
            if wanted is not None:
                axes.plot([wanted, wanted], [y - 0.4, y + 0.4], color=color, lw=2, zorder=4)
    axes.set_yticks(range(len(shown)), [goal.name for goal, _ in shown])
    axes.set_xscale("log")
    least = min(0.5, *(min(found) for _, found in shown))
    axes.set_xlim(least / 1.2, 60)
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if t >= least / 1.2]
    axes.set_xticks(ticks, [f"{t:g}×" for t in ticks])
    axes.minorticks_off()
    axes.axvline(1, color=GREY, lw=1, zorder=1)
    axes.tick_params(axis="y", length=0)
    axes.plot([], [], color=ORANGE, lw=2, label="at least")
    axes.plot([], [], color=INK, lw=2, label="aim")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axes.set_xlabel("times faster (memory: smaller) than the other side; thin line: the range")
    return figure


def scaling(results: Results) -> Any:
    """A panel a series: time against size, and the ideal slope through the last point."""
    lines = scaling_lines(results)
    names = [name for name in cases.SERIES if any(line[0] == name for line in lines)]
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.3 * columns, 2.9 * rows), squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    for name, axes in zip(names, grid.flat, strict=False):
        series = SERIES[name]
        own = [(op, line) for series_name, op, line in lines if series_name == name]
        for (op, line), color in zip(own, (BLUE, ORANGE, "#4f9d69"), strict=False):
            n, times = line["n"], [t * 1e3 for t in line["seconds"]]
            exponent = f"{slope(n, times):.2f}" if len(n) > 1 else "–"
            label = f"{op}: {exponent}"
            axes.plot(n, times, "o-", color=color, ms=3.5, lw=1.4, label=label)
            # Fixed costs hide the growth at the small end; what should not grow starts there.
            at = -1 if series.ideal > 0 else 0
            ideal = [times[at] * (v / n[at]) ** series.ideal for v in n]
            axes.plot(n, ideal, "--", color=color, lw=0.8, alpha=0.6)
        axes.set_xscale("log")
        axes.set_yscale("log")
        if len(own[0][1]["n"]) <= 2:
            axes.set_xticks(own[0][1]["n"], [f"{v:g}" for v in own[0][1]["n"]])
            axes.minorticks_off()
        low, high = axes.get_ylim()
        if high < 10 * low:  # at least a decade: a small slope shall look small
            middle = (low * high) ** 0.5
            axes.set_ylim(middle / 10**0.5, middle * 10**0.5)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(f"{series.title}\nideal slope {series.ideal:g}", fontsize=9, loc="left")
        axes.set_xlabel(series.label)
        axes.legend(frameon=False, fontsize=8, handlelength=1.2)
    for row in grid:
        row[0].set_ylabel("ms")
    figure.tight_layout()
    return figure
