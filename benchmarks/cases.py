"""What is measured: specs, the groups in which they run in turn, the rows of the report, the goals.

Plain data: nothing here measures or imports anything but the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from benchmarks.algorithms import ALGORITHMS, DEVICES

SIDES = ("rpucc", "aihwkit", "torch")
UPDATES = {
    "bl10": "BL 10",
    "bl10_um": "BL 10 + UM",
    "bl1_um": "BL 1 + UM",
    "bl31_um_ublm": "BL 31 + UM + UBLM",
    "ideal": "ideal",
}
CYCLES = ("forward", "backward", "update")
SIZES = ((128, 512), (512, 512), (2048, 2048), (4096, 4096))
OPS = {1: CYCLES, 64: ("forward", "backward")}
"""Batch to the cycles that are measured on single tiles."""


@dataclass(frozen=True)
class Spec:
    """One measurement: who measures, what, and its settings (all of them part of its identity)."""

    side: str
    what: str
    settings: tuple[tuple[str, Any], ...] = ()
    threads: int = 1

    @classmethod
    def of(cls, side: str, what: str, threads: int = 1, **settings: Any) -> Spec:
        """A spec from keyword settings."""
        return cls(side, what, tuple(settings.items()), threads)

    def request(self, seconds: float) -> dict[str, Any]:
        """What the worker gets."""
        request = {"side": self.side, "what": self.what, "threads": self.threads}
        return {**request, "seconds": seconds, **dict(self.settings)}

    @property
    def key(self) -> str:
        """A name for the raw results."""
        settings = " ".join(f"{k}={json.dumps(v, separators=(',', ':'))}" for k, v in self.settings)
        return " ".join((self.side, self.what, f"threads={self.threads}", settings)).strip()


@dataclass(frozen=True)
class Group:
    """Specs that run in turn, A B C A B C, for `--repeats` rounds (at most `most_rounds`).

    share: of `--seconds`, for one timing in it. quick: part of a quick run.
    """

    name: str
    specs: tuple[Spec, ...]
    share: float = 1.0
    most_rounds: int = 99
    quick: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a table: one quantity on each side.

    metric: what of a result is shown; rates count up, seconds down.
    """

    table: str
    name: str
    metric: str
    specs: dict[str, Spec] = field(hash=False)


@dataclass(frozen=True)
class Goal:
    """What must be shown: how many times better `ours` is than `theirs`."""

    name: str
    metric: str
    ours: Spec
    theirs: Spec
    at_least: float | None
    aim: float | None


def lenet(side: str, what: str, update: str, batch: int, threads: int = 1) -> Spec:
    """LeNet training or inference; PyTorch has no updates by pulses."""
    if side == "torch":
        return Spec.of(side, what, threads, batch=batch)
    return Spec.of(side, what, threads, batch=batch, update=update)


def tile(side: str, size: tuple[int, int], batch: int) -> Spec:
    """The cycles of one weight matrix."""
    return Spec.of(side, "tile", size=size, batch=batch, update="bl10_um", ops=OPS[batch])


def algorithm(side: str, name: str, device: str) -> Spec:
    """LeNet training at batch 1 by an algorithm, with BL 31, UM and UBLM."""
    return Spec.of(side, "lenet-train", batch=1, algorithm=name, device=device)


def device_update(side: str, device: str) -> Spec:
    """Updates of a 512² tile of these devices, with BL 31, UM and UBLM."""
    return Spec.of(
        side, "tile", size=SIZES[1], batch=1, update="bl31_um_ublm", device=device, ops=("update",)
    )


def network(side: str, net: str) -> Spec:
    """A training step of a large network."""
    return Spec.of(side, "network", net=net, batch=1, update="bl10_um")


KERNELS: tuple[tuple[str, Spec, tuple[str, ...]], ...] = (
    *(
        (
            name,
            Spec.of(
                "rpucc", "tile", size=size, batch=1, positions=P, update="bl10", density=density,
                ops=ops,
            ),
            ops,
        )
        for name, size, P, density, ops in (
            ("K1 16×26, 576 positions", (16, 26), 576, 0.25, ("forward", "update")),
            ("K2 32×401, 64 positions", (32, 401), 64, 0.25, CYCLES),
            ("W3 128×513", (128, 513), 1, 1.0, CYCLES),
            ("W4 10×129", (10, 129), 1, 1.0, CYCLES),
        )
    ),
    ("512², batch 1", tile("rpucc", (512, 512), 1), CYCLES),
    ("512², batch 64", tile("rpucc", (512, 512), 64), OPS[64]),
    ("4096², batch 1", tile("rpucc", (4096, 4096), 1), CYCLES),
    ("4096², batch 64", tile("rpucc", (4096, 4096), 64), OPS[64]),
)  # fmt: skip
"""Kernels that are set beside their floors: name, spec, cycles. K1 to W4 are the LeNet's, with the
sparse errors that its pooling leaves."""

