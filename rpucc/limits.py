"""The largest values of options and arguments, each in one place."""

from __future__ import annotations

EPOCHS = 2**31
BATCH = 2**20
"""Samples at once: more are a slip."""
THREADS = 1024
SEED = 2**64 - 1
