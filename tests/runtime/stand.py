"""A test stand: single nodes and chains on a backend, with arrays of one's own and no compiler.

Nothing here looks into a kernel: what a backend is asked for is what an executor asks it for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.opset import DOMAIN, VERSION
from rpucc.runtime.array import Array
from rpucc.runtime.backend import Backend
from rpucc.runtime.devices import make_device
from rpucc.runtime.executor import Executor
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.update import trains
from rpucc.step_contract import StepContract

from .tilings import Periphery, Pulsing, Tiling, make_array, plain_pulse

FloatArray = NDArray[np.float32]


@dataclass
class Stand:
    """A graph that grows node by node, and the arrays that its weights are."""

    inputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    nodes: list[ir.Node] = field(default_factory=list)
    _values: list[ir.Value] = field(default_factory=list)
    _fixed: list[ir.Value] = field(default_factory=list)

    def value(self, name: str, array: NDArray[Any]) -> ir.Value:
        """A graph input of this array's shape; the array is what it holds."""
        self.inputs[name] = array
        made = _like(name, array)
        self._values.append(made)
        return made

    def constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        self.constants[name] = array
        made = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        self._fixed.append(made)
        return made

    def weight(self, name: str, array: Array) -> ir.Value:
        """An initializer that lies on devices."""
        self.arrays[name] = array
        made = ir.Value(name=name, const_value=ir.tensor(array.weights.copy(), name=name))
        self._fixed.append(made)
        return made

    def node(
        self, op: str, inputs: Sequence[ir.Value | None], outputs: int = 1, domain: str = "",
        **attributes: Any,
    ) -> ir.Value:  # fmt: skip
        """Append a node; its first output."""
        made = ir.node(
            op, inputs, attributes, domain=domain, num_outputs=outputs,
            name=f"{op}_{len(self.nodes)}",
        )  # fmt: skip
        for i, value in enumerate(made.outputs):
            value.name = f"{made.name}.{i}"
        self.nodes.append(made)
        return made.outputs[0]

    def rpu(self, op: str, *inputs: ir.Value, outputs: int = 1, **attributes: Any) -> ir.Value:
        return self.node(op, inputs, outputs, DOMAIN, **attributes)

    def executor(
        self, backend: Backend, *outputs: ir.Value, batch: int = 1, seed: int = 1,
        evaluating: bool = False, fuse: bool = True,
    ) -> Executor:  # fmt: skip
        """An executor whose inputs hold what they were made with."""
        graph = ir.Graph(
            self._values, outputs, nodes=self.nodes, initializers=self._fixed,
            opset_imports={"": 21, DOMAIN: VERSION},
        )  # fmt: skip
        machine: Any = SimpleNamespace(
            program=SimpleNamespace(
                fixed_batch=None, model=ir.Model(graph, ir_version=10),
                step=StepContract((), ""),
            ),
            arrays=self.arrays, held={name: a.visible for name, a in self.arrays.items()},
            values=self.constants, updates={}, key=seed_key(seed),
        )  # fmt: skip
        names = [str(value.name) for value in outputs]
        made = Executor(machine, batch, names, evaluating=evaluating, fuse=fuse, backend=backend)
        for name, array in self.inputs.items():
            made[name][...] = array
        return made


def _like(name: str, array: NDArray[Any]) -> ir.Value:
    kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
    return ir.Value(name=name, shape=ir.Shape(array.shape), type=kind)


def quiet_array(W: FloatArray, tiling: Tiling, seed: int = 1) -> Array:
    """An array that holds exactly W."""
    return make_array("fc", tiling.layout(seed), make_device("ideal", {}), W, pulsed=False)


def read_on(
    backend: Backend, W: FloatArray, X: FloatArray, tiling: Tiling, periphery: Periphery, *,
    positions: int = 1, sample: int = 0, seed: int = 1, transpose: bool = False,
    evaluating: bool = False,
) -> tuple[FloatArray, NDArray[np.int64]]:  # fmt: skip
    """(Y, statistics) of a Read of all rows of X, forward or backward."""
    array = quiet_array(W, tiling, seed)
    x = X.reshape(-1, positions, X.shape[1])
    Y, statistics = read_array_on(
        backend, array, x, periphery, sample=sample, seed=seed, transpose=transpose,
        evaluating=evaluating,
    )  # fmt: skip
    return Y.reshape(len(X), -1), statistics


