"""The training algorithms that are measured: on which devices, and the rows of their table.

Plain data for both interpreters: `programs.py` and `peers.py` say what they are on each side. A
LeNet at batch 1. Algorithms of two arrays transfer a column after every second vector, of which a
convolution has one a position; in a further row Tiki-Taka does after a minibatch, as it does by
default on both sides.
"""

from __future__ import annotations

ALGORITHMS = {
    "sgd": "SGD",
    "tiki-taka": "Tiki-Taka",
    "tiki-taka-minibatch": "Tiki-Taka by minibatch",
    "tiki-taka-2": "TTv2",
    "agad": "AGAD",
    "mixed-precision": "mixed precision",
}
"""Algorithm -> what the table calls it."""

CELLS = {"sgd": "", "tiki-taka-minibatch": "tiki-taka"}
"""Algorithm -> cell, where that is not its name; none for SGD."""

TRANSFERS = {
    "tiki-taka": (2, False), "tiki-taka-minibatch": (1, True), "tiki-taka-2": (2, False),
    "agad": (2, False),
}  # fmt: skip
"""Algorithm of two arrays -> vectors, or minibatches if the flag is set, from one transfer to the
next."""

DEVICES = {"soft-bounds": "soft bounds", "exp-step": "exponential steps"}
"""Device model -> what the table calls it. Soft bounds: aihwkit's defaults; exponential steps: its
ReRamES without write noise."""

FAST_LR = 0.5
GRANULARITY = 1000

RERAM_ES = {
    "dw_min": 0.00135, "up_down": 0.259359, "up_down_dtod": 0.05, "w_max": 1.0, "w_min": -1.0,
    "dw_min_dtod": 0.2, "dw_min_std": 5.0, "A_up": -1.18445, "A_down": -0.081404,
    "gamma_up": 5.0, "gamma_down": 5.0, "a": -0.5, "b": -0.5,
}  # fmt: skip
"""aihwkit's preset, by the names that rpucc has for its parameters."""
