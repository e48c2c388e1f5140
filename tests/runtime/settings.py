"""Trainings at settings of all kinds: sensible ones, extreme ones and such as make no sense.

Every setting of a target that is a number, a flag or a choice, rates, schedules, batches, own
loops. A setting is refused in one line, or it trains; what diverges is said to. Run by hand with
`NUMBA_BOUNDSCHECK=1`, which lets kernels check every index:

    NUMBA_BOUNDSCHECK=1 python -m tests.runtime.settings STEPS [FIRST_SEED]
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import rpucc
from rpucc.errors import RpuccError
from rpucc.runtime.devices import DEVICES
from rpucc.target.keys import table_of
from rpucc.target.sections import LayerTables
from rpucc.target.values import Allowed

from ..hostile.networks import network as model

NETWORKS = ("conv", "grouped", "transposed", "dense", "norm")
PRESETS = ("ideal", "rpu-baseline", "rpu-managed", "rpu-managed-um", "soft-bounds")
SENSIBLE = (1, 2, 3, 7, 10, 0.5, 0.1, 0.01, 0.001, 0)
EXTREME = (31, 32, 40, 62, 255, 1024, 1e-6, 1e-9, 100, 1e6, -1, -0.5)
ABSURD = (
    1e-45, 1e-38, 1e-30, 1e30, 1e37, 1e38, 3.4e38, 1e39, 1e300, 256, 65537, 2**31, 2**63, -(2**63),
    "nan", "inf", "-inf", True, "x",
)  # fmt: skip
SLOW = {"calibration.pairs": 60, "mapping.devices_per_weight": 13}
"""Values that are allowed above these take seconds, and nothing else than those below."""
FIXED = {"mapping.array", "mapping.row_cuts", "mapping.col_cuts", "update.mask", "device.model"}


@dataclass(frozen=True)
class Found:
    """What a setting came to."""

    outcome: str
    """"trained", or what it was refused by."""
    steps: int = 0


@cache
def keys() -> dict[str, tuple[Any, ...]]:
    """Each key of a layer's policy -> its values where they are few, else ()."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, field in LayerTables.model_fields.items():
        section = table_of(field)
        for key, each in (section.model_fields if section else {}).items():
            allowed = [one for one in each.metadata if isinstance(one, Allowed)]
            found[f"{name}.{key}"] = allowed[0].choices if allowed else ()
    for device in DEVICES.values():
        found |= dict.fromkeys((f"device.{key}" for key in device.defaults), ())
    own = ("fast_lr", "transfer_lr", "transfer_every", "transfer_columns", "transfer_bl", "gamma")
    found |= {f"cell.{key}": () for key in own}
    found |= {"cell.transfer_by_minibatch": (False, True), "cell.reset_fast": (False, True)}
    return {key: values for key, values in found.items() if key not in FIXED}


def value(rng: random.Random) -> Any:
    """A number, mostly one that makes sense somewhere."""
    return rng.choice(rng.choices((SENSIBLE, EXTREME, ABSURD), (8, 3, 2))[0])


def overrides(rng: random.Random) -> Iterator[str]:
    """Settings as `--set` takes them."""
    if rng.random() < 0.7:
        yield f"device.model={rng.choice([*DEVICES])}"
    if rng.random() < 0.25:
        yield "cell.model=tiki-taka"
        yield "cell.shift_fast=false" if rng.random() < 0.7 else "calibration.pairs=9"
    if rng.random() < 0.4:
        yield f"array.rows={rng.choice([1, 2, 5, 16, 17, 40])}"
        yield f"array.cols={rng.choice([1, 3, 16, 19, 40])}"
    if rng.random() < 0.5:
        yield f"update.bl={rng.choice([1, 2, 10, 16, 17, 31, 32, 40, 255])}"
        yield f"update.update_bl_management={rng.choice(['true', 'false'])}"
    for key in rng.sample(sorted(keys()), rng.randint(0, 3)):
        few = keys()[key]
        found = rng.choice(few) if few and rng.random() < 0.9 else value(rng)
        if isinstance(found, int | float) and found > SLOW.get(key, np.inf):
            found = SLOW[key]
        layer = rng.choice(["", "", "", "layer.fc."])
        yield f"{layer}{key}={str(found).lower() if isinstance(found, bool) else found}"


