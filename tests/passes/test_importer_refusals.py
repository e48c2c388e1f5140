"""Each rule of the importer refuses what it should, with a message that names the thing."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rpucc.errors import UnsupportedError
from rpucc.passes.frontend.layers import LAYER_RULES
from rpucc.passes.frontend.support import REFUSED_OPS
from rpucc.passes.importer import load_model

from .importer_models import net, refusal

X = "(float[N,3,8,8] x) => (float y)"
CONV = X + " {{ [c] y = Conv <{}> (x, w) }}"
POOL = X + " {{ [p] y = {} <{}> (x) }}"


# --- layers -----------------------------------------------------------------------------------

LAYERS = {
    "channels": (
        net(CONV.format("kernel_shape = [3, 3]"), w=(4, 2, 3, 3)),
        "node 'c' (Conv): A convolution's weight must have as many input channels as its input: "
        "input 'x' [1, 3, 8, 8] has 3, weight 'w' [4, 2, 3, 3] takes 2; "
        "the weight or the input shape in the file is wrong",
    ),
    "grouped channels": (
        net(
            "(float[N,4,8,8] x) => (float y) { [c] y = Conv <group = 2> (x, w) }",
            w=(4, 1, 3, 3),
        ),
        "node 'c' (Conv): A convolution's weight must have as many input channels as its input: "
        "input 'x' [1, 4, 8, 8] has 4, weight 'w' [4, 1, 3, 3] with group 2 takes 2; "
        "the weight or the input shape in the file is wrong",
    ),
    "transposed channels": (
        net(X + " { [c] y = ConvTranspose (x, w) }", w=(2, 4, 3, 3)),
        "node 'c' (ConvTranspose): A convolution's weight must have as many input channels as its "
        "input: input 'x' [1, 3, 8, 8] has 3, weight 'w' [2, 4, 3, 3] takes 2; "
        "the weight or the input shape in the file is wrong",
    ),
    "rank": (
        net(CONV.format("group = 1"), w=(4, 3, 3)),
        "node 'c' (Conv): A convolution's input and weight must have the same rank, 3 or more: "
        "input 'x' [1, 3, 8, 8], weight 'w' [4, 3, 3]",
    ),
    "group divides the output": (
        net(CONV.format("group = 3"), w=(4, 1, 3, 3)),
        "node 'c' (Conv): A convolution's group must be at least 1 and divide its input and output "
        "channels: group 3, output channels 4 (weight 'w' [4, 1, 3, 3])",
    ),
    "group divides the input": (
        net(CONV.format("group = 2"), w=(4, 1, 3, 3)),
        "node 'c' (Conv): A convolution's group must be at least 1 and divide its input and output "
        "channels: group 2, input channels 3 (input 'x' [1, 3, 8, 8])",
    ),
    "axes twice": (
        net("(float[N,3,8] x) => (float y) { [r] y = ReduceMean <keepdims = 0> (x, a) }", a=[2, 2]),
        "node 'r' (ReduceMean): Axes must name each axis once: axes [2, 2] of input 'x' [1, 3, 8]",
    ),
    "group zero": (
        net(CONV.format("group = 0"), w=(4, 3, 3, 3)),
        "node 'c' (Conv): A convolution's group must be at least 1 and divide its input and output "
        "channels: group 0, output channels 4 (weight 'w' [4, 3, 3, 3])",
    ),
    "kernel_shape": (
        net(CONV.format("kernel_shape = [5, 5]"), w=(4, 3, 3, 3)),
        "node 'c' (Conv): A convolution's kernel_shape must be its weight's: "
        "kernel_shape [5, 5], weight 'w' [4, 3, 3, 3]",
    ),
    "bias": (
        net(X + " { [c] y = Conv (x, w, b) }", w=(4, 3, 3, 3), b=(3,)),
        "node 'c' (Conv): A convolution's bias must be a vector with one entry an output channel: "
        "bias 'b' [3], expected [4]",
    ),
    "stride zero": (
        net(CONV.format("strides = [1, 0]"), w=(4, 3, 3, 3)),
        "node 'c' (Conv): Strides and dilations must be positive, one a spatial dimension: "
        "strides [1, 0], input 'x' [1, 3, 8, 8]",
    ),
    "dilations": (
        net(CONV.format("dilations = [2]"), w=(4, 3, 3, 3)),
        "node 'c' (Conv): Strides and dilations must be positive, one a spatial dimension: "
        "dilations [2], input 'x' [1, 3, 8, 8]",
    ),
    "pads length": (
        net(CONV.format("pads = [1, 1]"), w=(4, 3, 3, 3)),
        "node 'c' (Conv): Pads must be non-negative, a begin and an end for each spatial "
        "dimension: pads [1, 1], input 'x' [1, 3, 8, 8]",
    ),
    "negative pads": (
        net(POOL.format("MaxPool", "kernel_shape = [2, 2], pads = [0, 0, -1, 0]")),
        "node 'p' (MaxPool): Pads must be non-negative, a begin and an end for each spatial "
        "dimension: pads [0, 0, -1, 0], input 'x' [1, 3, 8, 8]",
    ),
    "auto_pad": (
        net(CONV.format('auto_pad = "SAME"'), w=(4, 3, 3, 3)),
        "node 'c' (Conv): auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID: "
        "auto_pad 'SAME'",
    ),
    "same pads and dilations": (
        net(
            POOL.format(
                "MaxPool", 'kernel_shape = [3, 3], auto_pad = "SAME_LOWER", dilations = [2, 1]'
            )
        ),
        "node 'p' (MaxPool): A pool cannot have both auto_pad SAME and dilations: ONNX and "
        "onnxruntime differ on it: auto_pad 'SAME_LOWER', dilations [2, 1]; export with explicit "
        "pads",
    ),
    "kernel too large": (
        net(CONV.format("dilations = [1, 2], pads = [0, 1, 0, 1]"), w=(4, 3, 3, 7)),
        "node 'c' (Conv): The kernel must fit into the padded input: the kernel spans 13 in "
        "spatial dimension 1, input 'x' [1, 3, 8, 8] with pads has 10; use a larger input or a "
        "smaller kernel",
    ),
    "pool too large": (
        net(POOL.format("AveragePool", "kernel_shape = [9, 9]")),
        "node 'p' (AveragePool): The kernel must fit into the padded input: the kernel spans 9 in "
        "spatial dimension 0, input 'x' [1, 3, 8, 8] with pads has 8; use a larger input or a "
        "smaller kernel",
    ),
    "pool pads": (
        net(POOL.format("MaxPool", "kernel_shape = [2, 2], pads = [2, 0, 0, 0]")),
        "node 'p' (MaxPool): A pool's pads must be smaller than its kernel: "
        "pads [2, 0, 0, 0], kernel [2, 2]",
    ),
    "gemm": (
        net("(float[N,5] x) => (float y) { [g] y = Gemm <transB = 1> (x, w) }", w=(5, 4)),
        "node 'g' (Gemm): The inner dimensions of a Gemm must agree: "
        "input 'x' [1, 5], weight 'w' [5, 4], transA 0, transB 1",
    ),
    "gemm rank": (
        net("(float[N,5,1] x) => (float y) { [g] y = Gemm (x, w) }", w=(5, 4)),
        "node 'g' (Gemm): The inner dimensions of a Gemm must agree: "
        "input 'x' [1, 5, 1] and weight 'w' [5, 4] must both be matrices",
    ),
    "gemm bias": (
        net("(float[N,5] x) => (float y) { [g] y = Gemm (x, w, b) }", w=(5, 4), b=(3,)),
        "node 'g' (Gemm): A Gemm's bias must broadcast to its output: "
        "bias 'b' [3], the output has 4 columns",
    ),
    "matmul": (
        net("(float[N,5] x) => (float y) { [m] y = MatMul (x, w) }", w=(4, 5)),
        "node 'm' (MatMul): The inner dimensions of a MatMul must agree: "
        "input 'x' [1, 5], weight 'w' [4, 5]",
    ),
    "batch norm": (
        net(
            X + " { [b] y = BatchNormalization (x, s, t, m, v) }",
            **dict.fromkeys("stm", (3,)),
            v=np.ones(4, np.float32),
        ),
        "node 'b' (BatchNormalization): A batch norm's parameters must be vectors with one entry "
        "a channel: parameter 'v' [4], input 'x' [1, 3, 8, 8]",
    ),
    "negative variance": (
        net(
            X + " { [b] y = BatchNormalization (x, s, t, m, v) }",
            **dict.fromkeys("stm", (3,)),
            v=np.array([1, -0.5, -1], np.float32),
        ),
        "node 'b' (BatchNormalization): A batch norm's variance must be 0 or more, and above 0 "
        "with its epsilon: variance 'v' [3] has 2 of 3 that are -0.5; train or export it again",
    ),
    "no variance and no epsilon": (
        net(
            X
            + " { [b] y = BatchNormalization <epsilon = 0.0, training_mode = 1> (x, s, t, m, v) }",
            **dict.fromkeys("stm", (3,)),
            v=np.array([1, 0, 2], np.float32),
        ),
        "node 'b' (BatchNormalization): A batch norm's variance must be 0 or more, and above 0 "
        "with its epsilon: variance 'v' [3] has 1 of 3 that are 0, with epsilon 0; train or "
        "export it again",
    ),
    "empty activation": (
        net(X + " { [s] y = Slice (x, a, a, a) }", a=np.array([1])),
        "node 's' (Slice): No activation may have a dimension of zero: output 'y' is [1, 0, 8, 8]",
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layer_rules(case):
    model, message = LAYERS[case]
    assert refusal(model) == message


def test_every_layer_rule_has_a_case():
    texts = [message for _, message in LAYERS.values()]
    for rule in LAYER_RULES:
        text = rule.__doc__.splitlines()[0].rstrip(".")
        assert any(f": {text}: " in message for message in texts), rule.__name__


def test_the_same_errors_in_an_old_file():
    model = net("(float[1,3,8,8] x) => (float y) { y = Conv (x, w) }", 8, w=(4, 2, 3, 3))
    assert refusal(model).startswith("node 'conv_1' (Conv): A convolution's weight must have")


def test_other_shape_errors_come_from_shape_inference():
    model = net("(float[N,5] x) => (float y) { [a] y = Add (x, w) }", w=(4,))
    message = refusal(model)
    assert message.startswith("the shapes in the network do not fit: ")
    assert "node name: a" in message
    assert "Incompatible dimensions" in message


# --- operators --------------------------------------------------------------------------------


def one_op(op: str, domain: str = "", **attributes: object) -> onnx.ModelProto:
    """A model of one node; whether its arity is right does not matter to the rules."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], name="n", domain=domain, **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 21)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_recurrent_layer():
    model = net(
        "(float[N,3,8] x) => (float y) { [rnn] y = LSTM <hidden_size = 2> (x, w, r) }",
        w=(1, 8, 8),
        r=(1, 8, 2),
    )
    assert refusal(model, UnsupportedError) == (
        "node 'rnn' (LSTM): This operator cannot be compiled: recurrent layers are not supported; "
        "unroll the steps, or use convolutions"
    )


