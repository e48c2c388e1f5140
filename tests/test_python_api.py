"""What a Python user finds in `rpucc`, and what it says to arguments that it cannot take."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.models import build

LINEAR = type("Linear", (), {"__module__": "torch.nn.modules.linear"})
"""What a PyTorch layer looks like from outside."""


# Names ---------------------------------------------------------------------------------------


def test_completion_shows_the_public_names_and_nothing_else():
    assert sorted(dir(rpucc)) == sorted([*rpucc.__all__, "__version__"])
    assert rpucc.__all__ == sorted(rpucc.__all__)
    for name in rpucc.__all__:
        assert getattr(rpucc, name).__doc__, name


def test_completion_is_the_same_once_everything_is_loaded():
    """A name that is a module's too would be that module after its import."""
    code = (
        "import rpucc; before = dir(rpucc); "
        "import rpucc.compiler.compile, rpucc.compiler.check, rpucc.cli.main; "
        "import rpucc.runtime.trainer; "
        "assert dir(rpucc) == before; assert all(map(callable, (rpucc.compile, rpucc.check)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    modules = {path.stem for path in Path(rpucc.__file__).parent.iterdir()}
    assert modules & set(rpucc.__all__) == set()


def test_type_checkers_see_the_same_names():
    """The imports under TYPE_CHECKING are __all__, from the modules that the names load from."""
    tree = ast.parse(Path(rpucc.__file__).read_text(encoding="utf-8"))
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and "CHECKING" in ast.dump(node.test)
    )
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == rpucc.__all__
    assert seen == rpucc._LAZY


def test_every_error_that_the_library_raises_is_there():
    """All of rpucc/errors.py but that of the command line, and one that the compiler deals with."""
    from rpucc import errors

    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    public = {name for name in classes if issubclass(getattr(errors, name), rpucc.RpuccError)}
    assert public - set(rpucc.__all__) == {"ExperimentError", "UnverifiableError"}


def test_a_slip_is_answered_with_the_name():
    slip = subprocess.run(
        [sys.executable, "-c", "import rpucc; rpucc.Trainr"], capture_output=True, text=True
    )
    assert "module 'rpucc' has no attribute 'Trainr'. Did you mean: 'Trainer'?" in slip.stderr


# Help ----------------------------------------------------------------------------------------

DOCUMENTED = [
    (rpucc.compile, rpucc.compile),
    (rpucc.check, rpucc.check),
    (rpucc.CompileOptions, rpucc.CompileOptions),
    (rpucc.after, rpucc.after),
    (rpucc.load_dataset, rpucc.load_dataset),
    (rpucc.load_checkpoint, rpucc.load_checkpoint),
    (rpucc.save_checkpoint, rpucc.save_checkpoint),
    (rpucc.Machine, rpucc.Machine.__init__),
    (rpucc.Machine.save, rpucc.Machine.save),
    (rpucc.Machine.load, rpucc.Machine.load),
    (rpucc.Trainer, rpucc.Trainer.__init__),
    (rpucc.Trainer.fit, rpucc.Trainer.fit),
    (rpucc.Trainer.evaluate, rpucc.Trainer.evaluate),
    (rpucc.Trainer.predict, rpucc.Trainer.predict),
    (rpucc.Dataset, rpucc.Dataset.__init__),
    (rpucc.Array, rpucc.Array.__init__),
    (rpucc.Array.program, rpucc.Array.program),
    (rpucc.Array.read, rpucc.Array.read),
    (rpucc.Array.update, rpucc.Array.update),
    (rpucc.Array.pulse, rpucc.Array.pulse),
    (rpucc.Target.load, rpucc.Target.load),
    (rpucc.Program.load, rpucc.Program.load),
    (rpucc.Program.save, rpucc.Program.save),
]


@pytest.mark.parametrize(("what", "signature"), DOCUMENTED, ids=lambda f: f.__qualname__)
def test_help_says_every_parameter_and_what_is_raised(what: Any, signature: Any):
    text = inspect.getdoc(what)
    for name in set(inspect.signature(signature).parameters) - {"self"}:
        assert name in text, name
    raises = ("Raises", "as `evaluate`")  # predict says what differs
    assert any(word in text for word in raises)