def read_array_on(
    backend: Backend, array: Array, x: FloatArray, periphery: Periphery, *, sample: int = 0,
    seed: int = 1, transpose: bool = False, evaluating: bool = False,
) -> tuple[FloatArray, NDArray[np.int64]]:  # fmt: skip
    """(y, statistics): x is [N, P, inputs], or [N, G, P, inputs] for the G matrices of an array."""
    stand, p = Stand(), periphery
    scaled, factor = stand.value("x", x), None
    if p.noise_managed:
        scaled = stand.rpu("NoiseManage", scaled, outputs=2)
        factor = stand.nodes[-1].outputs[1]
    y = stand.rpu(
        "BoundedRead" if p.max_halvings else "Read", scaled, stand.weight("W", array),
        noise=p.noise, bound=p.bound, dac_bits=p.dac_bits, adc_bits=p.adc_bits,
        max_halvings=p.max_halvings, assumed_w_max=p.worst_case * p.bound,
        dac_stochastic=int(p.dac_stochastic), transpose=int(transpose),
    )  # fmt: skip
    if factor is not None:
        y = stand.rpu("Rescale", y, factor)
    y = stand.node("ReduceSum", [y])
    executor = stand.executor(backend, y, batch=len(x), seed=seed, evaluating=evaluating)
    executor.run(sample)
    return executor[str(y.name)].copy(), executor.tallies.reads.copy()


def updating_on(
    backend: Backend, array: Array, x: FloatArray, d: FloatArray, how: Pulsing
) -> Callable[[int], int]:
    """What updates the array when called with a sample number; it returns the pulses.

    x and d are [N, P, columns] and [N, P, rows], or have G matrices' axis behind N.
    """
    stand = Stand()
    new = stand.rpu(
        "Update", stand.weight("W", array), stand.value("x", x), stand.value("d", d),
        stand.value("lr", np.array(how.lr, np.float32)), pulsed=int(array.main.pulsed),
        bl=how.bl, update_management=int(how.managed), update_bl_management=int(how.bl_managed),
    )  # fmt: skip
    key = array.layout.key
    seed = int(key[0]) | int(key[1]) << 32
    executor = stand.executor(backend, new, batch=len(x), seed=seed)

    def update(sample: int) -> int:
        executor.tallies.reset()
        executor.run(sample)
        return executor.tallies.pulses

    return update


def pulse_on(backend: Backend, plane: Plane, X: FloatArray, D: FloatArray, how: Pulsing) -> int:
    """One update of a plane's weights with all rows of X and D; its pulses."""
    array = Array("fc", plane.layout, {"weight": plane})
    x, d = (a.reshape(-1, how.positions, a.shape[1]) for a in (X, D))
    return updating_on(backend, array, x, d, how)(how.sample)


def check_pulses(
    backend: Backend, plane: Plane, X: FloatArray, D: FloatArray, how: Pulsing, atol: float = 2e-6
) -> int:
    """One update equals a plain statement draw for draw; its pulses.

    Counted devices may as well be pulsed one by one: both statements are of one distribution.
    """
    before = plane.W.copy()
    pulses = pulse_on(backend, plane, X, D, how)
    after = plane.W.copy()
    rows = len(X) * len(trains(how.bl, how.bl))
    for counted in (True, False) if plane.device.counted else (False,):
        plane.W[...] = before
        W, expected = plain_pulse(plane, X, D, replace(how, chunk=rows), counted)
        if counted and not np.allclose(after, W, rtol=0, atol=atol):
            continue
        plane.W[...] = after
        assert pulses == expected
        np.testing.assert_allclose(after, W, rtol=0, atol=atol)
        break
    return pulses


def values_of(
    executor: Executor, feeds: Mapping[str, NDArray[Any]], *names: str
) -> list[NDArray[Any]]:
    """Run a step on other inputs; copies of these values."""
    for name, array in feeds.items():
        executor[name][...] = array
    executor.run()
    return [executor[name].copy() for name in names]