def test_control_flow():
    model = net(
        """(float[N,3] x) => (float[N,3] y) {
            [branch] y = If (c) <
                then_branch = a () => (float[N,3] p) { p = Relu (x) },
                else_branch = b () => (float[N,3] q) { q = Neg (x) }
            >
        }""",
        c=np.array(True),
    )
    message = refusal(model, UnsupportedError)
    assert message.startswith("node 'branch' (If): This operator cannot be compiled: control flow")


def test_quantised_op():
    model = net(
        """(float[N,3] x) => (float[N,3] y) {
            [q] i = QuantizeLinear (x, s, z) [d] y = DequantizeLinear (i, s, z)
        }""",
        s=np.float32(0.1),
        z=np.int8(0),
    )
    message = refusal(model, UnsupportedError)
    assert message.startswith("node 'q' (QuantizeLinear): This operator cannot be compiled: ")
    assert message.endswith("export the floating-point (float32) network")


def test_a_refused_op_inside_a_function_is_found():
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,3,8] x, float[1,8,8] w, float[1,8,2] r) => (float y) {
            [block] y = my.block (x, w, r)
        }
        <domain: "my", opset_import: ["" : 21]>
        block (a, b, c) => (d) { d = GRU <hidden_size = 2> (a, b, c) }"""
    message = refusal(onnx.parser.parse_model(text), UnsupportedError)
    assert "(GRU" in message or "GRU node" in message
    assert "recurrent layers are not supported" in message


def test_every_refused_op_exists_and_has_a_way_out():
    for op, reason in REFUSED_OPS.items():
        assert onnx.defs.get_schema(op).name == op
        assert "; " in reason


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.ml", "mine"])
def test_unknown_domain(domain):
    op = "Normalizer" if domain == "ai.onnx.ml" else "Thing"
    assert refusal(one_op(op, domain), UnsupportedError) == (
        f"node 'n' ({op}): Only standard ONNX operators are supported: domain {domain!r} is not "
        "standard, and the file has no function body for the op; export with standard operators"
    )


def test_function_with_another_opset_than_the_model():
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,3] x) => (float y) { y = my.f (x) }
        <domain: "my", opset_import: ["" : 18]>
        f (a) => (b) { b = Relu (a) }"""
    message = refusal(onnx.parser.parse_model(text), UnsupportedError)
    assert message.startswith("cannot inline the model's functions: ")


