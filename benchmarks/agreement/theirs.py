"""aihwkit's side: samples of its analog tiles. Runs in the interpreter that has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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
from benchmarks.agreement.pair_cases import SIZE as PAIRS
from benchmarks.agreement.pair_cases import SLOTS as PAIR_SLOTS
from benchmarks.agreement.pair_cases import pair_figures, pair_problem

Result = dict[str, Any]


def prepare(side: str) -> dict[str, str]:
    """Import aihwkit; the versions."""
    from aihwkit.version import __version__

    return {"aihwkit": str(__version__), "torch": torch.__version__}


def measure(case: Result) -> Result:
    """Sample one case."""
    torch.set_num_threads(1)
    sampled = {
        "read": read, "update": update, "response": response, "algorithm": algorithm, "pair": pair,
    }  # fmt: skip
    return sampled[case["what"]](case)


def _io(case: Result) -> Any:
    from aihwkit.simulator.configs import BoundManagementType, NoiseManagementType
    from aihwkit.simulator.parameters import IOParameters

    modes = {
        "": BoundManagementType.NONE,
        "iterative": BoundManagementType.ITERATIVE,
        "worst-case": BoundManagementType.ITERATIVE_WORST_CASE,
    }
    managed = NoiseManagementType.ABS_MAX if case["noise_managed"] else NoiseManagementType.NONE
    return IOParameters(
        inp_res=1 / (2 ** case["dac_bits"] - 2) if case["dac_bits"] else -1.0,
        inp_sto_round=case["dac_stochastic"],
        out_res=1 / (2 ** case["adc_bits"] - 2) if case["adc_bits"] else -1.0,
        out_noise=case["read_noise"],
        out_bound=case["bound"],  # 0: unbounded
        noise_management=managed,
        bound_management=modes[case["bound_mode"]],
    )


def _tile(shape: tuple[int, int], device: Any, **parameters: Any) -> Any:
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.tiles.analog import AnalogTile

    return AnalogTile(*shape, SingleRPUConfig(device=device, **parameters), False)


def _uniform_device() -> Any:
    """The RPU-baseline's step and pulse noise, without spreads, bounds out of reach."""
    from aihwkit.simulator.configs import ConstantStepDevice

    return ConstantStepDevice(
        dw_min=0.001, dw_min_dtod=0.0, dw_min_std=0.3, up_down_dtod=0.0, w_max=20.0, w_min=-20.0,
        w_max_dtod=0.0, w_min_dtod=0.0,
    )  # fmt: skip


def read(case: Result) -> Result:
    """Moments of the outputs of one input."""
    W, x, d = vectors(case)
    io = _io(case)
    made = _tile((ROWS, COLUMNS), _uniform_device(), forward=io, backward=io)
    made.set_weights(torch.from_numpy(W))
    given = torch.from_numpy(d if case["transpose"] else x).repeat(READS, 1)
    with torch.no_grad():
        y = made.backward(given) if case["transpose"] else made.joint_forward(given)
    return moments(y.numpy())


def _update_parameters(bl: int, um: bool, ublm: bool) -> Any:
    from aihwkit.simulator.parameters import UpdateParameters

    return UpdateParameters(desired_bl=bl, update_management=um, update_bl_management=ublm)


def update(case: Result) -> Result:
    """Moments of the weight changes by one pair."""
    policy = _update_parameters(case["bl"], case["update_management"], case["update_bl_management"])
    made = _tile((ROWS, COLUMNS), _uniform_device(), update=policy)
    made.set_learning_rate(0.01)
    _, x, d = (torch.from_numpy(array)[None] for array in vectors(case))
    zero, changes = torch.zeros(ROWS, COLUMNS), np.empty((UPDATES, ROWS, COLUMNS), np.float32)
    for i in range(UPDATES):
        made.tile.set_weights(zero)
        made.update(x, d)
        changes[i] = made.tile.get_weights().numpy()
    return moments(with_sums(changes))


def response(case: Result) -> Result:
    """Moments over tiles: mean and deviation of their weights after each number of pulses."""
    return moments(of_tiles(_curve(case) for _ in range(TILES)))


def _curve(case: Result) -> FloatArray:
    """The weights [devices, points] after each number of pulses."""
    from aihwkit.simulator import configs
    from aihwkit.simulator.presets import devices as presets

    model = getattr(configs, case["theirs"], None) or getattr(presets, case["theirs"])
    device = model(**dict(case["their_parameters"]))
    made = _tile(TILE, device, update=_update_parameters(1, False, False))
    made.set_learning_rate(100 * device.dw_min)  # so that with BL 1 every device gets a pulse
    made.tile.set_weights(torch.zeros(*TILE))
    seen, done = [], 0
    for point in case["points"]:
        for upto, sign in ((min(point, case["pulses"]), 1), (point, -1)):
            if (n := upto - done) > 0:
                made.update(torch.ones(n, TILE[1]), -sign * torch.ones(n, TILE[0]))
                done = upto
        seen.append(made.tile.get_weights().numpy().ravel().copy())
    return np.stack(seen, axis=1)