FLOORS = Spec.of("rpucc", "floors")
ALGORITHMS_TABLE = "Training algorithms"
SERIES = ("weights", "tiles", "positions", "bl", "batch", "threads")


def series(name: str) -> Spec:
    """A scaling series; that of threads may use them all."""
    return Spec.of("rpucc", "series", name=name)


def groups() -> list[Group]:
    """Everything, in the order in which it runs."""
    found = [Group("machine", (FLOORS,), share=0.2, most_rounds=1)]
    updates = ("bl10", "bl1_um", "bl31_um_ublm")
    for batch in (1, 8, 64):
        pulsed = [lenet(s, "lenet-train", u, batch) for u in updates for s in SIDES[:2]]
        exact = [lenet(s, "lenet-train", "ideal", batch) for s in ("rpucc", "torch")]
        found.append(Group(f"lenet-train-{batch}", (*pulsed, *exact), quick=batch != 8))
    for batch in (1, 8, 64, 100):
        specs = [lenet(side, "lenet-infer", "bl10", batch) for side in SIDES]
        specs.append(lenet("rpucc", "lenet-infer", "ideal", batch))
        found.append(Group(f"lenet-infer-{batch}", tuple(specs), 0.6, quick=batch == 100))
    for size in SIZES:
        for batch in OPS:
            specs = [tile(side, size, batch) for side in SIDES]
            name = f"tile-{size[0]}x{size[1]}-{batch}"
            found.append(Group(name, tuple(specs), 0.2, quick=size in (SIZES[1], SIZES[3])))
    for device in DEVICES:
        specs = [algorithm(s, name, device) for name in ALGORITHMS for s in SIDES[:2]]
        specs += [device_update(side, device) for side in SIDES[:2]]
        found.append(Group(f"algorithms-{device}", tuple(specs), quick=False))
    threads = [
        lenet("rpucc", what, "bl1_um", 64, n)
        for what in ("lenet-train", "lenet-infer")
        for n in (1, 2)
    ]
    found.append(Group("threads", tuple(threads)))
    for net in ("resnet18", "alexnet"):
        specs = [network(side, net) for side in SIDES]
        found.append(Group(net, tuple(specs), 0.5, most_rounds=2, quick=False))
    kernels = [spec for _, spec, _ in KERNELS if "positions" in dict(spec.settings)]
    found.append(Group("kernels", tuple(kernels), 0.1))
    for name in SERIES:
        found.append(Group(f"scaling-{name}", (series(name),), 0.05, 1, quick=False))
    return found


def chosen(pattern: str, quick: bool) -> list[Group]:
    """The groups whose name matches a glob; a quick run leaves the less telling ones out."""
    return [g for g in groups() if fnmatchcase(g.name, pattern) and (g.quick or not quick)]


def rows() -> list[Row]:
    """The rows of the comparison tables."""
    found: list[Row] = []
    for title, what, batches in (
        ("LeNet training", "lenet-train", (1, 8, 64)),
        ("LeNet inference", "lenet-infer", (1, 8, 64, 100)),
    ):
        updates = tuple(UPDATES) if what == "lenet-train" else ("bl10", "ideal")
        for batch in batches:
            for update in updates:
                if update == "bl10_um":
                    continue
                sides = ("rpucc", "torch") if update == "ideal" else ("rpucc", "aihwkit", "torch")
                policy = UPDATES[update] if what == "lenet-train" or update == "ideal" else "analog"
                specs = {side: lenet(side, what, update, batch) for side in sides}
                name = f"batch {batch}, {policy}"
                found.append(Row(title, name, "samples_per_second", specs))
    for size in SIZES:
        for batch, ops in OPS.items():
            for op in ops:
                specs = {side: tile(side, size, batch) for side in SIDES}
                name = f"{size_name(size)} {op}, batch {batch}"
                found.append(Row("Single tiles", name, f"{op}_seconds", specs))
    for device, label in DEVICES.items():
        for key, title in ALGORITHMS.items():
            specs = {side: algorithm(side, key, device) for side in SIDES[:2]}
            found.append(Row(ALGORITHMS_TABLE, f"{title}, {label}", "samples_per_second", specs))
        specs = {side: device_update(side, device) for side in SIDES[:2]}
        name = f"update of a 512² tile, {label}"
        found.append(Row(ALGORITHMS_TABLE, name, "update_seconds", specs))
    for net, name in (("resnet18", "ResNet-18 (CIFAR)"), ("alexnet", "AlexNet")):
        specs = {side: network(side, net) for side in SIDES}
        found.append(Row("One training step, batch 1, BL 10 + UM", name, "step_seconds", specs))
    return found


