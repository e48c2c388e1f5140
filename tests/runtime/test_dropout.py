"""Dropouts on a machine: which elements a mask keeps, steps, evaluations, and damaged programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import rpucc
from rpucc.errors import RpuccError
from rpucc.opset import functions
from rpucc.opset.drop import bound_of, scale_of
from rpucc.passes.execute import random_feeds
from rpucc.runtime.executor import Executor
from rpucc.runtime.kernels.dropout import dropout
from rpucc.runtime.reference.dropout import dropout_mask
from rpucc.runtime.threads import Threads

from ..passes.importer_models import net
from ..passes.test_draw_dropouts import PLAIN, dropped
from .bounds import correlation, deviations
from .stock import assert_agree, run_executor, stock_values, training_mode, training_outputs
from .test_own_loop import entropy, fitted, looped

SEED = 0x1234_5678_9ABC_DEF0
KEY = (SEED % 2**32, SEED >> 32)


def mask_of(shape: tuple[int, int], ratio: float, number: int, sample: int, key=KEY) -> np.ndarray:
    """The kernel's mask for x [N, E], which is worked on in two parts."""
    x = np.random.default_rng(0).normal(size=shape).astype("f4")
    y, mask = np.zeros((2, *shape), "f4")
    words, draws = np.empty(64, np.uint32), np.array([*key, sample], np.int64)
    pieces = shape[0] * -(-shape[1] // 64)
    how = (x, y, mask, words, draws, number, bound_of(ratio), scale_of(ratio))
    for part in ((pieces // 2, pieces), (0, pieces // 2)):
        dropout(*how, *part)
    np.testing.assert_array_equal(y, x * mask)
    return mask


@pytest.mark.parametrize("shape", [(3, 200), (1, 64), (5, 1), (2, 63)])
@pytest.mark.parametrize("sample", [0, 2**32 - 2])
def test_the_kernel_is_the_plain_statement(shape: tuple[int, int], sample: int) -> None:
    for ratio, number in ((0.3, 0), (0.75, 2**24 - 1)):
        found = mask_of(shape, ratio, number, sample)
        np.testing.assert_array_equal(found, dropout_mask(shape, ratio, number, sample, KEY))


OP = onnx.parser.parse_graph(
    "g (float[N,3,7] x, float training, int64[3] draws) => (float[N,3,7] y, float[N,3,7] mask) "
    "{ y, mask = rpu.Drop <ratio = 0.3, number = 5> (x, training, draws) }"
)


@pytest.mark.parametrize("training", [0, 1])
def test_any_runtime_drops_what_the_machine_drops(training: int) -> None:
    """The body, on onnxruntime and on ONNX's reference evaluator, to the last bit."""
    body = next(f for f in functions() if f.name == "Drop")
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("rpu", 2)]
    model = onnx.helper.make_model(OP, functions=[body], opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(1).normal(size=(4, 3, 7)).astype("f4")
    draws = np.array([*KEY, 2**32 - 2], np.int64)
    feeds = {"x": x, "training": np.array(training, "f4"), "draws": draws}
    wanted = dropout_mask(x.shape, 0.3, 5, 2**32 - 2, KEY) if training else np.ones_like(x)
    stock = stock_values(model, feeds)
    y, mask = ReferenceEvaluator(model).run(None, feeds)
    for found in (mask, stock["mask"]):
        np.testing.assert_array_equal(found, wanted)
    for found in (y, stock["y"]):
        np.testing.assert_array_equal(found, x * wanted)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.9])
def test_the_share_is_the_ratio(ratio: float) -> None:
    """Of all elements, of each place over the samples, and of each sample: binomial."""
    kept = mask_of((1024, 512), ratio, 3, 10_000) > 0
    error = np.sqrt(ratio * (1 - ratio))
    for axis, n in ((None, kept.size), (0, 1024), (1, 512)):
        shares = np.atleast_1d((~kept).mean(axis))
        assert np.abs(shares - ratio).max() < deviations(len(shares)) * error / np.sqrt(n)
    assert mask_of((1024, 512), ratio, 3, 10_000).mean() == pytest.approx(1, abs=0.03)


def test_masks_of_layers_samples_places_and_seeds_are_unrelated() -> None:
    mask = mask_of((256, 1024), 0.5, 0, 0)
    others = {
        "another layer": mask_of((256, 1024), 0.5, 1, 0),
        "another seed": mask_of((256, 1024), 0.5, 0, 0, (KEY[0] + 1, KEY[1])),
        "later samples": mask_of((256, 1024), 0.5, 0, 256),
        "the next sample": np.roll(mask, 1, 0),
        "the next element": np.roll(mask, 1, 1),
        "the next group": np.roll(mask, 64, 1),
    }
    for name, other in others.items():
        found, error = correlation(mask, other)
        assert abs(found) < deviations(len(others)) * error, name
    np.testing.assert_array_equal(mask_of((256, 1024), 0.5, 0, 10)[0], mask[10])


# ---------------------------------------------------------------- steps


def compiled(model: onnx.ModelProto, *overrides: str, target: str = "ideal") -> rpucc.Program:
    return rpucc.compile(model, target, overrides=list(overrides), verify=False)


@pytest.mark.parametrize("batch", [1, 6])
def test_a_step_is_that_of_the_program_on_onnxruntime(batch: int) -> None:
    """Every value: the mask, loss, gradients and new weights, all by the ideal bodies."""
    program = compiled(dropped())
    machine = rpucc.Machine(program, seed=SEED)
    feeds = random_feeds(program.model, batch=batch) | training_mode(program, SEED)
    executor = run_executor(machine, feeds, [*training_outputs(program), "drop.mask"], batch)
    compared = assert_agree(executor, stock_values(program.model, feeds))
    assert {"drop.mask", "b", "b.grad", "t.grad", *program.step.state.values()} <= compared
    assert set(np.unique(executor["drop.mask"])) == {0, np.float32(4 / 3)}


def data(samples: int = 23, features: int = 6, classes: int = 4) -> rpucc.Dataset:
    rng = np.random.default_rng(0)
    x, y = rng.random((samples, features), np.float32), rng.integers(0, classes, samples)
    return rpucc.load_dataset((x[:-3], y[:-3], x[-3:], y[-3:]))


def test_a_mask_follows_its_sample_not_its_batch(many_parts: list[int]) -> None:
    program = compiled(dropped())
    masks = []
    for batch, threads in ((1, 1), (4, 1), (4, 2)):
        executor = Executor(
            rpucc.Machine(program, seed=5), batch, ["loss", "drop.mask"], threads=Threads(threads)
        )
        found = []
        for first in range(100, 104, batch):
            executor.run(first)
            found.append(executor["drop.mask"].copy())
        masks.append(np.concatenate(found))
    assert max(many_parts) == 2
    for other in masks[1:]:
        np.testing.assert_array_equal(other, masks[0])


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_same_bits_again_on_two_threads_and_resumed(
    target: str, tmp_path: Path, many_parts: list[int]
) -> None:
    program, dataset = compiled(dropped(), target=target), data()
    how = {"epochs": 2, "batch_size": 3, "lr": 0.1}

    def trained(threads: int = 1, callbacks: tuple[object, ...] = ()) -> rpucc.Machine:
        machine = rpucc.Machine(program, seed=3)
        place = tmp_path / "c.safetensors" if callbacks else None
        rpucc.Trainer(machine, threads).fit(dataset, checkpoint=place, callbacks=callbacks, **how)
        return machine

    first, second = trained().state(), trained(2).state()
    assert max(many_parts) == 2
    for name, array in second.items():
        np.testing.assert_array_equal(array, first[name])

    class Stop:
        steps = 0

        def on_step(self, step: object) -> None:
            self.steps += 1
            if self.steps == 10:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(callbacks=(Stop(),))
    machine = rpucc.Machine.load(tmp_path / "c.safetensors", program)
    assert 0 < machine.counters.done < 20
    rpucc.Trainer(machine).fit(dataset, **how)
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, first[name])