def algorithm(case: Result) -> Result:
    """Moments over tiles that learn a target each."""
    name, samples = case["algorithm"], []
    for run in range(case["tiles"]):
        target, rng = problem(5000 + run)
        made = _learning_tile(name, case["offset"])
        made.set_learning_rate(case["lr"])
        made.set_weights(torch.zeros(SIZE, SIZE))
        found: list[float] = []
        for t in range(1, max(case["points"]) + 1):
            x = rng.standard_normal(SIZE, np.float32)
            seen = torch.from_numpy(x)[None]
            y = made.tile.forward(seen, False, False, False, False)
            made.update(seen, y - torch.from_numpy(target @ x))
            if t in case["points"]:
                hidden = made.get_hidden_parameters()
                A = [v.numpy() for k, v in hidden.items() if k.startswith("hidden_weights_0")]
                H = [v.numpy() for k, v in hidden.items() if "buffered" in k or "chi" in k]
                W = made.get_weights()[0].numpy()
                found += figures(W, target, A[0] if A else None, H[0] if H else None)
        samples.append(found)
    return moments(np.array(samples, np.float32))


def _learning_tile(name: str, offset: float) -> Any:
    """A tile with an algorithm, of the devices that both sides have."""
    from aihwkit.simulator import configs
    from aihwkit.simulator.parameters import IOParameters, UpdateParameters
    from aihwkit.simulator.tiles.analog import AnalogTile

    def device(*, fast: bool) -> Any:
        own = fabricated(fast=fast, offset=offset)
        return configs.SoftBoundsReferenceDevice(dw_min_dtod_log_normal=True, **own)

    perfect = {key: IOParameters(is_perfect=True) for key in ("forward", "backward")}
    W, update = device(fast=False), UpdateParameters(desired_bl=SLOTS)
    if name == "sgd":
        config = configs.SingleRPUConfig(device=W, update=update, **perfect)
        return AnalogTile(SIZE, SIZE, config, False)
    if name == "mixed-precision":
        mixed = configs.MixedPrecisionCompound(device=W)
        config = configs.DigitalRankUpdateRPUConfig(device=mixed, **perfect)
        return AnalogTile(SIZE, SIZE, config, False)
    arrays = [device(fast=True), W]
    # Slots as they are, so that a row's pulses have the distribution that rpucc's have.
    written = UpdateParameters(
        desired_bl=31 if name == "tiki-taka" else 1, update_bl_management=False,
        update_management=False,
    )  # fmt: skip
    common = {
        "transfer_forward": IOParameters(is_perfect=True), "transfer_update": written,
        "transfer_every": EVERY, "units_in_mbatch": False, "transfer_lr": 1.0,
        "scale_transfer_lr": True,
    }  # fmt: skip
    filtered = {
        **common, "auto_scale": True, "fast_lr": 1.0, "auto_granularity": GRANULARITY,
        "forget_buffer": False, "momentum": 0.0,
    }  # fmt: skip
    cell = {
        "tiki-taka": lambda: configs.TransferCompound(
            arrays, **common, fast_lr=0.05, scale_fast_lr=False
        ),
        "tiki-taka-2": lambda: configs.ChoppedTransferCompound(
            arrays, in_chop_prob=0.0, **filtered
        ),
        "chopped-tiki-taka": lambda: configs.ChoppedTransferCompound(
            arrays, in_chop_prob=0.1, in_chop_random=True, **filtered
        ),
        "agad": lambda: configs.DynamicTransferCompound(
            arrays, in_chop_prob=0.1, in_chop_random=False, tail_weightening=5.0, **filtered
        ),
    }[name]()
    config = configs.UnitCellRPUConfig(device=cell, update=update, **perfect)
    return AnalogTile(SIZE, SIZE, config, False)


def pair(case: Result) -> Result:
    """Moments over tiles of pairs that learn a target each."""
    samples = []
    for run in range(case["tiles"]):
        target, rng = pair_problem(5000 + run)
        made = _pair_tile(case)
        made.set_learning_rate(case["lr"])
        made.set_weights(torch.zeros(PAIRS, PAIRS))
        found: list[float] = []
        for t in range(1, max(case["points"]) + 1):
            x = rng.standard_normal(PAIRS, np.float32)
            seen = torch.from_numpy(x)[None]
            y = made.tile.forward(seen, False, False, False, False)
            made.update(seen, y - torch.from_numpy(target @ x))
            if t in case["points"]:
                hidden = made.get_hidden_parameters()
                sides = (hidden[f"hidden_weights_{k}"].numpy() for k in (1, 0))  # g+ is the second
                found += pair_figures(target, *sides)
        samples.append(found)
    return moments(np.array(samples, np.float32))


def _pair_tile(case: Result) -> Any:
    from aihwkit.simulator import configs
    from aihwkit.simulator.parameters import IOParameters
    from aihwkit.simulator.tiles.analog import AnalogTile

    def device() -> Any:
        return getattr(configs, case["theirs"])(**dict(case["parameters"]))

    perfect = {key: IOParameters(is_perfect=True) for key in ("forward", "backward")}
    cell = configs.OneSidedUnitCell(
        [device(), device()], refresh_every=case["refresh_every"], units_in_mbatch=True,
        refresh_forward=perfect["forward"],
        refresh_update=_update_parameters(PAIR_SLOTS, um=True, ublm=True),
    )  # fmt: skip
    update = _update_parameters(PAIR_SLOTS, um=True, ublm=True)
    config = configs.UnitCellRPUConfig(device=cell, update=update, **perfect)
    return AnalogTile(PAIRS, PAIRS, config, False)