def test_help_of_fit_says_what_a_schedule_may_be():
    text = inspect.getdoc(rpucc.Trainer.fit)
    for form in ('"constant"', '"step:10:0.5"', '"cosine:30:0.1"', '"11=0.005,21=0.001"'):
        assert form in text
        from rpucc.runtime.learning_rate import parse_schedule

        assert parse_schedule(form.strip('"'))(0.01, 0) == pytest.approx(0.01)


# Arguments -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> rpucc.Program:
    return rpucc.compile("mlp", "ideal", verify=False)


@pytest.fixture(scope="module")
def trainer(program: rpucc.Program) -> rpucc.Trainer:
    return rpucc.Trainer(rpucc.Machine(program))


class Told:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.epochs: list[rpucc.EpochMetrics] = []
        self.progress: list[rpucc.Progress] = []

    def on_epoch(self, metrics: rpucc.EpochMetrics) -> None:
        self.epochs.append(metrics)

    def on_progress(self, progress: rpucc.Progress) -> None:
        self.progress.append(progress)


X, Y = np.zeros((20, 1, 28, 28), np.float32), np.arange(20) % 10
Call = Callable[[rpucc.Program, rpucc.Trainer], object]


def fit(data: Any = (X, Y), **how: Any) -> Call:
    """A call of fit that is right but for what is given."""
    return lambda program, trainer: trainer.fit(data, **{"epochs": 1, **how})


