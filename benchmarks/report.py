"""The page of a run: goals, tables, floors, scaling, as Markdown with two plots and the raw data.

Everything on it comes from the results; a figure that is missing is shown as missing.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.algorithms import ALGORITHMS, DEVICES
from benchmarks.cases import KERNELS, SERIES, Goal, Row
from benchmarks.floors import bandwidth, floor_seconds
from benchmarks.measure import DISTURBED, Results
from benchmarks.scaling import SERIES as SCALING
from benchmarks.scaling import end_slope, slope
from rpucc.outputs import write_text

NONE = "–"
NAMES = {"rpucc": "rpucc", "aihwkit": "aihwkit", "torch": "PyTorch"}


def number(value: float | None) -> str:
    """Three significant digits without an exponent."""
    if value is None:
        return NONE
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def duration(seconds: float | None) -> str:
    """Seconds with the unit that fits."""
    if seconds is None:
        return NONE
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds * 1e6)} µs"


def quantity(metric: str, value: float | None) -> str:
    """A metric's value as the tables show it."""
    if value is None:
        return NONE
    if metric == "peak_bytes":
        return number(value / 1e6)
    if metric == "samples_per_second":
        return f"{number(value)}/s"
    return duration(value) if metric.endswith("_seconds") else number(value)


def times(ratios: Sequence[float]) -> str:
    """The median ratio, and its range over the rounds."""
    if not ratios:
        return NONE
    middle = f"{number(statistics.median(ratios))}×"
    if len(ratios) < 2:
        return middle
    return f"{middle} ({number(min(ratios))}–{number(max(ratios))})"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table: the first column to the left, the others to the right."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (header, marks, *lines)] + [""]


# ---------------------------------------------------------------- sections


def goal_line(goal: Goal, results: Results) -> tuple[str, ...]:
    """A goal with what was measured, and whether it is met."""
    ratios = results.ratios(goal.ours, goal.theirs, goal.metric)
    values = (
        quantity(goal.metric, results.median(s, goal.metric)) for s in (goal.ours, goal.theirs)
    )
    wanted = (NONE if w is None else f"{number(w)}×" for w in (goal.at_least, goal.aim))
    return (goal.name, *values, *wanted, times(ratios), verdict(goal, ratios))


def verdict(goal: Goal, ratios: Sequence[float]) -> str:
    """Aim, at least, missed, or not measured: by the median."""
    if not ratios:
        return "not measured"
    median = statistics.median(ratios)
    if goal.aim is not None and median >= goal.aim:
        return "aim reached"
    if goal.at_least is None:
        return "aim missed"
    if median < goal.at_least:
        return "**missed**"
    return "reached" if goal.aim is None else "at least reached"


def goals_section(results: Results) -> list[str]:
    """The goals and what was measured for them."""
    header = ("case", "rpucc", "other", "at least", "aim", "measured", "")
    lines = [goal_line(goal, results) for goal in cases.goals()]
    return ["## Goals", "", *table(header, [line for line in lines if line[-1] != "not measured"])]


def comparison(rows: Sequence[Row], results: Results) -> list[str]:
    """A table of rows, all sides beside each other."""
    header = ("", *NAMES.values(), "× aihwkit", "× PyTorch")
    lines = []
    for row in rows:
        if results.median(row.specs["rpucc"], row.metric) is None:
            continue
        cells = [row.name]
        for side in NAMES:
            spec = row.specs.get(side)
            value = None if spec is None else results.median(spec, row.metric)
            cells.append(quantity(row.metric, value))
        for side in ("aihwkit", "torch"):
            spec = row.specs.get(side)
            ours = row.specs["rpucc"]
            cells.append(NONE if spec is None else times(results.ratios(ours, spec, row.metric)))
        lines.append(cells)
    return table(header, lines) if lines else ["Not measured in this run.", ""]


NOTES = {
    "LeNet training": "Samples a second, with NM and BM, lr 0.01, on the first samples of a "
    "training, where errors and so pulses are most. PyTorch trains the ideal "
    "network in floating point, whatever the policy; `ideal` is rpucc's exact mode.",
    "LeNet inference": "Samples a second. Analog reads with noise, converters and bound "
    "management; PyTorch runs the ideal network.",
    "Single tiles": "Time a call. x uniform in ±1, d in ±0.1; updates with BL 10 + UM, lr 0.01, "
    "each with the other sign of d than the one before, so that the weights do not drift to their "
    "bounds. PyTorch multiplies the bare matrices. With these inputs most forward reads of the "
    "large tiles saturate and are repeated under bound management, by both simulators.",
    cases.ALGORITHMS_TABLE: "LeNet training, samples a second at batch 1, BL at most 31 with UM "
    "and UBLM, NM and BM; cells of two arrays transfer a column every two vectors, or after a "
    "minibatch, TTv2 and AGAD with automatic rates. Exponential steps have the parameters of "
    "aihwkit's ReRamES.",
    "One training step, batch 1, BL 10 + UM": "Random images, no biases; ResNet-18 without batch "
    "normalisation.",
}


