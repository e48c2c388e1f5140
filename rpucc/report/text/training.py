"""Training and evaluation as text: one row an epoch, one line of progress, one block of results.

Pure functions of metrics. Rows are plain text of fixed widths, because each is printed when its
epoch ends. Not for files: metrics.csv is the run folder's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.console import RenderableType

from rpucc.report import units
from rpucc.report.text.tables import pairs

if TYPE_CHECKING:
    from rpucc.runtime.metrics import EpochMetrics, Evaluation, Progress
    from rpucc.runtime.spread import Symmetry
    from rpucc.runtime.watch import Stopped


class EpochColumn(NamedTuple):
    """One column of the table of epochs."""

    header: tuple[str, str]
    width: int


_COLUMNS = (
    EpochColumn(("train", "loss"), 7),
    EpochColumn(("train", "error"), 8),
    EpochColumn(("test", "error"), 8),
    EpochColumn(("pulses", "a weight"), 8),
    EpochColumn(("saturated", "reads"), 9),
    EpochColumn(("", "re-reads"), 8),
    EpochColumn(("samples", "a second"), 8),
    EpochColumn(("", "time"), 8),
)
_TEST, _REREADS, _RATE = 2, 5, 6
"""Where these columns stand."""


Held = Literal["loss", "error"] | None
"""What of the validation samples has a column; None where there are none."""


def held_of(monitor: str, *, validated: bool) -> Held:
    """Return which column there is: that of what is watched."""
    return None if not validated else "error" if monitor.endswith("error") else "loss"


def epoch_columns(
    epochs: int, held: Held = None, top_k: int | None = None
) -> tuple[EpochColumn, ...]:
    """Return the columns of a training of so many epochs; 79 characters below 1,000 epochs.

    The validation samples' comes in the place of the re-reads, a top-k error in that of the rate.
    """
    columns = list(_COLUMNS)
    if held is not None:
        del columns[_REREADS]
        columns.insert(_TEST, EpochColumn(("valid.", held), 8))
    if top_k is not None:
        del columns[_RATE]
        columns.insert(_after_tests(held), EpochColumn((f"top-{top_k}", "error"), 8))
    return (EpochColumn(("", "epoch"), max(7, len(f"{epochs}/{epochs}"))), *columns)


def _after_tests(held: Held) -> int:
    """Where a further error stands."""
    return _TEST + (1 if held is None else 2)


def epoch_header(epochs: int, held: Held = None, top_k: int | None = None) -> str:
    """Return the three lines above the rows: two of names and a rule."""
    columns = epoch_columns(epochs, held, top_k)
    names = [" ".join(f"{c.header[i]:>{c.width}}" for c in columns).rstrip() for i in (0, 1)]
    return "\n".join([*names, "─" * (sum(c.width for c in columns) + len(columns) - 1)])


def epoch_cells(
    metrics: EpochMetrics, epochs: int, held: Held = None, top_k: int | None = None
) -> tuple[str, ...]:
    """Return what an epoch's row says; a regression has no share of wrong answers to show.

    Saturated reads and re-reads are parts of all tile reads of the epoch's training. Times are
    known only while the process that took them runs.
    """
    reads = max(metrics.reads, 1)
    cells = [
        units.number(metrics.train_loss),
        units.percent(metrics.train_error),
        units.percent(metrics.test_error),
        units.three_digits(metrics.pulses_per_weight),
        units.percent(metrics.saturated_reads / reads),
        units.percent(metrics.rereads / reads),
        units.count(round(metrics.samples_per_second)) if metrics.seconds else units.NONE,
        units.duration(metrics.seconds) if metrics.seconds else units.NONE,
    ]
    if held is not None:
        del cells[_REREADS]
        cells.insert(_TEST, _held(metrics, held))
    if top_k is not None:
        same = metrics.top_k == top_k  # an epoch that was counted for another k has no figure here
        del cells[_RATE]
        cells.insert(_after_tests(held), units.percent(metrics.test_top_k_error if same else None))
    return (f"{metrics.epoch}/{epochs}", *cells)


def epoch_row(
    metrics: EpochMetrics, epochs: int, held: Held = None, top_k: int | None = None
) -> str:
    """Return the row of one epoch as text below `epoch_header`."""
    columns = epoch_columns(epochs, held, top_k)
    cells = epoch_cells(metrics, epochs, held, top_k)
    return " ".join(f"{cell:>{c.width}}" for cell, c in zip(cells, columns, strict=True))


def _held(metrics: EpochMetrics, held: Held) -> str:
    if metrics.validation_loss is None:  # of an epoch that had no such samples
        return units.NONE
    if held == "error":
        return units.percent(metrics.validation_error)
    return units.number(metrics.validation_loss)


def stopped_text(stopped: Stopped) -> str:
    """Return why a training ended before its last epoch."""
    watch = stopped.watch
    part = "" if watch.monitor.startswith("train") else "validation "
    what = f"{part}{watch.monitor.replace('train-', 'training ')}"
    error = watch.monitor.endswith("error")
    found = units.percent(stopped.value) if error else units.number(stopped.value)
    best = f"below {found} of epoch {stopped.best}" if stopped.best else "that is a number"
    more = f" by more than {watch.min_delta:g}" if watch.min_delta else ""
    waited = units.counted(stopped.epoch - stopped.best, "epoch")
    return f"stopped after epoch {stopped.epoch}: no {what} {best}{more} in {waited}"


TRAINED_AS_TESTED = 3.0
"""Samples tested in the time that one is trained in, before a test has been timed: training has
three cycles, a test the first of them."""


def remaining_seconds(progress: Progress) -> float:
    """Return the seconds to the end of the whole training: all epochs, with their tests.

    nan where they cannot be known.
    """
    rate = progress.samples_per_second
    if not (rate > 0 and progress.samples):
        return float("nan")
    epochs_after = progress.epochs - progress.epoch
    left = progress.samples - progress.samples_done + epochs_after * progress.samples
    test = progress.test_seconds
    if test is None:
        test = progress.test_samples / (TRAINED_AS_TESTED * rate)
    return left / rate + (1 + epochs_after) * test


def progress_text(progress: Progress) -> str:
    """Return what stands right of the bar: samples, rate, loss and time left."""
    done = units.count(progress.samples_done)
    if progress.samples:
        done += f"/{units.count(progress.samples)}"
    if progress.samples and progress.samples_done >= progress.samples:
        return f"{done}  loss {units.number(progress.loss)}  testing…"
    left = units.clock(remaining_seconds(progress))
    rate = units.count(round(progress.samples_per_second))
    of_all = " in all" if progress.epochs > 1 else ""
    return f"{done}  {rate}/s  loss {units.number(progress.loss)}  ETA {left}{of_all}"


def evaluation(result: Evaluation) -> RenderableType:
    """Return the results of an evaluation."""
    lines = [
        ("loss", units.number(result.loss)),
        ("time", _time(result.seconds, result.samples)),
    ]
    if result.reads:  # exact ones are not counted
        found = reads_text(result.reads, result.saturated_reads, result.rereads)
        lines.insert(1, ("reads", found))
    if result.error is not None:  # a regression has no share of wrong answers
        labels = result.samples * result.labels_per_sample
        what = " labels" if result.labels_per_sample > 1 else ""
        wrong = f"{_of(round(result.error * labels), labels)}{what} wrong"
        lines.insert(0, ("error", f"{units.percent(result.error)} ({wrong})"))
        if result.top_k_error is not None:
            beyond = f"{_of(round(result.top_k_error * labels), labels)}{what} not among them"
            top = f"{units.percent(result.top_k_error)} ({beyond})"
            lines.insert(1, (f"top-{result.top_k}", top))
    return pairs(lines)


def _of(part: int, whole: int) -> str:
    return f"{units.count(part)} of {units.count(whole)}"


def reads_text(reads: int, saturated: int, again: int) -> str:
    """Return how many reads there were, at least one, and what became of them."""
    return (
        f"{units.large(reads)} of single arrays, {units.percent(saturated / reads)} saturated, "
        f"{units.percent(again / reads)} re-reads"
    )


def _time(seconds: float, samples: int) -> str:
    rate = f", {units.count(round(samples / seconds))} samples a second" if seconds > 0 else ""
    return f"{units.duration(seconds)}{rate}"


MANY_CLIPPED = 0.05
"""Share of a layer's weights from which on the layer is named."""


