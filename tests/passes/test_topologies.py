"""The nine ImageNet topologies of the onnx wheel: every pass verified at every common value.

Compiled for inference: onnxruntime runs each stage twice, as it is and with random data put into
every layer, and all values that two stages share agree to 1e-5 (passes/verify.py). The smallest
runs always, on small images; all nine by hand: pytest -m slow tests/passes/test_topologies.py.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import rpucc

from .lowering import with_arrays
from .topologies import LIGHT, NAMES, data_input, refilled

LARGE = ("bvlc_alexnet", "vgg19", "zfnet512")
GROUPED = ("bvlc_alexnet", "shufflenet")
SIZES = [(512, 512), (100, 60)]
"""A usual one, and one that nothing divides."""

ARRAYS = {"squeezenet": 29, "resnet50": 155, "vgg19": 566, "densenet121": 271}
"""Arrays of 512 × 512 for the weights alone, one tile an array, biases kept digital."""

pytestmark = pytest.mark.skipif(not LIGHT.is_dir(), reason="this onnx has no light models")


def some(names: Iterable[str], slow: Container[str]) -> list[object]:
    """Parameters, of which some are slow."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_every_pass_keeps_every_value(name: str, size: tuple[int, int]) -> None:
    assert_verified(refilled(name), size)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_pass_keeps_every_value_of_squeezenet(size: tuple[int, int]) -> None:
    assert_verified(refilled("squeezenet", side=64), size)


def assert_verified(model: onnx.ModelProto, size: tuple[int, int]) -> None:
    program = rpucc.compile(model, with_arrays(size, preset="ideal"), training=False, verify=True)
    assert program.verified
    assert_arrays(model, program, size)


@pytest.mark.parametrize("name", some(NAMES, slow=(*LARGE, "densenet121")))
def test_arrays_needed(name: str) -> None:
    """Without verification, which is another test's."""
    model = refilled(name)
    size = (512, 512)
    program = rpucc.compile(model, with_arrays(size, preset="ideal"), training=False, verify=False)
    assert_arrays(model, program, size)


def assert_arrays(model: onnx.ModelProto, program: rpucc.Program, size: tuple[int, int]) -> None:
    """As many arrays as the weights need, and no more than one line for the bias adds to that."""
    bare, with_bias = (sum(tiles(model, size, lines)) for lines in (0, 1))
    arrays = sum(program.plan.arrays.values())
    assert len(program.plan.analog_layers) == len(list(matrices(model)))
    if program.name.endswith(GROUPED):  # packed, or where they are large a grid a group
        assert 0 < arrays <= program.plan.tiles
    else:
        assert bare <= arrays <= with_bias


@pytest.mark.parametrize("name", some(ARRAYS, slow=LARGE))
def test_the_weights_need_the_published_number_of_arrays(name: str) -> None:
    assert sum(tiles(refilled(name), (512, 512), 0)) == ARRAYS[name]


@pytest.mark.parametrize("name", some(ARRAYS, slow=("vgg19", "densenet121")))
def test_biases_take_no_further_arrays(name: str) -> None:
    target = with_arrays((512, 512), preset="ideal", overrides=("mapping.bias=auto",))
    program = rpucc.compile(refilled(name), target, training=False, verify=False)
    assert sum(program.plan.arrays.values()) <= ARRAYS[name]


@pytest.mark.parametrize("name", some(NAMES, slow={*NAMES} - {"squeezenet"}))
def test_random_weights_keep_values_of_order_one(name: str) -> None:
    """Else a saturated softmax, or an overflow, would hide what a pass did."""
    model = refilled(name)
    made = [node.output[0] for node in model.graph.node]  # not the masks of dropouts
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in made if n not in known)
    x = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    values = execute(model, x)
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        assert values.pop(last.output[0]).max() < 0.9
    for value in values.values():
        assert 0.02 < np.sqrt(np.mean(np.square(value))) < 30


def execute(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    """All values of the graph that are floating point."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not a line for each constant that is not used
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [value.name for value in session.get_outputs()]
    values = session.run(names, {data_input(model.graph).name: x})
    return {n: v for n, v in zip(names, values, strict=True) if v.dtype == np.float32}


def matrices(model: onnx.ModelProto) -> Iterator[tuple[int, int]]:
    """[R, C] of every layer, a grouped convolution as one block-diagonal matrix."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    shapes = {name: list(tensor.dims) for name, tensor in tensors.items()}
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[0] in tensors:
            shapes[node.output[0]] = numpy_helper.to_array(tensors[node.input[1]]).tolist()
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            R, *rest = shapes[node.input[1]]
            group = next((a.i for a in node.attribute if a.name == "group"), 1)
            yield R, math.prod(rest) * group


def tiles(model: onnx.ModelProto, size: tuple[int, int], bias_lines: int) -> Iterator[int]:
    for R, C in matrices(model):
        yield math.ceil(R / size[0]) * math.ceil((C + bias_lines) / size[1])
