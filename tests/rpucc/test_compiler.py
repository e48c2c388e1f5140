"""compile_model: what it takes, what it sets, when it verifies, and its errors."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.compiler.compile import compile_model
from rpucc.errors import ModelError, RpuccError, TargetError, UsageError, VerificationError
from rpucc.models import build
from rpucc.opset import VERSION
from rpucc.passes.callbacks import PassEvent, Timing
from rpucc.passes.verify import Verify, compare_models
from rpucc.target.target import Target


def content(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString()


def test_the_package_s_compile_is_this_one() -> None:
    assert rpucc.compile is compile_model


def test_all_kinds_of_sources_give_the_same_program(tmp_path: Path) -> None:
    proto = build("mlp")
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    sources = ["mlp", path, str(path), proto.SerializeToString(), proto, ir.from_proto(proto)]
    programs = [compile_model(source, "ideal", verify=False) for source in sources]
    assert len({content(program.model) for program in programs}) == 1


def test_the_source_stays_untouched() -> None:
    proto, model = build("mlp"), ir.from_proto(build("mlp"))
    before = proto.SerializeToString(), content(model)
    compile_model(proto, "ideal")
    compile_model(model, "ideal")
    assert proto.SerializeToString() == before[0]
    assert content(model) == before[1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("preset", ["ideal", "rpu-baseline", "rpu-managed", "rpu-managed-um"])
def test_every_preset_computes_what_the_model_does(preset: str, training: bool) -> None:
    program = compile_model("lenet", preset, training=training, verify=True)
    assert program.target == Target.load(preset)
    assert program.training is training
    found = compare_models(build("lenet"), program.model, seed=5)
    assert found.compared >= 9
    assert found.worst_difference < 1e-5


def test_metadata() -> None:
    program = compile_model("lenet", "rpu-managed", overrides=["update.bl=3"])
    notes = program.model.metadata_props
    assert notes["rpucc.version"] == rpucc.__version__
    assert program.target.update.bl == 3
    assert program.output == "logits"
    assert program.loss == "cross-entropy"
    assert set(program.updates) == {"conv1.W", "conv2.W", "fc1.W", "fc2.W"}
    assert (program.step.labels, program.step.rates) == ("labels", ("lr",))
    assert program.model.ir_version >= 10
    assert program.model.opset_imports["rpu"] == VERSION


def test_loss_is_passed_on() -> None:
    assert compile_model("mlp", "ideal", loss="mse").loss == "mse"
    with pytest.raises(RpuccError, match=r"^loss: found the str 'hinge'; allowed: one of auto"):
        compile_model("mlp", "ideal", loss="hinge")


def test_input_range_comes_from_the_caller_then_the_model_then_default() -> None:
    proto = build("lenet")
    del proto.metadata_props[:]
    assert compile_model(proto).input_range == (0.0, 1.0)
    proto.metadata_props.add(key="rpucc.input_range", value="-2 2.5")
    assert compile_model(proto).input_range == (-2.0, 2.5)
    program = compile_model(proto, input_range=(0, 255))
    assert program.input_range == (0.0, 255.0)
    assert [la.noise_forward for la in program.plan.layers] == [True, False, False, False]


@pytest.mark.parametrize("bad", [(1.0, 0.0), (0.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_wrong_input_range(bad: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match=r"^input_range: needs two finite numbers"):
        compile_model("mlp", input_range=bad)


@pytest.mark.parametrize("bad", ["0", "0 1 2", "zero one", ""])
def test_a_wrong_input_range_in_the_model(bad: str) -> None:
    proto = build("mlp")
    del proto.metadata_props[:]
    proto.metadata_props.add(key="rpucc.input_range", value=bad)
    with pytest.raises(ModelError, match=r"^model 'mlp': metadata rpucc.input_range: needs two"):
        compile_model(proto)


def test_names_that_are_neither_file_nor_zoo(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^resnet: no such file, and no .* zoo \(.*lenet"):
        compile_model("resnet")
    with pytest.raises(ModelError, match=r"absent\.onnx: no such file"):
        compile_model(tmp_path / "absent.onnx")


def test_a_program_is_not_compiled_again(tmp_path: Path) -> None:
    path = tmp_path / "program.onnx"
    compile_model("mlp", "ideal").save(path)
    with pytest.raises(ModelError, match="is a compiled rpucc program already"):
        compile_model(path)


def test_a_wrong_target_is_its_own_error() -> None:
    with pytest.raises(TargetError):
        compile_model("mlp", "no-such-target")
    with pytest.raises(TargetError):
        compile_model("mlp", "ideal", overrides=["update.bl=many"])


def test_callbacks_see_each_pass_once() -> None:
    timing = Timing()
    seen: list[str] = []
    compile_model("mlp", "ideal", callbacks=[timing, lambda event: seen.append(event.name)])
    assert seen == list(timing.seconds)
    assert seen[0] == "import"
    assert timing.seconds["import"] > 0


def _flips_a_weight(event: PassEvent) -> None:
    """A mistake made between passes: as good as one in the pass."""
    if event.name == "tile":
        import numpy as np

        value = event.model.graph.initializers["fc2.W"]
        array = value.const_value.numpy().copy()
        array[0, 0] *= -1
        value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)


def test_verification_is_on_for_small_models_and_can_be_turned_off() -> None:
    with pytest.raises(VerificationError, match="pass 'tile'"):
        compile_model("lenet", callbacks=[_flips_a_weight])
    with pytest.raises(VerificationError, match="pass 'tile'"):
        compile_model("lenet", callbacks=[_flips_a_weight], verify=True)
    assert compile_model("lenet", callbacks=[_flips_a_weight], verify=False)


def test_a_large_model_is_not_verified_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpucc.compiler.compile.VERIFY_MACS", 1000)
    assert compile_model("lenet", callbacks=[_flips_a_weight])
    with pytest.raises(VerificationError):
        compile_model("lenet", callbacks=[_flips_a_weight], verify=True)


def test_a_failure_of_rounding_on_one_draw_only_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original, seeds = Verify.__call__, []

    def fails_on_the_first_seed(self: Verify, event: PassEvent) -> None:
        original(self, event)
        if event.name == "unroll":
            seeds.append(self.seed)
            if self.seed == 0:
                raise VerificationError("pass 'unroll': rounding")

    monkeypatch.setattr(Verify, "__call__", fails_on_the_first_seed)
    assert compile_model("mlp", "ideal").training
    assert seeds == [0, 1]


def test_same_input_same_program() -> None:
    one, two = (compile_model("lenet", "rpu-managed", verify=False).model for _ in range(2))
    assert content(one) == content(two)
