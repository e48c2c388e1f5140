"""Programs and models: good ones, and what commands do with them."""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path

import numpy as np

from rpucc.errors import RpuccError
from rpucc.losses import LABELS

from . import mutate
from .mutate import one_of
from .mutate_onnx import BESIDE, onnx_fields, onnx_parts
from .reader import Reader, WronglyTakenError


def _programs(folder: Path) -> list[bytes]:
    from .networks import KINDS, program

    made = []
    for kind in KINDS:
        program(kind).save(folder / "made.onnx")
        made.append((folder / "made.onnx").read_bytes())
    return made


def use_program(path: Path) -> None:
    """Load a program, plan it, and do one step of training and of evaluation with it."""
    from rpucc.program import Program
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

    program = Program.load(path)
    _ = program.plan.to_dict(), program.cost.to_dict()
    machine = Machine(program, 1)
    with contextlib.suppress(RpuccError):  # what is damaged may be needed for nothing else
        machine.export()
    trainer = Trainer(machine)
    batch = program.fixed_batch or 2
    executor = trainer.executor(batch, evaluating=True)
    low, high = program.input_range
    random = np.random.default_rng(0)
    x = {
        name: random.uniform(low, high, executor[name].shape).astype(np.float32)
        for name in program.inputs
    }
    if not program.training:
        trainer.predict(x)
        return
    if program.step.outside:
        y = machine.forward(x)
        machine.backward(
            {n: np.zeros_like(v) for n, v in y.items()} if isinstance(y, dict) else 0 * y
        )
        machine.update(0.01)
        return
    output = executor[program.output].shape
    classes = LABELS.get(program.loss) == "classes"
    y = np.zeros((output[0], *output[2:]), np.int64) if classes else np.zeros(output, np.float32)
    from rpucc.runtime.data import Dataset

    data = Dataset("data", x, y, x, y)
    trainer.fit(data, epochs=1, batch_size=batch, lr=0.01)


def _models(folder: Path) -> list[bytes]:
    from .networks import _NETWORKS, network

    (folder / BESIDE).write_bytes(bytes(4096))
    return [network(name).SerializeToString() for name in _NETWORKS]


OVERFLOWS = "not finite in different places"


def use_model(path: Path) -> None:
    """Compile a model for training; where that is refused, check it for inference.

    Of those that are taken every fourth is run by onnxruntime and as it was compiled.
    """
    from rpucc.compiler.check import check_model
    from rpucc.compiler.compile import compile_model
    from rpucc.errors import RpuccError, VerificationError

    verify = zlib.crc32(path.read_bytes()) % 4 == 0
    try:
        _ = compile_model(path, "rpu-managed", verify=verify).plan
    except VerificationError as error:
        if OVERFLOWS in str(error):  # of weights near 3e38, whose products are added up otherwise
            raise
        raise WronglyTakenError(str(error)) from error
    except RpuccError:
        check_model(str(path), "rpu-managed", training=False)
        raise


_FILE = (1, mutate.damage)
READERS = {
    "programs": Reader(
        "program.onnx",
        _programs,
        one_of((8, onnx_fields), _FILE),
        use_program,
        named=False,
        share=15,
    ),
    "models": Reader(
        "model.onnx", _models, one_of((5, onnx_fields), (2, onnx_parts), _FILE), use_model, share=40
    ),
}