def comparison_sections(results: Results) -> list[str]:
    """All comparison tables with their headings."""
    lines: list[str] = []
    found = cases.rows()
    for title, note in NOTES.items():
        lines += [f"## {title}", "", note, ""]
        lines += comparison([row for row in found if row.table == title], results)
        if title == "Single tiles":
            lines += rereads(results)
        if title == cases.ALGORITHMS_TABLE:
            lines += cell_memory(results)
    return lines


def cell_memory(results: Results) -> list[str]:
    """Bytes a weight of rpucc's state with each algorithm."""
    found = []
    for device, label in DEVICES.items():
        bytes_of = [
            (title, results.median(cases.algorithm("rpucc", key, device), "state_per_weight"))
            for key, title in ALGORITHMS.items()
        ]
        text = ", ".join(f"{title} {number(value)}" for title, value in bytes_of if value)
        if text:
            found.append(f"{label} {text}")
    return [f"Bytes a weight of rpucc's state: {'; '.join(found)}.", ""] if found else []


def rereads(results: Results) -> list[str]:
    """How often bound management read again: work that a bare matrix product does not have."""
    found = []
    for size in cases.SIZES:
        for result in results.by_key.get(cases.tile("rpucc", size, 64).key, [])[-1:]:
            reads, _, again = result.get("forward_reads", (0, 0, 0))
            if reads:
                found.append(f"{cases.size_name(size)} {number(again / reads)}")
    return [f"Re-reads a forward read at batch 64: {', '.join(found)}.", ""] if found else []


def memory_section(results: Results) -> list[str]:
    """Peak memory and bytes a weight."""
    state = results.median(cases.tile("rpucc", cases.SIZES[3], 1), "state_per_weight")
    text = (
        "Growth of the process's resident memory over what importing took; the last two columns "
        "say how many times less rpucc takes. The tile was read both ways and updated."
    )
    if state is not None:
        text += f" Of rpucc's bytes a weight, {number(state)} are the state of the simulation."
    return ["## Memory", "", text, "", *comparison(cases.memory_rows(), results)]


def floors_section(results: Results) -> list[str]:
    """Machine rates, and each kernel beside its floor."""
    measured = results.by_key.get(cases.FLOORS.key, [])
    if not measured or "error" in measured[0]:
        return []
    rates = measured[0]
    lines = ["## How far from the floor", "", _rates_text(rates), "", *FLOORS_TEXT, ""]
    body = []
    for name, spec, ops in KERNELS:
        for op in ops:
            seconds = results.median(spec, f"{op}_seconds")
            if seconds is None:
                continue
            last = next(r for r in reversed(results.by_key[spec.key]) if "error" not in r)
            floor, what = floor_seconds(op, dict(spec.settings), last, rates)
            ratio = f"{number(seconds / floor)}×"
            body.append((name, op, duration(seconds), duration(floor), what, ratio))
    return lines + table(("kernel", "cycle", "measured", "floor", "set by", "ratio"), body)


FLOORS_TEXT = (
    "The floor of a read is the longer of moving its bytes and multiplying, and the time to draw "
    "its normals; that of an update is the longer of moving its bytes and drawing its words and "
    "one normal a pulse (`benchmarks/floors.py`). Instructions around that are not in it.",
)


def _rates_text(rates: dict[str, Any]) -> str:
    read = ", ".join(
        f"{bandwidth(rates, 'read', size) / 1e9:.0f} GB/s of {label}"
        for size, label in ((2**18, "256 KiB"), (2**24, "16 MiB"), (2**28, "256 MiB"))
    )
    write = bandwidth(rates, "write", 2**28) / 1e9
    return (
        f"One core of this machine reads {read}; it reads and writes {write:.0f} GB/s of 256 MiB "
        f"in place; multiplies at {rates['gemm'] / 1e9:.0f} Gflop/s (1024² GEMM, float32); draws "
        f"{rates['words'] / 1e9:.2f}·10⁹ Philox words and {rates['normals'] / 1e9:.2f}·10⁹ "
        f"normals a second ({1e9 / rates['normals']:.2f} ns a normal)."
    )


def scaling_lines(results: Results) -> list[tuple[str, str, dict[str, Any]]]:
    """(series, op, {"n", "seconds"}) of everything measured."""
    found = []
    for name in SERIES:
        for result in results.by_key.get(cases.series(name).key, [])[:1]:
            for op, seconds in result.get("seconds", {}).items():
                found.append((name, op, {"n": result["n"], "seconds": seconds}))
    return found


