"""`rpucc.torch`: a machine as a PyTorch module, whose backward updates its arrays.

Needs PyTorch (`pip install 'rpucc[torch]'`), which importing this imports. The cycles are those of
`rpucc.runtime.own_loop`. Not for making an ONNX model of a module: `rpucc.from_torch`.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rpucc import arguments
from rpucc.errors import ArgumentError, CheckpointError, DataError, ModelError, UsageError
from rpucc.runtime.checkpoint_file import read_checkpoint, write_checkpoint
from rpucc.runtime.machine import Machine
from rpucc.runtime.own_loop import OwnLoop, Pass
from rpucc.runtime.rates import check_rate

try:
    import torch
    from torch.autograd.function import once_differentiable
except ImportError:
    raise ModelError("rpucc.torch: needs torch: pip install 'rpucc[torch]'") from None

Rate = float | Callable[[], float]

MACHINE = "a Machine, as rpucc.Machine(program, seed=0) makes and rpucc.Machine.load reads"
RATE = "a positive, finite number, or a function without arguments that returns one"
ME = "rpucc.torch.Module"


class Module(torch.nn.Module):  # type: ignore[misc]  # torch is optional, and mypy sees none
    """A network on simulated arrays inside a PyTorch model.

    machine: what `rpucc.Machine` makes or `rpucc.Machine.load` reads.
    lr: the learning rate of the arrays and of the digital weights of the program; or a function
        that returns it, as `lambda: optimizer.param_groups[0]["lr"]`, so that a scheduler of torch
        has its say. `module.lr` may be set at any time.
    threads: CPU threads, 1 or more; results do not depend on it.

    Called with a tensor [N, ...] for each input of the program, in its order, it returns a tensor
    for its output, a tuple of several. `loss.backward()` reads the arrays transposed and, after the
    gradients of all calls are there, updates them: no optimizer does, nor has to know of it. The
    only parameter, `arrays`, holds nothing; `requires_grad_(False)` keeps the arrays as they are,
    while gradients go through them (a program compiled with `input_gradients=True`).

    In `train()` mode every call has reads of its own, counted as training's, under `no_grad`, too.
    In `eval()` mode they are those of `Trainer.predict`, the same again until more is trained, and
    have no backward. `state_dict()` has the machine's checkpoint, which fits a machine of the same
    program and seed.

    Raises ArgumentError for other arguments, and what `forward`, `backward` and `update` of a
    Machine raise.
    """

    def __init__(self, machine: Machine, lr: Rate = 0.01, *, threads: int = 1) -> None:
        super().__init__()
        self.machine = arguments.instance(f"{ME}(machine)", machine, Machine, MACHINE)
        if machine.threads != threads:
            machine.threads = threads
        self.lr = lr
        self.arrays = torch.nn.Parameter(torch.zeros(0))
        # Behind the gradients of all calls that one backward goes through; then it may pulse.
        self.arrays.register_post_accumulate_grad_hook(_Updating(weakref.ref(self)))
        self._waiting: list[_Held] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "lr" and not callable(value):
            value = _rate(value)
        super().__setattr__(name, value)

    def forward(self, *x: Any) -> Any:
        """Return what the network gives for a batch: see the class."""
        names = self.machine.program.inputs
        if len(x) != len(names) or not all(isinstance(each, torch.Tensor) for each in x):
            found = ", ".join(arguments.found(each) for each in x) or "nothing"
            raise ArgumentError(
                f"{ME}: found {found}; allowed: a tensor for each input of the program, "
                f"{', '.join(names)}"
            )
        learns = torch.is_grad_enabled()
        of_inputs = learns and any(each.requires_grad for each in x)
        recorded = of_inputs or (learns and self.arrays.requires_grad)
        trains = self.training and self.machine.program.training
        if trains and of_inputs:
            self.machine.loop.check_inputs(ME, wanted=True)
        held = _Held(self.machine.loop, trains=trains, kept=trains and recorded)
        token = self.arrays.view(0)
        if held.kept and token.requires_grad:
            # Only a backward that goes on to `arrays` comes here: torch.autograd.grad does not.
            token.register_hook(lambda _: self._waiting.append(held))
        found = _Cycles.apply(held, token, *x)
        return found[0] if len(found) == 1 else found

    def get_extra_state(self) -> Any:
        """Return the machine's checkpoint, the bytes of its file: for `state_dict`."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "state.safetensors"
            write_checkpoint(self.machine.checkpoint(), self.machine.program, place)
            return torch.from_numpy(np.fromfile(place, np.uint8))

    def set_extra_state(self, state: Any) -> None:
        """Put back what `get_extra_state` gave; raises CheckpointError for another machine's."""
        if not isinstance(state, torch.Tensor) or state.dtype != torch.uint8:
            raise CheckpointError(f"{ME}: its part of the state is no checkpoint of rpucc")
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "state.safetensors"
            state.cpu().numpy().tofile(place)
            try:
                found = read_checkpoint(place, self.machine.program)
                if found.seed != self.machine.seed:
                    raise CheckpointError(
                        f"the state is of seed {found.seed}, this machine of seed "
                        f"{self.machine.seed}, whose devices are others; make it with that seed"
                    )
                self.machine.restore(found, place)
            except CheckpointError as error:
                text = str(error).replace(f"{place}: ", "")
                raise CheckpointError(f"{ME}: {text}") from None

    def extra_repr(self) -> str:
        """What `print` says of it."""
        program, lr = self.machine.program, self.lr
        rate = "of a function" if callable(lr) else f"{lr:g}"
        weights = f"{self.machine.weights:,} weights"
        return f"{program.name!r} for {program.target.name}, {weights}, lr {rate}"

    def __getstate__(self) -> Any:
        raise UsageError(
            f"{ME}: arrays cannot be copied or pickled; make another one of a machine of the same "
            "program and seed, and load_state_dict(module.state_dict())"
        )

    def update_waiting(self) -> None:
        """Update by every backward since the last time: called at the end of `loss.backward()`."""
        waiting, self._waiting = self._waiting, []
        self.arrays.grad = None  # no optimizer shall find anything
        lr = _rate(self.lr() if callable(self.lr) else self.lr)
        for held in waiting:
            held.update(lr)


