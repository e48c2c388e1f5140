"""rpucc's side: samples of one array, read, updated and pulsed by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import rpucc
from benchmarks.agreement.cases import (
    COLUMNS,
    DEVICES,
    READS,
    ROWS,
    UPDATES,
    moments,
    vectors,
    with_sums,
)
from rpucc.errors import TargetError
from rpucc.runtime.devices import make_device

Result = dict[str, Any]
BATCH = 1000
UNIFORM = {"model": "constant-step", "w_max": 20.0, "w_min": -20.0}
"""The RPU-baseline's step and pulse noise, bounds out of reach; its spreads are removed."""
SPREADS = {"remove": ["dtod", "asymmetry", "bounds"]}
LR = 0.01


def prepare(side: str) -> dict[str, str]:
    """The versions."""
    return {"rpucc": rpucc.__version__}


def measure(case: Result) -> Result:
    """Sample one case."""
    return {"read": read, "update": update, "response": response}[case["what"]](case)


def read(case: Result) -> Result:
    """Moments of the outputs of one input."""
    W, x, d = vectors(case)
    keys = ("read_noise", "bound", "dac_bits", "adc_bits", "dac_stochastic")
    management: dict[str, Any] = {}
    if case["noise_managed"]:
        management = {"noise_forward": "always", "noise_backward": "always"}
    if case["bound_mode"]:
        management |= {"bound_forward": True, "bound_mode": case["bound_mode"]}
    array = rpucc.Array(
        "ideal", *W.shape, seed=1, periphery={key: case[key] for key in keys},
        management=management, update={"pulsed": False},
    )  # fmt: skip
    array.program(W)
    transpose = case["transpose"]
    inputs = np.tile(d if transpose else x, (BATCH, 1))
    samples = [array.read(inputs, transpose=transpose) for _ in range(0, READS, BATCH)]
    return moments(np.concatenate(samples))


def update(case: Result) -> Result:
    """Moments of the weight changes by one pair."""
    _, x, d = vectors(case)
    keys = ("bl", "update_management", "update_bl_management")
    policy = {key: case[key] for key in keys}
    array = rpucc.Array(UNIFORM, ROWS, COLUMNS, seed=1, update=policy, variations=SPREADS)
    changes = np.empty((UPDATES, ROWS, COLUMNS), np.float32)
    for i in range(UPDATES):
        array.program(np.zeros((ROWS, COLUMNS)))
        array.update(x, d, LR)
        changes[i] = array.weights
    return moments(with_sums(changes))


def response(case: Result) -> Result:
    """Moments of the weights over devices, after each number of pulses."""
    try:
        make_device(case["model"], {})
    except TargetError:
        return {"absent": f"rpucc has no device model {case['model']}"}
    table = {"model": case["model"], **dict(case["parameters"])}
    array = rpucc.Array(table, *DEVICES, seed=1, update={"bl": 1})
    # lr = dw_min: with BL 1, x = 1 and |d| = 1 every device gets a pulse
    x, d = np.ones(DEVICES[1]), np.ones(DEVICES[0])
    seen = []
    for pulse in range(1, 2 * case["pulses"] + 1):
        array.update(x, -d if pulse <= case["pulses"] else d, 0.001)
        if pulse in case["points"]:
            seen.append(array.weights.ravel().copy())
    return moments(np.stack(seen, axis=1))
