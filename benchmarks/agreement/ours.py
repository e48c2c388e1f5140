"""rpucc's side: samples of one array, read, updated and pulsed by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import rpucc
from benchmarks.agreement.algorithm_cases import (
    EVERY,
    GRANULARITY,
    SIZE,
    SLOTS,
    fabricated,
    figures,
    problem,
)
from benchmarks.agreement.cases import (
    COLUMNS,
    READS,
    ROWS,
    TILE,
    TILES,
    UPDATES,
    FloatArray,
    moments,
    of_tiles,
    vectors,
    with_sums,
)
from benchmarks.agreement.device_cases import MIRRORED
from benchmarks.agreement.pair_cases import SIZE as PAIRS
from benchmarks.agreement.pair_cases import SLOTS as PAIR_SLOTS
from benchmarks.agreement.pair_cases import pair_figures, pair_problem
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
    sampled = {
        "read": read, "update": update, "response": response, "algorithm": algorithm, "pair": pair,
    }  # fmt: skip
    return sampled[case["what"]](case)


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
    """Moments over tiles: mean and deviation of their weights after each number of pulses."""
    table = {"model": case["model"], **dict(case["parameters"])}
    try:
        make_device(case["model"], dict(case["parameters"]))
    except TargetError as error:
        return {"absent": str(error)}
    return moments(of_tiles(_curve(case, table, seed) for seed in range(TILES)))


def _curve(case: Result, table: Result, seed: int) -> FloatArray:
    """The weights [devices, points] after each number of pulses."""
    array = rpucc.Array(table, *TILE, seed=seed)
    seen, done = [], 0
    for point in case["points"]:
        for upto, sign in ((min(point, case["pulses"]), 1), (point, -1)):
            if upto > done:
                array.pulse(np.full(TILE, sign * (upto - done)))
                done = upto
        seen.append(array.weights.ravel().copy())
    return np.stack(seen, axis=1)


def algorithm(case: Result) -> Result:
    """Moments over tiles that learn a target each."""
    name, offset, lr = case["algorithm"], case["offset"], case["lr"]
    device = {"model": "soft-bounds", **MIRRORED, "dw_min_log_normal": True,
              **fabricated(fast=False, offset=0.0)}  # fmt: skip
    fast = fabricated(fast=True, offset=offset)
    filtered = {"fast_lr": 1.0, "auto_granularity": GRANULARITY}
    own: dict[str, Result] = {
        "sgd": {},
        "mixed-precision": {},
        "tiki-taka": {"fast_lr": 0.5, "transfer_by_minibatch": False},
        "tiki-taka-2": filtered,
        "chopped-tiki-taka": {**filtered, "in_chop_prob": 0.1, "in_chop_random": True},
        "agad": {**filtered, "in_chop_prob": 0.1, "tail_weightening": 5.0},
    }
    cell = {"model": name, **own[name]} if name != "sgd" else {}
    if "fast_lr" in cell:
        cell |= {"transfer_every": EVERY, "shift_fast": False, "fast": fast}
    update = {"bl": SLOTS, "update_management": True, "update_bl_management": True}
    samples = []
    for run in range(case["tiles"]):
        target, rng = problem(1000 + run)
        try:
            array = rpucc.Array(device, SIZE, SIZE, seed=run, update=update, cell=cell)
        except TargetError as error:
            return {"absent": str(error)}
        found: list[float] = []
        for t in range(1, max(case["points"]) + 1):
            x = rng.standard_normal(SIZE, np.float32)
            array.update(x, array.read(x) - target @ x, lr)
            if t in case["points"]:
                A = array.planes["fast"].W if "fast" in array.planes else None
                H = next((array.buffers[k] for k in ("buffer", "chi") if k in array.buffers), None)
                found += figures(array.weights, target, A, H)
        samples.append(found)
    return moments(np.array(samples, np.float32))


def pair(case: Result) -> Result:
    """Moments over tiles of pairs that learn a target each."""
    device = {"model": case["model"], **MIRRORED, **dict(case["parameters"])}
    cell = {"model": "one-sided", "refresh_every": case["refresh_every"],
            "refresh_writes": "open-loop"}  # fmt: skip
    update = {"bl": PAIR_SLOTS, "update_management": True, "update_bl_management": True}
    samples = []
    for run in range(case["tiles"]):
        target, rng = pair_problem(1000 + run)
        try:
            array = rpucc.Array(device, PAIRS, PAIRS, seed=run, update=update, cell=cell)
        except TargetError as error:
            return {"absent": str(error)}
        found: list[float] = []
        for t in range(1, max(case["points"]) + 1):
            x = rng.standard_normal(PAIRS, np.float32)
            array.update(x, array.read(x) - target @ x, case["lr"])
            if t in case["points"]:
                found += pair_figures(target, *(array.planes[k].W for k in array.planes))
        samples.append(found)
    return moments(np.array(samples, np.float32))
