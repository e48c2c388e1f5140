"""What training and evaluation report.

Not for how the numbers come about: that is the trainer's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

from rpucc.checked import Count, Number, Positive, Share


@dataclass(frozen=True)
class Progress:
    """Where a training stands; sent about ten times a second."""

    epoch: int
    epochs: int
    samples_done: int
    samples: int
    """In an epoch; 0 while batches that come one after the other have not said how many."""
    loss: float
    samples_per_second: float
    test_samples: int = 0
    """Samples that are tested after every epoch."""
    test_seconds: float | None = None
    """What the last test took; None before the first."""


class StepMetrics(NamedTuple):
    """One training step, for `on_step`. A tuple, as one is made in every step that is watched."""

    epoch: int
    """The epoch under way, from 1."""
    done: int
    """Samples of the epoch that are trained, those of this step among them."""
    samples: int
    """Samples of this step."""
    loss: float
    """Their mean loss before the update; nan where the program has none."""
    lr: float


@dataclass(frozen=True)
class EpochMetrics:
    """What one epoch did.

    The types say what a record may hold where it is read from a file. Errors are fractions of the
    labels, of which a sample may have one a pixel or output (None for
    regression); `seconds` and the rate are not reproducible.
    """

    epoch: Positive
    samples: Count
    train_loss: Number
    train_error: Share | None
    test_loss: Number
    test_error: Share | None
    pulses_per_weight: Number
    reads: Count
    saturated_reads: Count
    rereads: Count
    lr: Number | None = None
    """The epoch's learning rate; None in records older than this field."""
    validation_loss: Number | None = None
    """Of the validation samples, as `test_loss`; None where there were none."""
    validation_error: Share | None = None
    top_k: Positive | None = None
    test_top_k_error: Share | None = None
    """Share of the test labels that are not among the `top_k` largest outputs; None where nobody
    asked."""
    seconds: float = 0.0
    samples_per_second: float = 0.0

    def reproducible(self) -> dict[str, Any]:
        """The fields that the same seed gives again; of what was not asked for there are none."""
        left = {"seconds", "samples_per_second"}
        if self.validation_loss is None:
            left |= {"validation_loss", "validation_error"}
        if self.top_k is None:
            left |= {"top_k", "test_top_k_error"}
        return {key: value for key, value in asdict(self).items() if key not in left}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> EpochMetrics:
        """From what `reproducible` gave, which was checked where it was read."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in record.items() if key in known})


Ended = Literal["complete", "stopped early", "interrupted", "failed"]
"""How a training ended, for `on_finish`."""


@dataclass(frozen=True)
class RunInfo:
    """What is about to be trained, and how, for `on_start`."""

    program: str
    """The name of the network."""
    target: str
    seed: int
    weights: int
    """On arrays."""
    epochs: int
    batch_size: int
    lr: float
    """The first epoch's rate."""
    lr_schedule: str
    samples: int
    """Samples that are trained on in an epoch; 0 as in Progress."""
    validation_samples: int
    test_samples: int
    done: int
    """Samples of the epoch under way that are trained already, of a training that goes on."""
    history: tuple[EpochMetrics, ...]
    """The epochs that are complete already; their times are not known."""


class Epochs(list[EpochMetrics]):
    """The epochs of a training, a list as any other; in a notebook it is a table and curves."""

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_runs import epochs_html

        return epochs_html(self)


@dataclass(frozen=True)
class Evaluation:
    """The result of running a machine over labelled samples.

    `error` is a fraction of the labels (None for regression), `loss` nan where the program has
    none.
    """

    samples: int
    loss: float
    error: float | None
    reads: int
    saturated_reads: int
    rereads: int
    seconds: float
    labels_per_sample: int = 1
    """More than one where each pixel has a label, or each output a 0 or 1."""
    top_k: int | None = None
    top_k_error: float | None = None
    """Share of the labels that are not among the `top_k` largest outputs; None where nobody
    asked."""