def rate(rng: random.Random) -> float:
    """A learning rate; of the absurd ones a logarithm is drawn evenly."""
    if rng.random() < 0.5:
        return rng.choice([0.01, 0.1, 1.0, 10.0])
    return float(10.0 ** rng.uniform(-46, 40))


@cache
def data(network: str) -> tuple[np.ndarray, ...]:
    """Some samples, and some to test."""
    dims = model(network).graph.input[0].type.tensor_type.shape.dim
    shape = tuple(each.dim_value for each in dims)[1:]
    random_ = np.random.default_rng(3)
    x, y = random_.random((13, *shape), np.float32), random_.integers(0, 3, 13)
    return x[:9], y[:9], x[9:], y[9:]


def attempt(seed: int) -> Found:
    """Train at the settings of a seed; raises what a user must never see."""
    rng = random.Random(seed)
    network, preset = rng.choice(NETWORKS), rng.choice(PRESETS)
    chosen = list(overrides(rng))
    batch, lr, schedule = rng.choice([1, 2, 3, 9, 2**20]), rate(rng), "constant"
    if rng.random() < 0.3:
        schedule = rng.choice(["2=", "warmup:1+3="]) + f"{rate(rng):g}"
    steps = 0
    try:
        program = rpucc.compile(model(network), preset, overrides=chosen, verify=False)
        machine = rpucc.Machine(program, seed)
        if rng.random() < 0.25:
            steps = _own_loop(machine, network, rng, lr)
        else:
            told = _Steps()
            try:
                rpucc.Trainer(machine, threads=rng.choice([1, 2])).fit(
                    data(network), epochs=rng.choice([1, 3]), batch_size=batch, lr=lr,
                    lr_schedule=schedule, callbacks=[told],
                )  # fmt: skip
            finally:
                steps = told.count
    except RpuccError as error:
        return Found(_said(error, seed), steps)
    for name, array in machine.state().items():
        assert np.isfinite(array).all(), f"seed {seed}: {name} is not finite, and nobody said so"
    return Found("trained", steps)


def _said(error: RpuccError, seed: int) -> str:
    """The beginning of an error, which is one line a problem."""
    problems = [str(each) for each in error.args]
    assert all(len(each.splitlines()) == 1 for each in problems), f"seed {seed}: {error!r}"
    return " ".join(problems)[:60]


class _Steps:
    """Counts steps."""

    def __init__(self) -> None:
        self.count = 0

    def on_step(self, _step: object) -> None:
        self.count += 1

    def on_layer_stats(self, stats: tuple[object, ...]) -> None:
        assert stats


def _own_loop(machine: rpucc.Machine, network: str, rng: random.Random, lr: float) -> int:
    """Steps whose gradients are anything that is finite; weights may be anything then."""
    x = data(network)[0]
    for _ in range(3):
        y = machine.forward(x[: rng.choice([1, 4])])
        scale = np.float32(rng.choice([0, 1e-45, 1e-30, 1, 1e10, 1e30, 3e38]))
        machine.backward(np.full(np.shape(y), scale))
        machine.update(lr)
    if not all(np.isfinite(array).all() for array in machine.state().values()):
        raise RpuccError("an own loop diverged")
    return 3


def main(wanted: int, first: int) -> None:
    """Try settings until so many steps are done; print what they came to."""
    steps, seed, started, slowest = 0, first, time.perf_counter(), (0.0, 0)
    outcomes: Counter[str] = Counter()
    while steps < wanted:
        begun = time.perf_counter()
        found = attempt(seed)
        slowest = max(slowest, (time.perf_counter() - begun, seed))
        outcomes[found.outcome.split(":")[0][:40]] += 1
        steps += found.steps
        seed += 1
    taken = time.perf_counter() - started
    print(f"{steps:,} steps at {seed - first:,} settings in {taken:.0f} s, slowest {slowest}")
    for outcome, count in outcomes.most_common(12):
        print(f"{count:7,}  {outcome}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
