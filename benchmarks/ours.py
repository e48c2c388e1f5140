"""Measurements of rpucc; runs inside a worker, one spec a process.

`measure` takes a spec (see `cases.Spec`) and returns numbers by name: seconds a call or samples a
second, and bytes. Not for comparing: the report does that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rpucc
from benchmarks import programs
from benchmarks.clock import reset_peak, resident_bytes, seconds_per_call
from rpucc.runtime.cycles import ReadCycle, UpdateCycle
from rpucc.runtime.data import Dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.standalone import StandaloneArray
from rpucc.runtime.threads import Threads
from rpucc.runtime.trainer import Trainer

Result = dict[str, Any]
EPOCH_SAMPLES = 512
LR = 0.01


def prepare(side: str) -> dict[str, str]:
    """Import and compile (or load from the cache) what most measurements need; the versions."""
    import numba
    import onnxruntime  # noqa: F401

    for update in ("bl1_um", "ideal"):
        trainer, data = _lenet({"update": update, "threads": 1})
        few = Dataset(
            "digits", data.x_train[:2], data.y_train[:2], data.x_test[:1], data.y_test[:1]
        )
        trainer.fit(few, epochs=1)
    return {"rpucc": rpucc.__version__, "numpy": np.__version__, "numba": numba.__version__}


def measure(spec: Result) -> Result:
    """One measurement in this process."""
    return MEASURES[spec["what"]](spec)


def _lenet(spec: Result) -> tuple[Trainer, Dataset]:
    if "algorithm" in spec:
        target = programs.algorithm_target(spec["algorithm"], spec["device"])
    else:
        target = programs.target(spec["update"])
    program = rpucc.compile("lenet", target, verify=False)
    return Trainer(Machine(program, seed=1), threads=spec["threads"]), _digits()


def _digits() -> Dataset:
    return rpucc.load_dataset("mnist-mini")


def lenet_train(spec: Result) -> Result:
    """Samples a second of `Trainer.fit` on the first samples of a training.

    Each epoch starts again from the initial weights: peers see only the first few hundred samples
    in their time, and the later ones, with their smaller errors, cost fewer pulses.
    """
    base = reset_peak()
    trainer, data = _lenet(spec)
    samples = max(EPOCH_SAMPLES, spec["batch"])
    few = Dataset(
        "digits", data.x_train[:samples], data.y_train[:samples], data.x_test[:1], data.y_test[:1]
    )
    initial = {name: array.copy() for name, array in trainer.machine.state().items()}
    rates: list[float] = []
    seconds = 0.0
    while len(rates) < 4 or seconds < spec["seconds"]:
        trainer.machine.set_state(initial)
        epochs = len(rates) + 1
        metrics = trainer.fit(few, epochs=epochs, batch_size=spec["batch"], lr=0.01)[-1]
        rates.append(metrics.samples_per_second)
        seconds += metrics.seconds if len(rates) > 1 else 0.0
    return {
        "samples_per_second": float(np.median(rates[1:])),  # the first epoch loads the kernels
        "peak_bytes": resident_bytes("VmHWM") - base,
        "pulses_per_weight": metrics.pulses_per_weight,
        "rereads_per_read": metrics.rereads / max(metrics.reads, 1),
        "state_per_weight": trainer.machine.bytes_per_weight,
    }


def lenet_infer(spec: Result) -> Result:
    """Samples a second of `Trainer.predict`."""
    base = reset_peak()
    trainer, data = _lenet(spec)
    batch = spec["batch"]
    samples = data.x_test[: batch * max(1, 256 // batch)]
    seconds = seconds_per_call(lambda: trainer.predict(samples, batch), spec["seconds"])
    peak = resident_bytes("VmHWM") - base
    return {"samples_per_second": len(samples) / seconds, "peak_bytes": peak}


# ---------------------------------------------------------------- one weight matrix


class Tile:
    """The three cycles of one array, each bound to random inputs.

    x is uniform in ±1, d in ±0.1, lr 0.01, as the peers have it. Of two updates in turn the second
    takes -d, so that the weights stay where they are instead of meeting their bounds.
    """

    def __init__(self, spec: Result) -> None:
        R, C = spec["size"]
        update, bl = spec.get("update", "bl10_um"), spec.get("bl", 0)
        device = spec.get("device", "")
        self.array = programs.tile_array(R, C, update, bl, spec.get("cuts", 1), device)
        self.initial = self.array.weights.copy()  # a program keeps them, in any network: they count
        self.batch, self.threads = spec.get("batch", 1), Threads(spec.get("threads", 1))
        positions = spec.get("positions", 1)
        self._lead = (self.batch, positions) if positions > 1 else (self.batch,)
        self._rng = np.random.default_rng(1)
        self._sample = 0
        self.density = float(spec.get("density", 1.0))

    def cycle(self, op: str) -> tuple[Callable[[], None], ReadCycle | UpdateCycle]:
        """A call that runs forward, backward or update once, and what it runs."""
        R, C = self.array.shape
        x, d = self._uniform(*self._lead, C), self._uniform(*self._lead, R) * np.float32(0.1)
        if self.density < 1:
            d *= self._rng.random(d.shape) < self.density
        made = self._bound(op, x.shape if op != "backward" else d.shape)
        made.x[...] = d if op == "backward" else x
        if isinstance(made, UpdateCycle):
            made.d[...], made.lr[...] = d, LR

        def call() -> None:
            if isinstance(made, UpdateCycle):
                np.negative(made.d, made.d)
            made.run(self._sample)
            self._sample += self.batch

        return call, made

    def _bound(self, op: str, shape: tuple[int, ...]) -> ReadCycle | UpdateCycle:
        array, how = self.array, {"threads": self.threads}
        if op == "update":
            return UpdateCycle(array, array.policy, shape, **how)
        return ReadCycle(array, array.policy, shape, transpose=op == "backward", **how)

    def _uniform(self, *shape: int) -> NDArray[np.float32]:
        return self._rng.random(shape, np.float32) * np.float32(2) - np.float32(1)


def tile(spec: Result) -> Result:
    """Seconds a call of each of the ops, and the memory that the tile holds and peaks at."""
    result: Result = {}
    base = reset_peak()
    made = Tile(spec)
    for op in spec["ops"]:
        call, bound = made.cycle(op)
        result[f"{op}_seconds"] = seconds_per_call(call, spec["seconds"])
        tallies = bound.tallies
        tallies.reset()
        call()
        result[f"{op}_pulses"] = int(tallies.pulses)
        result[f"{op}_reads"] = [int(n) for n in tallies.reads]
        if isinstance(bound, UpdateCycle):
            result["update_words"], result["update_normals"] = _draws(made.array, bound)
    weights = spec["size"][0] * spec["size"][1]
    result["resident_per_weight"] = (resident_bytes() - base) / weights
    result["peak_per_weight"] = (resident_bytes("VmHWM") - base) / weights
    result["state_per_weight"] = made.array.bytes / made.array.size
    return result


def _draws(array: StandaloneArray, bound: UpdateCycle) -> tuple[float, float]:
    """The words and normals that the update must draw (see `floors`)."""
    from benchmarks.floors import expected_draws

    update, dw_min = array.policy.update, array.planes["weight"].device.dw_min
    x, d = (a.reshape(-1, a.shape[-1]) for a in (bound.x, bound.d))
    return expected_draws(x, d, LR, dw_min, update.bl, update.update_management)


# ---------------------------------------------------------------- large networks


def network(spec: Result) -> Result:
    """Seconds of one training step of a large network, one image at a time."""
    model = {"alexnet": programs.alexnet, "resnet18": programs.resnet18}[spec["net"]]()
    base = reset_peak()
    program = rpucc.compile(model, programs.target(spec["update"]), verify=False)
    del model
    machine = Machine(program, seed=1)
    trainer = Trainer(machine, threads=spec["threads"])
    executor = trainer.executor(spec["batch"], evaluating=False)
    x = executor[program.inputs[0]]
    x[...] = np.random.default_rng(1).random(x.shape, np.float32)
    executor[program.step.labels][...] = 1
    executor[program.step.rates[0]][...] = 0.01
    steps = iter(range(1_000_000))
    seconds = seconds_per_call(lambda: executor.run(next(steps)), spec["seconds"])
    return {
        "step_seconds": seconds,
        "weights": machine.weights,
        "peak_bytes": resident_bytes("VmHWM") - base,
        "state_per_weight": machine.bytes_per_weight,
    }


def floors(spec: Result) -> Result:
    """What the machine can do (see `floors.py`)."""
    from benchmarks.floors import machine_rates

    return machine_rates(spec["seconds"])


def series(spec: Result) -> Result:
    """A scaling series (see `scaling.py`)."""
    from benchmarks.scaling import run_series

    return run_series(spec["name"], spec["seconds"])


MEASURES: dict[str, Callable[[Result], Result]] = {
    "lenet-train": lenet_train,
    "lenet-infer": lenet_infer,
    "tile": tile,
    "network": network,
    "floors": floors,
    "series": series,
}