def machine_line(
    weights: int, bytes_per_weight: float, clipped: Mapping[str, tuple[int, int]]
) -> str:
    """Return one line about a machine as it was made.

    clipped: layer -> its weights that were clipped, of so many.
    """
    size = units.size(round(weights * bytes_per_weight))
    text = f"{units.count(weights)} weights programmed, {size} of state"
    what = clipped_text(clipped)
    return f"{text}; {what}" if what else text


def clipped_text(clipped: Mapping[str, tuple[int, int]]) -> str:
    """Return how many weights were clipped when they were programmed, and where it was many.

    >>> clipped_text({"conv1": (208, 416), "fc1": (1, 65536)})
    "209 weights (0.32 %) clipped to their devices' bounds, conv1 50.0 %"
    >>> clipped_text({"fc1": (0, 65536)})
    ''
    """
    lost = sum(count for count, _ in clipped.values())
    weights = sum(of for _, of in clipped.values())
    if not lost:
        return ""
    part = units.significant_percent(lost / weights)
    many = [
        f"{units.plain(layer)} {units.significant_percent(count / of)}"
        for layer, (count, of) in clipped.items()
        if count > MANY_CLIPPED * of
    ]
    text = f"{units.counted(lost, 'weight')} ({part}) clipped to their devices' bounds"
    return ", ".join([text, *many])


def symmetry_line(symmetry: Symmetry) -> str:
    """Return one line about what zero-shifting found and left: mean ± standard deviation."""
    devices = units.count(symmetry.before.count)
    before, after = (units.spread(s.mean, s.std) for s in (symmetry.before, symmetry.after))
    return f"{devices} devices zero-shifted: symmetry points {before} before, {after} after"


def trained_text(epochs: int, samples_of_next: int, earlier: int = 0) -> str:
    """Return how long something was trained: "after 2 epochs and 310 samples".

    earlier: epochs that were begun before these are counted, in the run that it started from.
    """
    if not epochs and not samples_of_next:
        return f"after {units.counted(earlier, 'earlier epoch')}" if earlier else "not trained"
    parts = [units.counted(epochs, "epoch")]
    if samples_of_next:
        parts.append(f"{units.count(samples_of_next)} samples of the next")
    return f"after {' and '.join(parts)}"