def scaling_section(results: Results) -> list[str]:
    """Slopes beside the ideal ones."""
    lines = []
    for name, op, line in scaling_lines(results):
        series, n, seconds = SCALING[name], line["n"], line["seconds"]
        span = f"{duration(seconds[0])} → {duration(seconds[-1])}"
        ends = f"{n[0]:,.0f} → {n[-1]:,.0f}"
        fit = (
            (f"{slope(n, seconds):.2f}", f"{end_slope(n, seconds):.2f}") if len(n) > 1 else ("", "")
        )
        ideal = f"{series.ideal:g}"
        lines.append((f"{series.title}: {op}", series.label, ends, span, *fit, ideal, series.why))
    if not lines:
        return []
    header = ("", "against", "from → to", "time", "slope", "at the end", "ideal", "because")
    text = (
        "Time a call against one size; slopes of the logarithms, over all points and between the "
        "last two. Below the ideal slope fixed costs show; above it, caches run out."
    )
    picture = (
        "![Time against weights, tiles, positions, BL, batch and threads](benchmarks-scaling.svg)"
    )
    return ["## Scaling", "", text, "", picture, "", *table(header, lines)]


PEERS = (
    "## An environment with the peers",
    "",
    "aihwkit's wheels are tied to one build of PyTorch, so it is built from source (some minutes; "
    "needs a C++ compiler and OpenBLAS, on Debian `libopenblas-dev`):",
    "",
    "    python -m venv peer && . peer/bin/activate",
    "    pip install torch==2.13.0 numpy scipy requests tqdm scikit-learn protobuf mypy \\",
    '        "cmake>=3.18,<4" scikit-build "pybind11>=3" ninja setuptools wheel',
    "    pip install --no-build-isolation --no-deps --no-binary aihwkit aihwkit==1.2.0",
    "",
    "Then `--peer-python peer/bin/python`.",
)


def failures_section(results: Results) -> list[str]:
    """What could not be measured, and why."""
    lines = [f"* {NAMES[side]} was left out: {why}" for side, why in results.absent.items()]
    for key, found in results.by_key.items():
        errors = [result["error"] for result in found if "error" in result]
        if errors:
            lines.append(f"* `{key}`: {len(errors)} of {len(found)} failed: {errors[0]}")
    return ["## Not measured", "", *lines, ""] if lines else []


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            names = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.processor() or platform.machine()}"


def page(results: Results, settings: str) -> str:
    """The whole page."""
    count = os.cpu_count() or 1
    versions = ", ".join(f"{name} {version}" for name, version in sorted(results.versions.items()))
    disturbed, every = results.disturbed()
    lines = [
        "# Benchmarks",
        "",
        "    pip install -e '.[bench]'",
        "    python -m benchmarks --peer-python PATH   # the Python that has torch and aihwkit",
        "",
        f"wrote this page ({settings}) on {processor()}, {count} processors, Python "
        f"{platform.python_version()}, {versions}. One thread a process unless said otherwise. "
        "Each measurement has its own process; the sides take turns within a round, figures are "
        "medians over rounds, and ratios are taken round by round (their median, least and "
        "greatest): above 1× rpucc is the faster or smaller one. First calls (compiling, loading) "
        f"are not counted. {disturbed} of {every} measurements ran while others used more than "
        f"{DISTURBED:g} of a processor. Raw figures: [benchmarks.json](benchmarks.json).",
        "",
        *goals_section(results),
        "![How many times faster rpucc is](benchmarks.svg)",
        "",
        *comparison_sections(results),
        *memory_section(results),
        *floors_section(results),
        *scaling_section(results),
        *failures_section(results),
        *PEERS,
    ]
    return "\n".join(lines).rstrip() + "\n"


def raw(results: Results, settings: str) -> str:
    """All results as JSON."""
    data = {
        "settings": settings,
        "processor": processor(),
        "versions": results.versions,
        "absent": results.absent,
        "results": results.by_key,
    }
    return json.dumps(data, indent=1) + "\n"


def from_raw(text: str) -> tuple[Results, str]:
    """What `raw` wrote, to make the page again."""
    data = json.loads(text)
    return Results(data["results"], data["versions"], data["absent"]), data["settings"]


def write(results: Results, folder: Path, settings: str) -> list[Path]:
    """Write page, plots and raw results; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (
        ("benchmarks.json", raw(results, settings)),
        ("benchmarks.md", page(results, settings)),
    ):
        written.append(folder / name)
        write_text(folder / name, text)
    return [*written, *plot(results, folder)]


def plot(results: Results, folder: Path) -> list[Path]:
    """The plots, where matplotlib is installed."""
    try:
        from benchmarks import plots
    except ImportError:
        print("no plots: matplotlib is not installed (pip install '.[bench]')")
        return []
    return plots.write(results, folder)
