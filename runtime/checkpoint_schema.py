"""What the metadata of a checkpoint hold, in one checked schema.

Not for the file around them, nor for its tensors: `checkpoint_file.py`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from rpucc import checked
from rpucc.checked import Allowed, Count, Digest, Number, wrong
from rpucc.runtime.counters import MAX_SEED, MOST_DRAWS, Counters
from rpucc.runtime.metrics import EpochMetrics
from rpucc.runtime.tallies import COUNTS

Draws = Annotated[
    int,
    Field(strict=True, ge=0, le=MOST_DRAWS),
    Allowed(f"a whole number from 0 to {MOST_DRAWS}, where random numbers repeat"),
]
Counts = Annotated[
    list[Count], Field(min_length=COUNTS, max_length=COUNTS), Allowed(f"{COUNTS} counts")
]
Reads = Annotated[list[Count], Field(min_length=3, max_length=3), Allowed("3 counts")]


class CountersNote(BaseModel):
    """`Counters` as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: Draws = 0
    done: Draws = 0
    sample: Draws = 0
    loss_sum: Number = 0.0
    errors: Count = 0
    pulses: Count = 0
    reads: Reads
    earlier: Draws = 0
    layers: dict[str, Counts] = Field(default_factory=dict)
    loss_weight: Number = 0.0

    @classmethod
    def of(cls, counters: Counters) -> CountersNote:
        """Those of a machine, unchecked: that is for whoever reads them."""
        return cls.model_construct(**{**asdict(counters), "reads": counters.reads.tolist()})

    def counters(self) -> Counters:
        """Those that a machine goes on from."""
        found = self.model_dump()
        return Counters(**{**found, "reads": np.array(found["reads"], np.int64)})


def _from_json(text: Any) -> Any:
    return checked.parsed(text) if isinstance(text, str) else text


def _seed(text: Any) -> Any:
    good = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 20
    return int(text) if good else text


Seed = Annotated[
    int, Field(strict=True, ge=0, le=MAX_SEED), BeforeValidator(_seed),
    Allowed(f"a whole number from 0 to {MAX_SEED}, as a text"),
]  # fmt: skip


class CheckpointNotes(BaseModel):
    """The metadata; what a later version adds is left out.

    Raises pydantic's ValidationError for what is none of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    program: Digest
    """The SHA-256 of the program as it is saved."""
    seed: Seed
    counters: Annotated[CountersNote, BeforeValidator(_from_json)]
    history: Annotated[list[EpochMetrics], BeforeValidator(_from_json)]
    """Of each complete epoch."""
    tensors: Digest | None = None
    """The SHA-256 of the tensors; earlier versions wrote none."""
    notes: Digest | None = None
    """The SHA-256 of seed, counters and history; earlier versions wrote none."""

    @model_validator(mode="after")
    def _one_record_an_epoch(self) -> Self:
        epochs = [record.epoch for record in self.history]
        # Not as many numbers are made as the file says epochs.
        if epochs != list(range(1, len(epochs) + 1)) or len(epochs) != self.counters.epoch:
            wrong(
                "history", epochs, f"the epochs 1 to {self.counters.epoch}, as counters.epoch says"
            )
        return self
