"""The one-operator cases of the onnx package, compiled for inference and run: the stored outputs.

A case's first float32 input is the network's input; its other inputs become constants, so that a
Conv, a Gemm or a MatMul goes to arrays, with every pass verified; an op that stays digital passes
through, and the stored output says all. Cases without a float32 input (integers, strings, float64)
are not networks that rpucc takes; they are left out.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rpucc.compiler.compile import compile_model
from rpucc.errors import RpuccError
from rpucc.passes.callbacks import StructureCheck
from rpucc.passes.execute import run_model
from rpucc.passes.verify import Verify

from .lowering import with_arrays

SIZES = [(512, 512), (100, 60)]
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"

LAYERS = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
OTHERS = [
    "Abs", "Add", "Atan", "AveragePool", "BatchNormalization", "Cast", "Celu", "Clip", "Concat",
    "Cos", "DepthToSpace", "Div", "Dropout", "Elu", "Erf", "Exp", "Expand", "Flatten", "Gather",
    "GatherElements", "Gelu", "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization",
    "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LRN",
    "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "Max", "MaxPool",
    "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad", "Pow", "Reciprocal", "ReduceL1",
    "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "Selu", "Shape", "Sigmoid",
    "Sin", "Slice", "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt",
    "Squeeze", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Tile", "Transpose", "Unsqueeze",
    "Where",
]  # fmt: skip

REFUSED = {
    "test_batchnorm_epsilon_training_mode": "makes no new statistics",
    "test_batchnorm_example_training_mode": "makes no new statistics",
    "test_dropout_default_mask": "the mask 'z' is used",
    "test_dropout_default_mask_ratio": "the mask 'z' is used",
    "test_slice_start_out_of_bounds": "dimension of zero",
}
"""Case to what the error says: statistics, a mask, an empty result."""

DEVIATING = {
    # Where a scale gives a fraction of a pixel, onnxruntime takes another length than the case.
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
    # onnxruntime has no kernel for these types.
    "test_pow_types_float32_uint32",
    "test_pow_types_float32_uint64",
    # Drops at random; the importer leaves a dropout in the form of inference.
    "test_training_dropout",
    "test_training_dropout_default",
    "test_training_dropout_default_mask",
    "test_training_dropout_mask",
    "test_training_dropout_zero_ratio_mask",
}
"""Cases whose stored output no program can give, for the reason beside them."""


@dataclass(frozen=True)
class Case:
    """A one-operator network, the data it is run on, and what must come out."""

    name: str
    model: onnx.ModelProto
    x: np.ndarray
    outputs: Sequence[np.ndarray]


@functools.cache
def node_cases() -> dict[str, list[Case]]:
    """Op to the cases of onnx.backend.test.case.node; making them takes some seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases()
    cases = defaultdict(list)
    for each in found:
        if "_expanded" in each.name:
            continue  # the same case with the op's function body in its place
        case = network(each.name, each.model, *each.data_sets[0])
        if case is not None:
            cases[each.model.graph.node[0].op_type].append(case)
    return cases


def as_array(data: np.ndarray | onnx.TensorProto) -> np.ndarray:
    return numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else np.asarray(data)


def network(
    name: str,
    model: onnx.ModelProto,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
) -> Case | None:
    """The model with one input left, or None where none is float32, or an output no NumPy type."""
    if any(isinstance(array, list) or array is None for array in (*inputs, *outputs)):
        return None  # sequences and optionals
    if any(as_array(array).dtype.isbuiltin != 1 for array in outputs):
        return None  # bfloat16 and narrower
    one, x = onnx.ModelProto(), None
    one.CopyFrom(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    infos = [info for info in model.graph.input if info.name not in weights]
    del one.graph.input[:]
    for info, array in zip(infos, map(as_array, inputs), strict=True):
        if x is None and array.dtype == np.float32:
            x = array
            one.graph.input.append(info)
        else:
            one.graph.initializer.append(numpy_helper.from_array(array, info.name))
    return None if x is None else Case(name, one, x, [as_array(array) for array in outputs])


def compile_and_compare(case: Case, size: tuple[int, int]) -> None:
    """Compile, run, compare; onnxruntime cannot always run the original (opset 6)."""
    checks = [StructureCheck(), Verify()] if has_layer(case.model) else [StructureCheck()]
    program = compile_model(
        case.model,
        with_arrays(size),
        training=False,
        verify=False,
        callbacks=checks,
    )
    values = run_model(program.model, {program.inputs[0]: case.x})
    found = [values[str(value.name)] for value in program.model.graph.outputs]
    for array, expected in zip(found, case.outputs, strict=True):
        assert array.dtype == expected.dtype, case.name
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) if array.size else 0
        # The relative tolerance of onnx's own backend test: some cases are stored with four digits.
        np.testing.assert_allclose(array, expected, rtol=1e-3, atol=1e-5 * scale, err_msg=case.name)


def has_layer(model: onnx.ModelProto) -> bool:
    return any(node.op_type in LAYERS for node in model.graph.node)


def check_all(op: str, size: tuple[int, int]) -> None:
    cases = node_cases()[op]
    assert cases, f"the installed onnx has no case of {op}"
    for case in cases:
        message = "may be zero" if case.x.size == 0 else REFUSED.get(case.name)
        if case.name in DEVIATING:
            continue
        if message is not None:
            with pytest.raises(RpuccError, match=message):
                compile_and_compare(case, size)
            continue
        try:
            compile_and_compare(case, size)
        except RpuccError as error:
            pytest.fail(f"{case.name}: {error}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("op", LAYERS)
def test_layers_give_the_stored_output_from_arrays_of_any_size(
    op: str, size: tuple[int, int]
) -> None:
    check_all(op, size)


@pytest.mark.parametrize("op", OTHERS)
def test_digital_operators_give_the_stored_output(op: str) -> None:
    check_all(op, SIZES[0])


FOLDERS = sorted(
    folder
    for kind in ("pytorch-converted", "pytorch-operator")
    for folder in (DATA / kind).glob("test_*")
)
"""PyTorch's exports of single modules and functions, opsets 6 to 9."""


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_pytorch_exports_give_the_stored_output(folder: Path) -> None:
    inputs, outputs = (
        [
            numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))
            for path in sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb"))
        ]
        for kind in ("input", "output")
    )
    model = onnx.load(folder / "model.onnx")
    case = network(folder.name, model, inputs, outputs)
    if case is None:
        pytest.skip("no float32 input")
    for size in SIZES if has_layer(model) else SIZES[:1]:
        compile_and_compare(case, size)