def test_used_dropout_mask():
    model = net("(float[N,3] x) => (float y, bool m) { [d] y, m = Dropout (x) }")
    assert refusal(model, UnsupportedError) == (
        "node 'd' (Dropout): The mask of a Dropout is its own affair: each step of training draws "
        "another one: the mask 'm' is used; export the network without this output"
    )


def test_sparse_constant():
    values = helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [3])
    model = one_op("Relu")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], "k", sparse_value=sparse))
    message = refusal(model, UnsupportedError)
    assert message == "weight 'k' is sparse: export it as a dense tensor"


def test_an_op_that_no_adapter_converts():
    text = "(float[N,3] x) => (float y) { a = Relu (x) b = Greater (a, w) y = Cast <to = 1> (b) }"
    message = refusal(net(text, opset=6, w=(1, 3)), UnsupportedError)
    assert message.startswith(
        "op Greater cannot be converted from opset 6 to 21: export the network with opset 21 or "
        "newer ("
    )
    assert message.endswith("No Adapter From Version $6 for Greater)")


@pytest.mark.parametrize("name", ["s", "t", "m", "v"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_of_a_batch_norm_that_are_none(name, number):
    numbers = dict.fromkeys("stmv", np.ones(3, np.float32))
    wrong = {**numbers, name: np.array([1, number, 2], np.float32)}
    model = net(X + " { [b] y = BatchNormalization (x, s, t, m, v) }", **wrong)
    assert refusal(model) == (
        f"Weights must be finite numbers: weight {name!r} has 1 of 3 that are not, the first is "
        f"{number}"
    )


# --- the graph, the input, the weights ---------------------------------------------------------


def test_empty_graph():
    model = net("(float[N,3] x) => (float[N,3] x) { }")
    assert refusal(model) == (
        "A model needs at least one node: the graph is empty (is this the right file?)"
    )


def test_no_outputs():
    model = net("(float[N,3] x) => (float y) { y = Relu (x) }")
    del model.graph.output[:]
    assert refusal(model) == "A model needs at least one output: the graph has no outputs"


def test_opset_from_the_future():
    model = net("(float[N,3] x) => (float y) { y = Relu (x) }", opset=999)
    assert refusal(model).startswith(
        "The file's operator set must be known to the installed onnx: the file uses opset 999"
    )


def test_what_the_checker_finds_is_one_line():
    model = net("(float[N,3] x) => (float y) { [r] y = Relu (z) }")
    message = refusal(model)
    assert message.startswith("not a valid ONNX model: ")
    assert "'z'" in message
    assert ".cc" not in message


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("N,3,H,8", "[N, 3, H, 8] has dynamic dimension 2 ('H')"),
        ("1,3,8,w", "[1, 3, 8, w] has dynamic dimension 3 ('w')"),
        ("N,?,8,8", "[N, ?, 8, 8] has dynamic dimension 1"),
    ],
)
def test_dynamic_dimension(shape, found):
    model = net(f"(float[{shape}] x) => (float y) {{ y = Relu (x) }}")
    assert refusal(model, UnsupportedError) == (
        f"Only the batch dimension may be dynamic: input 'x' {found}; "
        "export with static channels, height and width, or give them as input_shape "
        "(--input-shape)"
    )