WRONG: dict[str, tuple[Call, str]] = {
    "compile 123": (lambda p, t: rpucc.compile(123), "model: found 123; allowed: a path"),
    "compile None": (lambda p, t: rpucc.compile(None), "model: found None; allowed"),
    "compile a program": (lambda p, t: rpucc.compile(p), "model: found a Program; allowed"),
    "compile a torch module": (
        lambda p, t: rpucc.compile(LINEAR()),
        r"found a torch.Linear; .* export the network first: rpucc.from_torch\(",
    ),
    "check 5": (lambda p, t: rpucc.check(5), "model: found 5"),
    "target set": (
        lambda p, t: rpucc.compile("mlp", target={"update.bl"}),
        "target: found {'update.bl'}; allowed: a preset's name, .* a dictionary",
    ),
    "target None": (lambda p, t: rpucc.compile("mlp", None), "target: found None"),
    "overrides one string": (
        lambda p, t: rpucc.compile("mlp", overrides="update.bl=1"),
        r"overrides: found the str 'update.bl=1'; allowed: a list of 'key=value' strings",
    ),
    "overrides a number": (
        lambda p, t: rpucc.Target.load("ideal", [5]),
        r"overrides\[0\]: found 5",
    ),
    "loss": (
        lambda p, t: rpucc.compile("mlp", loss="hinge"),
        "loss: found the str 'hinge'; allowed",
    ),
    "input_range": (lambda p, t: rpucc.compile("mlp", input_range=5), "input_range: found 5"),
    "input_range text": (lambda p, t: rpucc.compile("mlp", input_range="12"), "found the str '12'"),
    "input_shape": (lambda p, t: rpucc.compile("mlp", input_shape=28), "input_shape: found 28"),
    "input_shape sizes": (
        lambda p, t: rpucc.compile("mlp", input_shape=(1, 28.0, 28)),
        r"input_shape\[1\]: found 28.0; allowed: an integer of 1 or more",
    ),
    "from_toml": (lambda p, t: rpucc.Target.from_toml({}), r"from_toml\(text\): found {}"),
    "from_json": (lambda p, t: rpucc.Target.from_json(5), r"from_json\(text\): found 5"),
    "with_plan": (
        lambda p, t: p.target.with_plan(5),
        r"with_plan\(path\): found 5; allowed: a path",
    ),
    "program": (lambda p, t: rpucc.Program("a.onnx"), "found the str 'a.onnx'.*Program.load reads"),
    "load": (lambda p, t: rpucc.Program.load(5), r"Program.load\(path\): found 5"),
    "save": (lambda p, t: p.save(None), r"Program.save\(path\): found None"),
    "plan": (lambda p, t: rpucc.Plan.from_model(p), r"from_model\(model\): found a Program"),
    "machine of a path": (
        lambda p, t: rpucc.Machine("mlp.rpu.onnx"),
        r"Machine\(program\): found the str 'mlp.rpu.onnx'; allowed: a Program, as rpucc.compile",
    ),
    "machine of a model": (lambda p, t: rpucc.Machine(build("mlp")), "found an onnx.ModelProto"),
    "seed -1": (lambda p, t: rpucc.Machine(p, seed=-1), "seed: found -1; .* from 0 to 2\\^64 - 1"),
    "seed 1.5": (lambda p, t: rpucc.Machine(p, seed=1.5), "seed: found 1.5"),
    "seed text": (lambda p, t: rpucc.Machine(p, seed="1"), "seed: found the str '1'"),
    "seed bool": (lambda p, t: rpucc.Machine(p, seed=True), "seed: found True"),
    "seed huge": (lambda p, t: rpucc.Machine(p, seed=2**64), "seed: found 18446744073709551616"),
    "trainer of a program": (
        lambda p, t: rpucc.Trainer(p),
        r"Trainer\(machine\): found a Program; allowed: a Machine, as rpucc.Machine\(program",
    ),
    "trainer of the class": (lambda p, t: rpucc.Trainer(rpucc.Machine), "found the class Machine"),
    "threads": (lambda p, t: rpucc.Trainer(t.machine, threads=1.0), "threads: found 1.0"),
    "data 5": (
        lambda p, t: rpucc.load_dataset(5),
        "data: found 5; allowed: an .npz, ",
    ),
    "data None": (lambda p, t: rpucc.load_dataset(None), "data: found None"),
    "data list": (lambda p, t: rpucc.load_dataset([X, Y]), "data: found a list of 2"),
    "data array": (lambda p, t: rpucc.load_dataset(X), "data: found a numpy.ndarray"),
    "data three": (lambda p, t: rpucc.load_dataset((X, Y, X)), "data: found a tuple of 3"),
    "data bytes": (
        lambda p, t: rpucc.load_dataset(b"mnist-mini"),
        "data: found the bytes b'mnist-",
    ),
    "data_dir": (lambda p, t: rpucc.load_dataset("mnist", 5), "data_dir: found 5"),
    "dataset name": (
        lambda p, t: rpucc.Dataset(X, Y, X, Y, "n"),
        r"Dataset\(name\): found a numpy",
    ),
    "fit 5": (fit(5), "data: found 5"),
    "epochs 1.5": (fit(epochs=1.5), "epochs: found 1.5; allowed: an integer from 1 to 2147483648"),
    "epochs text": (fit(epochs="1"), "epochs: found the str '1'"),
    "epochs 0": (fit(epochs=0), "epochs: found 0"),
    "epochs True": (fit(epochs=True), "epochs: found True"),
    "batch_size 0": (fit(batch_size=0), "batch_size: found 0"),
    "batch_size 2.0": (fit(batch_size=2.0), "batch_size: found 2.0"),
    "lr text": (fit(lr="0.1"), "lr: found the str '0.1'; allowed: a positive, finite number"),
    "lr None": (fit(lr=None), "lr: found None"),
    "lr array": (fit(lr=np.ones(3)), "lr: found a numpy.ndarray"),
    "lr_schedule 5": (fit(lr_schedule=5), "lr_schedule: found 5; allowed: constant; step:EPOCHS"),
    "lr_schedule function": (
        fit(lr_schedule=min),
        "lr_schedule: found a builtin_function_or_method",
    ),
    "lr_schedule text": (fit(lr_schedule="step:0:1"), "schedule 'step:0:1': allowed: constant"),
    "checkpoint": (fit(checkpoint=5), "checkpoint: found 5; allowed: a path"),
    "callbacks one function": (fit(callbacks=print), "callbacks: found a builtin_function_or_meth"),
    "callbacks one object": (
        fit(callbacks=Told()),
        "callbacks: found a .*Told; allowed: a list",
    ),
    "callbacks text": (fit(callbacks="print"), "callbacks: found the str 'print'; allowed: a list"),
    "callback class": (fit(callbacks=[Told]), r"callbacks\[0\]: found the class Told; allowed"),
    "callback None": (
        fit(callbacks=[print, None]),
        r"callbacks\[1\]: found None; allowed: a functi",
    ),
    "callback of no use": (
        fit(callbacks=[SimpleNamespace(on_epochs=print)]),
        r"callbacks\[0\]: found a types.SimpleNamespace; allowed: .* methods on_epoch\(metrics\)",
    ),
    "callback whose method is none": (
        fit(callbacks=[SimpleNamespace(on_progress=5)]),
        r"callbacks\[0\]: found a types.SimpleNamespace",
    ),
    "evaluate": (lambda p, t: t.evaluate(X, Y, batch_size=1.5), "batch_size: found 1.5"),
    "predict": (lambda p, t: t.predict(X, batch_size="all"), "batch_size: found the str 'all'"),
    "evaluate without labels": (
        lambda p, t: t.evaluate(X),
        "data: found a numpy.ndarray; allowed: .*arrays .* or a Dataset",
    ),
    "evaluate 5": (lambda p, t: t.evaluate(5), "data: found 5; allowed"),
    "machine save": (
        lambda p, t: t.machine.save(5),
        r"Machine.save\(path\): found 5; allowed: a path",
    ),
    "machine load": (lambda p, t: rpucc.Machine.load(5), r"Machine.load\(path\): found 5"),
    "machine load program": (
        lambda p, t: rpucc.Machine.load("run", "program.rpu.onnx"),
        r"Machine.load\(program\): found the str 'program.rpu.onnx'; allowed: a Program, or None",
    ),
    "executor": (lambda p, t: t.executor(1.5, evaluating=True), "batch: found 1.5"),
    "load_checkpoint": (lambda p, t: rpucc.load_checkpoint(5), r"checkpoint\(path\): found 5"),
    "load_checkpoint program": (
        lambda p, t: rpucc.load_checkpoint("run", "program.rpu.onnx"),
        r"load_checkpoint\(program\): found the str 'program.rpu.onnx'; allowed: a Program, or ",
    ),
    "save_checkpoint turned round": (
        lambda p, t: rpucc.save_checkpoint("c", t.machine),
        r"save_checkpoint\(path\): found a Machine",
    ),
    "save_checkpoint program": (
        lambda p, t: rpucc.save_checkpoint(p, "c"),
        r"save_checkpoint\(machine\): found a Program",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_one_line(name: str, program: rpucc.Program, trainer: rpucc.Trainer):
    call, match = WRONG[name]
    with pytest.raises(rpucc.ArgumentError, match=match) as caught:
        call(program, trainer)
    assert isinstance(caught.value, rpucc.UsageError)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert trainer.machine.counters.sample == 0


def test_a_checkpoint_that_cannot_be_written_is_said_before_an_epoch(tmp_path, trainer):
    for place, why in ((tmp_path / "no" / "c", "there is no folder"), (tmp_path, "is a folder")):
        with pytest.raises(rpucc.OutputError, match=why):
            trainer.fit((X, Y), epochs=1, checkpoint=place)
    assert trainer.machine.counters.sample == 0


def test_a_plain_model_is_no_program():
    import onnx_ir as ir

    program = rpucc.Program(ir.from_proto(build("mlp")))
    for key in ("target", "inputs", "output", "plan", "cost"):
        with pytest.raises(rpucc.ModelError, match="is no program, its metadata lack rpucc"):
            getattr(program, key)


# What is taken -------------------------------------------------------------------------------

ARRAYS = {"name": "small", "rows": np.int64(64), "cols": 64, "t_read": np.float64(10e-9)}


def test_a_target_may_be_a_dictionary():
    """With what Python has in place of TOML's numbers and lists."""
    tables = {
        "name": "mine",
        "array": ({**ARRAYS, "name": "large", "rows": 512, "cols": 1024}, ARRAYS),
        "device": {"model": "constant-step", "dw_min": np.float32(0.25)},
        "layer": [{"match": "fc*", "update": {"bl": np.int8(3)}}],
    }
    target = rpucc.Target.load(tables, ["management.bound_forward=true"])
    assert (target.arrays[1].rows, target.device.parameters["dw_min"]) == (64, 0.25)
    assert (target.for_layer("fc1").update.bl, target.management.bound_forward) == (3, True)
    assert rpucc.Target.from_json(target.to_json()) == target
    program = rpucc.compile("mlp", tables, verify=False)
    assert program.target.name == "mine"


def test_a_wrong_dictionary_is_answered_like_a_wrong_file():
    with pytest.raises(
        rpucc.TargetError, match=r"^target dictionary: array.0.rows: found 64.5, al"
    ):
        rpucc.Target.load(
            {"name": "m", "array": [{**ARRAYS, "rows": 64.5}], "device": {"model": "ideal"}}
        )
    for tables in ({}, {5: 1}, {"array": 1}):
        with pytest.raises(rpucc.TargetError, match=r"^target dictionary: "):
            rpucc.Target.load(tables)


def test_integers_and_numbers_of_numpy_are_taken(program):
    machine = rpucc.Machine(program, seed=np.uint64(7))
    assert type(machine.seed) is int
    trainer = rpucc.Trainer(machine, threads=np.int8(1))
    how = {"epochs": np.int64(1), "batch_size": np.uint8(10), "lr": np.float32(0.5)}
    assert len(trainer.fit((X, Y), **how)) == 1


def test_what_a_prompt_shows_is_one_line(program):
    data = rpucc.load_dataset((X, Y, X[:5], Y[:5]))
    assert repr(data) == "<Dataset 'data': 20 + 5 samples float32 [1, 28, 28], 10 classes>"
    targets = rpucc.load_dataset((X, np.ones((20, 1)), X[:5], np.ones((5, 1))))
    assert repr(targets).endswith(" [1, 28, 28], targets>")
    machine = rpucc.Machine(program, seed=3)
    rpucc.Trainer(machine).fit(data, epochs=2, batch_size=20)
    machine.counters.done = 1200
    assert repr(machine) == (
        "<Machine 'mlp' for ideal, seed 3: 235,146 weights on arrays, 2 epochs and 1,200 samples "
        "trained>"
    )


def test_models_may_be_protos_irs_bytes_and_paths(tmp_path):
    import onnx_ir as ir

    proto = build("mlp")
    path = tmp_path / "mlp.onnx"
    path.write_bytes(proto.SerializeToString())
    for model in (proto, ir.from_proto(proto), path.read_bytes(), path, str(path), "mlp"):
        assert rpucc.compile(model, "ideal", verify=False).plan.weights == 235_146


# Data ----------------------------------------------------------------------------------------


def digits(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 1, 28, 28)).astype(np.uint8), np.arange(n) % 10


def kinds(folder: Path) -> dict[str, Any]:
    """The same data, 30 samples to train and 10 to test, in every way that there is."""
    x, y = digits()
    parts = {"x_train": x[:30], "y_train": y[:30], "x_test": x[30:], "y_test": y[30:]}
    np.savez(folder / "digits.npz", **parts)
    return {
        "dataset": rpucc.Dataset("digits", *parts.values()),
        "path": folder / "digits.npz",
        "name": str(folder / "digits.npz"),
        "four arrays": tuple(parts.values()),
        "pairs": ((x[:30], y[:30]), (x[30:], y[30:])),
        "dictionary": parts,
        "by input": {"x_train": {"x": x[:30]}, "y_train": y[:30], "x_test": {"x": x[30:]}}
        | {"y_test": y[30:]},
    }


def test_fit_evaluate_and_predict_take_the_same_kinds_of_data(tmp_path, program):
    x, y = digits()
    found = {}
    for kind, data in kinds(tmp_path).items():
        trainer = rpucc.Trainer(rpucc.Machine(program))
        history = trainer.fit(data, epochs=1, batch_size=5, lr=0.1)
        result, outputs = trainer.evaluate(data), trainer.predict(data)
        assert (result.samples, result.error) == (10, history[0].test_error)
        assert result.loss == trainer.evaluate(x[30:], y[30:]).loss
        np.testing.assert_array_equal(outputs, trainer.predict(x[30:]))
        np.testing.assert_array_equal(outputs, trainer.predict({"x": x[30:]}))
        np.testing.assert_array_equal(outputs, trainer.outputs(data)[program.output])
        found[kind] = (history[0].reproducible(), outputs.tobytes())
    assert len({str(each) for each in found.values()}) == 1


def test_of_x_and_y_the_last_tenth_is_evaluated(trainer):
    x, y = digits()
    assert trainer.evaluate((x, y)).samples == len(trainer.predict((x, y))) == 4
    assert trainer.evaluate("mnist-mini").samples == 1000


def test_callbacks_are_told_in_their_order(program):
    """Objects by their methods, functions of epochs; what one is told the others are, too."""
    told, epochs, order = Told(), [], []
    bar = SimpleNamespace(on_progress=lambda progress: order.append("bar"))
    history = rpucc.Trainer(rpucc.Machine(program)).fit(
        digits(),
        epochs=2,
        batch_size=12,
        callbacks=[bar, told, epochs.append, lambda metrics: order.append(metrics.epoch)],
    )
    assert history == told.epochs == epochs
    assert [each.epoch for each in told.progress if each.samples_done == 36] == [1, 2]
    assert [each for each in order if each != "bar"] == [1, 2]
    assert order.count("bar") == len(told.progress)


def test_what_a_callback_raises_ends_the_training_after_the_checkpoint(tmp_path, program):
    def enough(metrics: rpucc.EpochMetrics) -> None:
        raise StopIteration("enough")

    machine = rpucc.Machine(program)
    with pytest.raises(StopIteration, match="enough"):
        rpucc.Trainer(machine).fit(
            digits(), epochs=5, checkpoint=tmp_path / "c", callbacks=[enough]
        )
    assert machine.counters.epoch == rpucc.Machine.load(tmp_path / "c", program).counters.epoch == 1


# Saving --------------------------------------------------------------------------------------


def test_a_machine_in_a_folder_is_all_there_is(tmp_path):
    program = rpucc.compile("mlp", "rpu-managed", verify=False)
    machine = rpucc.Machine(program, seed=3)
    rpucc.Trainer(machine).fit(digits(), epochs=1, batch_size=5)
    machine.save(tmp_path / "new" / "mine")
    files = {"program.rpu.onnx", "checkpoint.safetensors"}
    assert {path.name for path in (tmp_path / "new" / "mine").iterdir()} == files
    again = rpucc.Machine.load(str(tmp_path / "new" / "mine"))
    for name, array in machine.state().items():
        np.testing.assert_array_equal(again.state()[name], array)
    assert (again.seed, again.history) == (3, machine.history)
    more, expected = (rpucc.Trainer(each).fit(digits(), epochs=2) for each in (again, machine))
    assert more[-1].reproducible() == expected[-1].reproducible()
    again.save(tmp_path / "new" / "mine")  # goes on in its own folder
    assert rpucc.Machine.load(tmp_path / "new" / "mine").counters.epoch == 2


def test_a_checkpoint_alone(tmp_path, program):
    machine = rpucc.Machine(program, seed=4)
    machine.save(tmp_path / "c.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]
    assert rpucc.Machine.load(tmp_path / "c.safetensors", program).seed == 4
    with pytest.raises(rpucc.CheckpointError, match=r"there is no program.rpu.onnx beside it"):
        rpucc.Machine.load(tmp_path / "c.safetensors")
    with pytest.raises(rpucc.OutputError, match=r"there is no folder"):
        machine.save(tmp_path / "no" / "c.safetensors")


def test_a_folder_of_another_program_is_left_as_it_is(tmp_path, program):
    rpucc.Machine(program).save(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = rpucc.Machine(rpucc.compile("mlp", "rpu-managed", verify=False))
    with pytest.raises(
        rpucc.OutputError, match=r"its program.rpu.onnx is another program.*another f"
    ):
        other.save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(rpucc.OutputError, match=r"file/mine: the folder cannot be made: "):
        other.save(tmp_path / "file" / "mine")
    assert {path: path.read_bytes() for path in before} == before