class _Updating:
    """What torch calls when the gradients of all calls are there."""

    def __init__(self, module: weakref.ref[Module]) -> None:
        self.module = module

    def __call__(self, _: Any) -> None:
        module = self.module()
        if module is not None:
            module.update_waiting()


class _Held:
    """A call of the module, and the pass whose buffers it holds until its graph is gone."""

    def __init__(self, loop: OwnLoop, *, trains: bool, kept: bool) -> None:
        self.loop, self.trains, self.kept = loop, trains, kept
        self.updated = False
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._taken: Pass | None = None
        self._free: weakref.finalize[..., Any] | None = None

    def forward(self, x: dict[str, Any]) -> dict[str, Any]:
        samples = x if len(x) > 1 else next(iter(x.values()))
        if not self.trains:
            return self.loop.evaluate(samples, ME)
        taken, found = self.loop.begin(samples, ME)
        if self.kept:
            self.shapes = {name: each.shape for name, each in found.items()}
            self._taken, self._free = taken, weakref.finalize(self, self.loop.end, taken)
        else:
            self.loop.end(taken)
        return found

    def backward(self, dy: dict[str, Any], *, to_inputs: bool, to_weights: bool) -> dict[str, Any]:
        if self.updated:
            raise UsageError(
                f"{ME}: the arrays were updated by this call already; call the module again, or "
                "add up the losses and go backward once"
            )
        if self._taken is None:
            raise UsageError(
                f"{ME}: the reads of an evaluation have no backward cycle; call train(), and "
                "requires_grad_(False) where the arrays shall stay as they are"
            )
        gradients = self.loop.gradients(dy, self.shapes, ME)
        return self.loop.backward(
            self._taken, gradients, ME, to_inputs=to_inputs, to_weights=to_weights
        )

    def update(self, lr: float) -> None:
        assert self._taken is not None
        assert self._free is not None
        self._free.detach()
        self.updated = True
        self.loop.update(self._taken, lr, ME)


class _Cycles(torch.autograd.Function):  # type: ignore[misc]
    """Forward and backward cycle of a call; its update waits for the end of the backward."""

    @staticmethod
    def forward(ctx: Any, held: _Held, token: Any, *x: Any) -> Any:
        program = held.loop.program
        found = held.forward(
            {name: _array(each) for name, each in zip(program.inputs, x, strict=True)}
        )
        like = next((each for each in x if each.is_floating_point()), x[0].new_zeros(0).float())
        ctx.held, ctx.names, ctx.like = held, tuple(found), [(e.device, e.dtype) for e in x]
        made = tuple(
            torch.from_numpy(each).to(like.device, like.dtype if each.dtype.kind == "f" else None)
            for each in found.values()
        )
        entries = program.step.entries
        ctx.mark_non_differentiable(
            *(
                each
                for name, each in zip(found, made, strict=True)
                if entries and name not in entries
            )
        )
        return made

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *dy: Any) -> Any:
        held, (_, to_weights, *wants) = ctx.held, ctx.needs_input_grad
        entries = held.loop.program.step.entries
        given = {
            name: _array(each) for name, each in zip(ctx.names, dy, strict=True) if name in entries
        }
        found = held.backward(given, to_inputs=any(wants), to_weights=to_weights)
        dx = [
            torch.from_numpy(found[name]).to(device, dtype) if wanted else None
            for name, wanted, (device, dtype) in zip(
                held.loop.program.inputs, wants, ctx.like, strict=True
            )
        ]
        return None, torch.zeros(0) if to_weights else None, *dx


def _array(tensor: Any) -> Any:
    """A tensor as NumPy sees it, float32 unless it holds pixels."""
    if tensor.dtype == torch.uint8:
        return tensor.cpu().numpy()
    if not tensor.is_floating_point():
        raise DataError(f"{ME}: found a tensor of {tensor.dtype}; allowed: floats, or uint8 pixels")
    return tensor.detach().to("cpu", torch.float32).numpy()


def _rate(lr: object) -> float:
    try:
        found = arguments.positive("lr", lr)
    except ArgumentError:
        raise arguments.wrong(f"{ME}.lr", lr, RATE) from None
    check_rate(found)
    return found