def test_input_without_a_shape():
    model = net("(float[] x) => (float y) { y = Relu (x) }")
    assert refusal(model, UnsupportedError).endswith(
        "input 'x' has no shape; export with a static shape"
    )


def test_scalar_input():
    model = net("(float x) => (float y) { y = Relu (x) }")
    assert refusal(model, UnsupportedError).endswith("input 'x' is a scalar")


def test_inputs_of_other_batches_and_none():
    two = net("(float[N,3] a, float[1,3] b) => (float y) { y = Add (a, b) }")
    assert refusal(two, UnsupportedError) == (
        "The first dimension of every input is the same batch: the inputs are 'a' [N, 3], "
        "'b' [1, 3]; export all of them with the same one"
    )
    none = net("() => (float y) { y = Relu (w) }", w=(3,))
    assert refusal(none, UnsupportedError).endswith("beside its weights: it has none")


@pytest.mark.parametrize("dtype", ["double", "float16", "int64", "uint8"])
def test_input_type(dtype):
    model = net(f"({dtype}[N,3] x) => ({dtype} y) {{ y = Identity (x) }}")
    assert refusal(model, UnsupportedError) == (
        f"The input must be float32: input 'x' is {dtype}; export with a float32 input"
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_weight_type(dtype):
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model = net(
        f"(float[N,3] x) => (float y) {{ d = Cast <to = {to}> (x) e = MatMul (d, w) "
        "y = Cast <to = 1> (e) }",
        w=np.ones((3, 2), dtype),
    )
    name = {np.float64: "double", np.float16: "float16"}[dtype]
    assert refusal(model, UnsupportedError) == (
        f"Weights must be float32: weight 'w' is {name}; export the network in float32"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite(bad):
    weight = np.ones((3, 2), np.float32)
    weight[1, 0] = bad
    model = net("(float[N,3] x) => (float y) { y = MatMul (x, w) }", w=weight)
    assert refusal(model) == (
        f"Weights must be finite numbers: weight 'w' has 1 of 6 that are not, the first is {bad}"
    )


def test_infinite_limits_and_masks_are_no_weights():
    inf = np.float32(np.inf)
    model = net(
        "(float[N,3] x) => (float y) { a = Clip (x, lo, hi) b = Add (a, mask) y = Softmax (b) }",
        lo=np.float32(0),
        hi=inf,
        mask=np.array([0, -inf, 0], np.float32),
    )
    assert len(load_model(model).graph) == 3


def test_sizes_of_zero():
    model = net("(float[N,0] x) => (float y) { y = Relu (x) }")
    assert refusal(model) == "No dimension of the input may be zero: input 'x' is [N, 0]"
    model = net("(float[N,3] x) => (float y) { y = MatMul (x, w) }", w=(3, 0))
    assert refusal(model) == "No dimension of a weight may be zero: weight 'w' is [3, 0]"


def test_a_shape_that_the_data_decide():
    model = net("(float[N,3] x) => (int64 y) { [z] y = NonZero (x) }")
    assert refusal(model, UnsupportedError) == (
        "node 'z' (NonZero): the shape of output 'y' must be known before the run: it is "
        "[2, unk__0]; export with static shapes"
    )