@pytest.mark.parametrize("options", [{}, {"loss": "none", "input_gradients": True}], ids=str)
def test_a_loop_of_ones_own_draws_what_fit_draws(options: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 6), np.float32), rng.integers(0, 4, 12)
    machine = rpucc.Machine(compiled(dropped()), seed=3)
    expected = fitted(machine, x, y, 4, 0.1)
    program = rpucc.compile(dropped(), "ideal", verify=False, **options)
    machine = rpucc.Machine(program, seed=3)
    found = looped(machine, x, y, 4, 0.1, entropy)
    for before, after in zip(expected, found, strict=True):
        for name, array in before.items():
            if name != "counters":
                np.testing.assert_array_equal(after[name], array)
    shown = machine.forward(x, training=False)
    np.testing.assert_array_equal(shown, rpucc.Trainer(machine).predict(x))


def test_seeds_draw_other_masks() -> None:
    program = compiled(dropped())
    masks = []
    for seed in (0, 1):
        executor = Executor(rpucc.Machine(program, seed=seed), 8, ["drop.mask"])
        executor.run()
        masks.append(executor["drop.mask"])
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_an_evaluation_is_that_of_a_network_without(target: str) -> None:
    """To the last bit, read noise included: nothing is drawn, and nothing moved."""
    x = np.random.default_rng(0).random((9, 6), np.float32)
    management = "management.noise_forward=always"
    found = [
        rpucc.Trainer(rpucc.Machine(compiled(model, management, target=target))).predict(x)
        for model in (dropped(), PLAIN)
    ]
    np.testing.assert_array_equal(*found)