def memory_rows() -> list[Row]:
    """The rows of the memory table."""
    tiles = {side: tile(side, SIZES[3], 1) for side in SIDES}
    found = [
        Row("", "4096² tile, resident, bytes a weight", "resident_per_weight", tiles),
        Row("", "4096² tile, peak, bytes a weight", "peak_per_weight", tiles),
    ]
    train = {side: lenet(side, "lenet-train", "bl10", 64) for side in SIDES}
    found.append(Row("", "LeNet training, batch 64, peak MB", "peak_bytes", train))
    for net, name in (("resnet18", "ResNet-18 step"), ("alexnet", "AlexNet step")):
        specs = {side: network(side, net) for side in SIDES}
        found.append(Row("", f"{name}, peak MB", "peak_bytes", specs))
    return found


def goals() -> list[Goal]:
    """What the project set out to reach, one core each side, in the same run."""
    rate = "samples_per_second"
    train, infer = "lenet-train", "lenet-infer"
    ours = lenet("rpucc", train, "bl10", 1)
    large = SIZES[3]
    found = [
        Goal("LeNet training, batch 1, BL 10, against aihwkit", rate, ours,
             lenet("aihwkit", train, "bl10", 1), 12, 20),
        Goal("the same against floating-point PyTorch training", rate, ours,
             lenet("torch", train, "", 1), 2.5, 4),
        Goal("LeNet training, batch 64, BL 1 + UM, against aihwkit", rate,
             lenet("rpucc", train, "bl1_um", 64), lenet("aihwkit", train, "bl1_um", 64), 6, 10),
        Goal("LeNet inference, batch 100, against aihwkit", rate,
             lenet("rpucc", infer, "bl10", 100), lenet("aihwkit", infer, "bl10", 100), 6, 12),
    ]  # fmt: skip
    for size in (SIZES[1], large):
        name = f"update of a {size_name(size)} tile, BL 10 + UM, against aihwkit"
        pair = tile("rpucc", size, 1), tile("aihwkit", size, 1)
        found.append(Goal(name, "update_seconds", *pair, 6, 12))
    for op, at_least in (("forward", 8), ("backward", 4)):
        name, metric = f"{op} of a 4096² tile, batch 64", f"{op}_seconds"
        pair = tile("rpucc", large, 64), tile("aihwkit", large, 64)
        found.append(Goal(f"{name}, against aihwkit", metric, *pair, at_least, None))
        pair = tile("rpucc", large, 64), tile("torch", large, 64)
        found.append(Goal(f"{name}, against PyTorch's bare GEMM", metric, *pair, None, 1 / 1.1))
    for what, metric in (("resident", "resident_per_weight"), ("peak", "peak_per_weight")):
        pair = tile("rpucc", large, 1), tile("aihwkit", large, 1)
        name = f"{what} bytes a weight of a 4096² tile, against aihwkit"
        found.append(Goal(name, metric, *pair, 2, 4))
    for what, name in ((train, "training"), (infer, "inference")):
        pair = lenet("rpucc", what, "bl1_um", 64, 2), lenet("rpucc", what, "bl1_um", 64, 1)
        found.append(Goal(f"two threads against one, batch 64 {name}", rate, *pair, 1.6, 1.85))
    return found


def size_name(size: Iterable[int]) -> str:
    """512² or 128×512."""
    R, C = size
    return f"{R}²" if R == C else f"{R}×{C}"
