"""aihwkit's side: samples of its analog tiles. Runs in the interpreter that has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

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

Result = dict[str, Any]


def prepare(side: str) -> dict[str, str]:
    """Import aihwkit; the versions."""
    from aihwkit.version import __version__

    return {"aihwkit": str(__version__), "torch": torch.__version__}


def measure(case: Result) -> Result:
    """Sample one case."""
    torch.set_num_threads(1)
    return {"read": read, "update": update, "response": response}[case["what"]](case)


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
    """Moments of the weights over devices, after each number of pulses."""
    from aihwkit.simulator.configs import ConstantStepDevice, SoftBoundsDevice

    model = {"constant-step": ConstantStepDevice, "soft-bounds": SoftBoundsDevice}[case["model"]]
    made = _tile(
        DEVICES, model(**dict(case["parameters"])), update=_update_parameters(1, False, False)
    )
    made.set_learning_rate(0.001)  # dw_min: with BL 1, x = 1 and |d| = 1 every device gets a pulse
    made.tile.set_weights(torch.zeros(*DEVICES))
    x, up = torch.ones(1, DEVICES[1]), -torch.ones(1, DEVICES[0])
    seen = []
    for pulse in range(1, 2 * case["pulses"] + 1):
        made.update(x, up if pulse <= case["pulses"] else -up)
        if pulse in case["points"]:
            seen.append(made.tile.get_weights().numpy().ravel().copy())
    return moments(np.stack(seen, axis=1))