def test_training_goes_through_it() -> None:
    """A wide layer half of which is dropped learns digits nearly as well as the whole."""
    rng = np.random.default_rng(0)
    wide = {"w": rng.normal(0, 0.05, (784, 64)), "v": rng.normal(0, 0.1, (64, 10))}
    model = net(
        "(float[N,1,28,28] x) => (float[N,10] y) { f = Flatten (x) h = Gemm (f, w) t = Tanh (h) "
        "d = Dropout (t, r) y = Gemm (d, v) }",
        r=np.float32(0.5), **{name: array.astype("f4") for name, array in wide.items()},
    )  # fmt: skip
    history = rpucc.Trainer(rpucc.Machine(compiled(model))).fit(
        "mnist-mini", epochs=3, batch_size=10, lr=0.1
    )
    assert history[-1].test_error < 0.12
    assert history[-1].train_loss > history[-1].test_loss  # half of the network against all


# ---------------------------------------------------------------- damaged programs


def damaged(program: rpucc.Program, tmp_path: Path, change) -> Path:
    place = tmp_path / "program.rpu.onnx"
    program.save(place)
    proto = onnx.load(place)
    change(proto)
    onnx.save(proto, place)
    return place


def attribute(name: str, value: object):
    def change(proto: onnx.ModelProto) -> None:
        node = next(node for node in proto.graph.node if node.op_type == "Drop")
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])

    return change


def contract(old: str, new: str):
    def change(proto: onnx.ModelProto) -> None:
        entry = next(e for e in proto.metadata_props if e.key == "rpucc.step")
        assert old in entry.value
        entry.value = entry.value.replace(old, new)

    return change


def input_shape(proto: onnx.ModelProto) -> None:
    value = next(v for v in proto.graph.input if v.name == "draws")
    value.type.tensor_type.shape.dim[0].dim_value = 4


def rewired(index: int, name: str, constant: object = None):
    """Another input; a constant of that name where it is given."""

    def change(proto: onnx.ModelProto) -> None:
        next(node for node in proto.graph.node if node.op_type == "Drop").input[index] = name
        if constant is not None:
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(constant), name))

    return change


DAMAGES = {
    "a ratio of 1": (attribute("ratio", 1.0), "ratio"),
    "a ratio above 1": (attribute("ratio", 1.5), "ratio"),
    "a ratio that is no number": (attribute("ratio", float("nan")), "ratio"),
    "a ratio of another type": (attribute("ratio", 1), "ratio"),
    "a negative number": (attribute("number", -1), "number"),
    "a number with no room": (attribute("number", 2**24), "number"),
    "draws of another input": (contract('"draws": "draws"', '"draws": "lr"'), "draws: 'lr'"),
    "draws of no input": (contract('"draws": "draws"', '"draws": "none"'), "draws: 'none'"),
    "no draws": (contract(', "draws": "draws"', ""), "inputs, labels, rates and mode are"),
    "no mode": (contract(', "mode": "training"', ""), "there is no mode"),
    "draws of another size": (input_shape, "draws"),
    "a mode that is a constant": (
        rewired(1, "one", np.float32(1)),
        "(Drop): has 'one' for its mode; the step contract has 'training'",
    ),
    "a mode that is a rate": (
        rewired(1, "lr"),
        "(Drop): has 'lr' for its mode; the step contract has 'training'",
    ),
    "draws that are a constant": (
        rewired(2, "three", np.int64([1, 2, 3])),
        "(Drop): has 'three' for its draws; the step contract has 'draws'",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_program_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    change, found = DAMAGES[case]
    place = damaged(compiled(dropped()), tmp_path, change)
    with pytest.raises(RpuccError) as caught:
        rpucc.Program.load(place)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mode_that_is_no_mode_is_refused_before_a_step() -> None:
    """Of a program that somebody changed in memory."""
    program = compiled(dropped())
    node = next(node for node in program.model.graph if node.op_type == "Drop")
    node.replace_input_with(1, next(v for v in program.model.graph.inputs if v.name == "lr"))
    with pytest.raises(RpuccError, match="its mode is no input that the step contract names"):
        rpucc.Trainer(rpucc.Machine(program)).fit(data(), epochs=1)


def test_a_program_survives_its_file(tmp_path: Path) -> None:
    program = compiled(dropped())
    program.save(tmp_path / "p.rpu.onnx")
    again = rpucc.Program.load(tmp_path / "p.rpu.onnx")
    assert again.step == program.step
    node = next(node for node in again.model.graph if node.op_type == "Drop")
    assert isinstance(node, ir.Node)
    assert node.attributes["ratio"].as_float() == 0.25
