"""Statistics of batch norms measured again: what they become, what keeps them, what is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.batch_norms import COMPUTED, EARLIER, FOLDED, IN_COMMON
from rpucc.runtime.kernels.moments import add_moments, sample_moments
from rpucc.runtime.recalibration import Recalibration

from ..passes.importer_models import net
from ..passes.test_batch_statistics import PLACES, constants, model

POLICIES = ("frozen", "train", "batch")
HEAD = "f = Flatten (r) [fc] y = Gemm <transB = 1> (f, u, k)"
TWO = f"""(float[N,2,5,5] x) => (float[N,4] y) {{
    [c1] a = Conv (x, w1) [bn1] b = BatchNormalization <epsilon = 0.01> (a, s, t, m, v)
    z = Relu (b)
    [c2] c = Conv (z, w2) [bn2] d = BatchNormalization (c, s2, t2, m2, v2) r = Tanh (d) {HEAD} }}"""
WEIGHTS = {"w1": (3, 2, 3, 3), "w2": (4, 3, 2, 2), "u": (4, 16), "k": (4,)}
SIAMESE = f"""(float[N,2,5,5] x) => (float[N,4] y) {{
    o = Neg (x)
    [c1] a = Conv (x, w1) [n1] b = BatchNormalization (a, s, t, m, v) z = Relu (b)
    [c2] c = Conv (z, w2) [n2] d = BatchNormalization (c, s2, t2, m2, v2)
    [c3] a2 = Conv (o, w1) [n3] b2 = BatchNormalization (a2, s, t, m, v) z2 = Relu (b2)
    [c4] e = Conv (z2, w2) [n4] g = BatchNormalization (e, s2, t2, m2, v2)
    r = Sub (d, g) {HEAD} }}"""


def two() -> onnx.ModelProto:
    """Two batch norms, the second behind the first."""
    return net(TWO, **WEIGHTS, **constants(3), **constants(4, "2", seed=8))


def siamese() -> onnx.ModelProto:
    """Two branches that have all their weights and statistics in common."""
    return net(SIAMESE, **WEIGHTS, **constants(3), **constants(4, "2"))


def compiled(proto: onnx.ModelProto, policy: str, target: str = "ideal") -> rpucc.Program:
    return rpucc.compile(proto, target, overrides=[f"batch_norm.policy={policy}"], verify=False)


def samples(program: rpucc.Program, n: int = 30, seed: int = 0) -> np.ndarray:
    shape = [d for d in program.model.graph.inputs[0].shape if isinstance(d, int)]
    return np.random.default_rng(seed).random((n, *shape), np.float32)


def data(x: np.ndarray) -> rpucc.Dataset:
    y = np.random.default_rng(1).integers(0, 4, len(x))
    return rpucc.load_dataset((x[:-2], y[:-2], x[-2:], y[-2:]))


def population(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    axes = (0, *range(2, x.ndim))
    return x.mean(axes, np.float64), x.var(axes, np.float64)


def into(machine: rpucc.Machine, x: np.ndarray, *names: str) -> list[np.ndarray]:
    """The values of a network on arrays before its batch norms, ideal."""
    executor = rpucc.Trainer(machine).executor(len(x), evaluating=True, ideal=True, also=names)
    executor["x"][...] = x
    executor.run()
    return [executor[name].copy() for name in names]


def statistics(machine: rpucc.Machine) -> dict[str, np.ndarray]:
    names = ("m", "v", "m2", "v2")
    return {name: machine.values[name].copy() for name in names if name in machine.values}


# ---------------------------------------------------------------- what they are


@pytest.mark.parametrize("policy", POLICIES)
def test_each_layer_has_the_population_statistics_of_what_comes_into_it(policy: str) -> None:
    program = compiled(two(), policy)
    machine = rpucc.Machine(program)
    x = samples(program)
    (a,) = into(machine, x, "a")
    found = rpucc.Trainer(machine).recalibrate(x)
    (c,) = into(machine, x, "c")  # with the first one replaced
    for before, names in ((a, ("m", "v")), (c, ("m2", "v2"))):
        for name, wanted in zip(names, population(before), strict=True):
            np.testing.assert_allclose(machine.values[name], wanted, rtol=1e-5, atol=1e-6)
    assert [each.batch_norms for each in found.batch_norms] == [("bn1",), ("bn2",)]
    assert [each.values for each in found.batch_norms] == [30 * 9, 30 * 4]
    assert (found.samples, found.left, found.reads) == (30, {}, 0)
    old = constants(3)
    moved = (population(a)[0] - old["m"]) / np.sqrt(old["v"])
    assert found.batch_norms[0].moved == pytest.approx(np.sqrt((moved**2).mean()), rel=1e-4)
    ratio = np.log(population(a)[1] / old["v"]) / 2
    assert found.batch_norms[0].spread == pytest.approx(np.exp(ratio.mean()), rel=1e-4)


@pytest.mark.parametrize("place", [place for place in PLACES if place != "used twice"])
def test_in_every_place(place: str) -> None:
    program = compiled(model(place), "batch")
    machine = rpucc.Machine(program)
    x = samples(program)
    name = next(n for n in program.model.graph if n.op_type == "BatchNorm").inputs[0].name
    (before,) = into(machine, x, name) if name != "x" else (x,)
    rpucc.Trainer(machine).recalibrate(x)
    for key, wanted in zip("mv", population(before), strict=True):
        np.testing.assert_allclose(machine.values[key], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
def test_statistics_in_common_are_those_of_all_places(policy: str) -> None:
    program = compiled(siamese(), policy)
    machine = rpucc.Machine(program)
    x = samples(program)
    first = np.concatenate(into(machine, x, "a", "a2"))
    found = [
        rpucc.Trainer(rpucc.Machine(compiled(siamese(), policy, "rpu-baseline")))
        .recalibrate(x, batch_size=size)
        .reads
        for size in (30, 7)
    ]
    rpucc.Trainer(machine).recalibrate(x)
    second = np.concatenate(into(machine, x, "c", "e"))
    for before, names in ((first, ("m", "v")), (second, ("m2", "v2"))):
        for name, wanted in zip(names, population(before), strict=True):
            np.testing.assert_allclose(machine.values[name], wanted, rtol=1e-5, atol=1e-6)
    assert found == [2 * 30 * (9 + 4)] * 2  # one pass, in how many batches ever


def test_the_batch_size_and_the_threads_change_no_bit_and_no_count(many_parts: list[int]) -> None:
    program = compiled(two(), "frozen", "rpu-baseline")
    x = samples(program, 50)
    found: list[tuple[dict[str, np.ndarray], Recalibration]] = []
    for size, threads in ((None, 1), (7, 1), (1, 1), (16, 2), (50, 2)):
        machine = rpucc.Machine(program, seed=3)
        result = rpucc.Trainer(machine, threads=threads).recalibrate(x, batch_size=size)
        found.append((statistics(machine), result))
    assert max(many_parts) == 2
    state, first = found[0]
    assert first.reads == 50 * (9 + 4)
    assert first.array_seconds > 0
    for others, result in found[1:]:
        for name, array in others.items():
            np.testing.assert_array_equal(array, state[name])
        assert (result.reads, result.saturated_reads, result.rereads) == (
            first.reads, first.saturated_reads, first.rereads,
        )  # fmt: skip


def test_the_noise_is_in_them_and_is_its_own() -> None:
    noisy = rpucc.compile(
        two(), "ideal", overrides=["batch_norm.policy=frozen", "periphery.read_noise=1"],
        verify=False,
    )  # fmt: skip
    x = samples(noisy, 200)
    plain, machine = rpucc.Machine(compiled(two(), "frozen")), rpucc.Machine(noisy)
    for each in (plain, machine):
        rpucc.Trainer(each).recalibrate(x)
    np.testing.assert_allclose(machine.values["v"], plain.values["v"] + 1, rtol=0.1)
    # An evaluation of the same samples draws other noise: its mean is another.
    executor = rpucc.Trainer(machine).executor(200, evaluating=True, also=("a",))
    executor["x"][...] = x
    executor.run()
    assert (np.abs(executor["a"].mean((0, 2, 3)) - machine.values["m"]) > 1e-4).all()


def test_samples_are_drawn_by_the_seed() -> None:
    program = compiled(two(), "frozen")
    x = samples(program, 40)

    def measured(seed: int, count: int) -> np.ndarray:
        machine = rpucc.Machine(program, seed)
        assert rpucc.Trainer(machine).recalibrate(x, samples=count).samples == min(count, 40)
        return machine.values["m"].copy()

    np.testing.assert_array_equal(measured(0, 10), measured(0, 10))
    assert (measured(0, 10) != measured(1, 10)).all()
    np.testing.assert_array_equal(measured(0, 99), measured(1, 40))


def test_kernels_add_up_as_chan_does() -> None:
    x = np.random.default_rng(0).normal(1e4, 1, (9, 3, 8)).astype("f4")
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for part in (x[:1], x[1:6], x[6:]):
        mean, own = np.empty((2, len(part), 3))
        sample_moments(part, mean, own, 0, len(part))
        add_moments(mean, own, 8, count, total, squares)
        count += 8 * len(part)
    np.testing.assert_allclose(total, x.mean((0, 2), np.float64), rtol=1e-12)
    np.testing.assert_allclose(squares / count, x.var((0, 2), np.float64), rtol=1e-9)


def test_data_of_every_kind_give_their_training_part() -> None:
    program = compiled(two(), "frozen")
    x = samples(program, 20)
    labelled = data(x)
    found = []
    y = labelled.y_train
    batches = [(x[k : k + 6], y[k : k + 6]) for k in (0, 6, 12)]
    streamed = (iter(batches), (x[-2:], y[-2:]))
    for given in (x[:-2], labelled, (x, y.repeat(2)[:20]), iter(batches), streamed):
        machine = rpucc.Machine(program)
        assert rpucc.Trainer(machine).recalibrate(given).samples == 18
        found.append(machine.values["m"])
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


# ---------------------------------------------------------------- what has them


@pytest.mark.parametrize("policy", POLICIES)
def test_checkpoints_and_exports_have_them(policy: str, tmp_path: Path) -> None:
    program = compiled(two(), policy)
    machine = rpucc.Machine(program)
    x = samples(program)
    plain = set(machine.state())
    machine.save(tmp_path / "before")
    trainer = rpucc.Trainer(machine)
    trainer.recalibrate(x)
    assert set(machine.state()) == plain | {"m", "v", "m2", "v2"}
    machine.save(tmp_path / "after")
    again = rpucc.Machine.load(tmp_path / "after")
    for name, array in machine.state().items():
        np.testing.assert_array_equal(again.state()[name], array)
    outputs = trainer.predict(x)
    np.testing.assert_array_equal(rpucc.Trainer(again).predict(x), outputs)

    exported = machine.export()
    assert {"m", "v", "m2", "v2"} <= set(exported.written)
    for name, array in statistics(machine).items():
        np.testing.assert_array_equal(exported.weights[name], array)
    for how in ("fold", "frozen"):
        file = compiled(exported.to_onnx(), how)
        found = rpucc.Trainer(rpucc.Machine(file)).predict(x)
        np.testing.assert_allclose(found, outputs, rtol=1e-4, atol=1e-5)

    other = rpucc.Machine.load(tmp_path / "before")  # of a machine that nobody measured
    assert set(other.state()) == plain
    machine.set_state(other.state())
    assert set(machine.state()) == plain
    np.testing.assert_array_equal(
        rpucc.Trainer(machine).predict(x), rpucc.Trainer(other).predict(x)
    )


@pytest.mark.parametrize("policy", ["frozen", "train"])
def test_training_goes_on_as_from_a_file_that_has_them(policy: str) -> None:
    """Loss and gradients: a trainer that has made its steps already forgets what was constant."""
    program = compiled(two(), policy)
    machine = rpucc.Machine(program)
    trainer, x = rpucc.Trainer(machine), samples(program)
    start = {name: array.copy() for name, array in machine.state().items()}
    trainer.fit(data(x), epochs=1, lr=0.5, batch_size=4)
    machine.set_state(start)
    trainer.recalibrate(x)

    file = machine.export().to_onnx()
    fresh = rpucc.Machine(compiled(file, policy))
    machine.counters, machine.history = type(machine.counters)(), []
    both = [t.fit(data(x), epochs=2, lr=0.5, batch_size=4) for t in (trainer, rpucc.Trainer(fresh))]
    assert both[0] == [
        type(m)(**{**vars(m), "seconds": b.seconds, "samples_per_second": b.samples_per_second})
        for m, b in zip(both[1], both[0], strict=True)
    ]
    for name, array in fresh.state().items():
        np.testing.assert_array_equal(machine.state()[name], array, err_msg=name)


def test_a_loop_of_ones_own_has_them_in_its_gradients() -> None:
    machine = rpucc.Machine(compiled(two(), "frozen"))
    x = samples(machine.program, 4)

    def step(of: rpucc.Machine) -> None:
        of.backward(np.ones_like(of.forward(x)))
        of.update(0.1)

    step(machine)  # its buffers are there
    rpucc.Trainer(machine).recalibrate(x)
    fresh = rpucc.Machine(compiled(machine.export().to_onnx(), "frozen"))
    for each in (machine, fresh):
        step(each)
    for name, array in fresh.state().items():
        np.testing.assert_array_equal(machine.state()[name], array, err_msg=name)


class Recalibrating:
    """Measures again after so many steps, and watches the layers."""

    def __init__(self, trainer: rpucc.Trainer, x: np.ndarray, *at: int) -> None:
        self.trainer, self.x, self.at = trainer, x, at
        self.steps, self.stats = 0, list[rpucc.LayerStats]()

    def on_step(self, _: rpucc.StepMetrics) -> None:
        self.steps += 1
        if self.steps in self.at:
            self.trainer.recalibrate(self.x, 8)

    def on_layer_stats(self, stats: tuple[rpucc.LayerStats, ...]) -> None:
        self.stats += stats


@pytest.mark.parametrize("policy", POLICIES)
def test_counts_by_layer_are_of_whole_epochs_all_the_same(policy: str) -> None:
    program = compiled(two(), policy, "rpu-baseline")
    x = samples(program, 14)
    found = []
    for at in ((), (2, 3)):
        trainer = rpucc.Trainer(rpucc.Machine(program))
        watch = Recalibrating(trainer, x, *at)
        (epoch,) = trainer.fit(data(x), epochs=1, lr=0.1, batch_size=4, callbacks=[watch])
        assert sum(each.reads for each in watch.stats) == epoch.reads
        pulses = sum(each.pulses for each in watch.stats)
        assert pulses == pytest.approx(epoch.pulses_per_weight * trainer.machine.weights)
        found.append([each.reads for each in watch.stats])
    assert found[0] == found[1]


def test_what_was_not_measured_costs_no_bit() -> None:
    """A checkpoint of a machine that nobody measured again has what it always had."""
    machine = rpucc.Machine(compiled(two(), "frozen"))
    assert not {"m", "v", "m2", "v2"} & machine.state().keys()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_state_of_before_takes_them_back(policy: str) -> None:
    program = compiled(two(), policy)
    x = samples(program)
    trainer = rpucc.Trainer(rpucc.Machine(program))
    before, said = copy.deepcopy(trainer.machine.checkpoint()), trainer.predict(x)
    trainer.recalibrate(x)
    trainer.machine.restore(before, Path("c"))
    np.testing.assert_array_equal(trainer.predict(x), said)


@pytest.mark.parametrize("policy", POLICIES)
def test_executors_stay_where_they_hold_no_statistics(policy: str) -> None:
    program = compiled(two(), policy)
    trainer = rpucc.Trainer(rpucc.Machine(program))
    x = samples(program)
    before = trainer.predict(x), trainer.executor(30, evaluating=True)
    trainer.recalibrate(x)
    assert (trainer.executor(30, evaluating=True) is before[1]) == (policy == "batch")
    assert not np.array_equal(trainer.predict(x), before[0])
    anew = rpucc.Machine(program)
    anew.set_state(trainer.machine.state())
    np.testing.assert_array_equal(trainer.predict(x), rpucc.Trainer(anew).predict(x))


def test_batch_statistics_go_on_moving_from_them() -> None:
    program = compiled(two(), "batch")
    machine = rpucc.Machine(program)
    trainer, x = rpucc.Trainer(machine), samples(program)
    trainer.recalibrate(x)
    before = statistics(machine)
    trainer.fit(data(x), epochs=1, lr=0.1, batch_size=14)
    for name, array in statistics(machine).items():
        assert (array != before[name]).all()
        np.testing.assert_allclose(array, before[name], atol=1)


# ---------------------------------------------------------------- what is refused


def refused(program: rpucc.Program, x: np.ndarray, **how: int) -> str:
    machine = rpucc.Machine(program)
    before = {name: array.copy() for name, array in machine.state().items()}
    values = statistics(machine)
    with pytest.raises(rpucc.RpuccError) as caught:
        rpucc.Trainer(machine).recalibrate(x, **how)
    assert machine.state().keys() == before.keys()
    for name, array in {**before, **values}.items():
        np.testing.assert_array_equal({**machine.values, **machine.state()}[name], array)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folded_batch_norm_is_named_with_the_way_out() -> None:
    program = compiled(two(), "fold")
    said = refused(program, samples(program))
    assert said == f"g: has no batch norm that can be measured again: 'bn1', 'bn2': {FOLDED}"
    assert "--set batch_norm.policy=frozen or batch" in said
    overrides = ["batch_norm.policy=fold", "layer.bn2.batch_norm.policy=frozen"]
    some = rpucc.compile(two(), "ideal", overrides=overrides, verify=False)
    found = rpucc.Trainer(rpucc.Machine(some)).recalibrate(samples(some))
    assert found.left == {"bn1": FOLDED}
    assert [each.batch_norms for each in found.batch_norms] == [("bn2",)]


def test_a_network_without_batch_norms() -> None:
    program = rpucc.compile("mlp", "ideal", verify=False)
    said = refused(program, np.zeros((2, 1, 28, 28), "f4"))
    assert said == "mlp: has no batch norm to measure again"


def test_one_that_depends_on_its_own_statistics() -> None:
    program = compiled(model("used twice"), "frozen")
    assert refused(program, samples(program)).endswith(f"'bn', 'bn2': {IN_COMMON}")


def test_computed_statistics() -> None:
    text = """(float[N,3,5,5] x) => (float[N,3,3,3] y) { [conv] a = Conv (x, w)
        q = ReduceMean <keepdims = 0> (x, axes)
        [bn] y = BatchNormalization (a, s, t, q, v) }"""
    weights = {"w": (3, 3, 3, 3), "axes": np.array([0, 2, 3]), **constants(3)}
    del weights["m"]
    program = rpucc.compile(net(text, **weights), "ideal", training=False, verify=False)
    assert refused(program, samples(program)).endswith(f"'bn': {COMPUTED}")


def test_a_channel_of_one_number() -> None:
    program = compiled(model("on a dense layer"), "frozen")
    said = refused(program, samples(program), samples=1)
    assert said == (
        "batch norm 'bn': 1 sample gives a channel one number, and no statistics; measure over 2 "
        "samples or more (--samples)"
    )


def test_values_that_are_not_finite() -> None:
    proto = two()
    (w,) = (each for each in proto.graph.initializer if each.name == "w2")
    w.CopyFrom(onnx.numpy_helper.from_array(np.full((4, 3, 2, 2), 3e38, "f4"), "w2"))
    program = compiled(proto, "frozen")
    said = refused(program, samples(program))
    assert said.startswith("batch norm 'bn2': what comes into it is not finite (NaN or infinity)")


def test_a_channel_that_is_always_the_same_without_epsilon() -> None:
    dead = {**WEIGHTS, "w1": np.zeros((3, 2, 3, 3), "f4")}
    proto = net(TWO.replace("0.01", "0.0"), **dead, **constants(3), **constants(4, "2"))
    program = compiled(proto, "frozen")
    assert refused(program, samples(program)) == (
        "batch norm 'bn1': the variance of what comes into it has 3 of 3 that are 0, with epsilon "
        "0, and has no root; measure over more samples, or give the model an epsilon above 0"
    )


def test_samples_that_do_not_fit() -> None:
    program = compiled(two(), "frozen")
    x = samples(program)
    x[3, 0, 0, 0] = np.nan
    assert "hold NaN or infinity" in refused(program, x)
    assert "samples" in refused(program, samples(program), samples=0)


def test_a_fixed_batch_takes_whole_batches() -> None:
    centred = TWO.replace("[N,", "[8,").replace("] y = Gemm", "] n = Gemm")
    centred = centred.replace("(f, u, k)", "(f, u, k) q = ReduceMean (n, axes) y = Sub (n, q)")
    more = {"axes": np.array([0]), **constants(3), **constants(4, "2")}
    program = compiled(net(centred, **WEIGHTS, **more), "frozen")
    assert program.fixed_batch == 8
    x = samples(compiled(two(), "frozen"), 30)
    assert rpucc.Trainer(rpucc.Machine(program)).recalibrate(x).samples == 24
    said = refused(program, x, samples=7)
    assert said.startswith("7 samples to measure statistics over, but the model works with batches")


def test_a_program_of_an_earlier_version_keeps_its_statistics() -> None:
    """Its backward cycle has constants made of them, as one of version 0.1.0 has."""
    program = compiled(two(), "frozen")
    for name in ("v", "v2"):
        value = program.model.graph.initializers[name]
        copy = value.const_value.numpy().copy()
        for node, index in list(value.uses()):
            if node.op_type != "BatchNormalization":
                own = ir.val(f"{name}.old", const_value=ir.tensor(copy, name=f"{name}.old"))
                program.model.graph.register_initializer(own)
                node.replace_input_with(index, own)
    assert refused(program, samples(program)).endswith(f"'bn1', 'bn2': {EARLIER}")
