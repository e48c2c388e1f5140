"""The largest values of options and arguments, each in one place (docs/training.md, Limits)."""

from __future__ import annotations

EPOCHS = 2**31
BATCH = 2**20
"""Samples at once: more are a slip."""
SAMPLES = 2**31
"""Of a data set that are looked at, and outputs that are counted."""
THREADS = 1024
"""And processes at a time."""
SEED = 2**64 - 1
DRAWN = 2**32 - 1
"""Seeds of what is drawn with a word of 32 bits: initial weights and feedback matrices."""
SEEDS = 1000
"""Trainings of a row of an experiment, one a seed."""
LAYERS = 10_000
"""That are chosen among."""
SIZE = 2**31 - 1
"""Of an axis that is named."""
READS = 2**20
"""Of the same weights, to measure them."""
PULSES = 1_000_000
DEVICES = 1000
"""Of a response curve."""
JSON_BYTES = 2**28
"""Of a file of JSON or CSV: what is larger is none of ours."""
