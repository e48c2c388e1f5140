"""The importer on what old or odd files add and multiply: sums in a Gemm, slopes, output shapes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from rpucc.errors import UnsupportedError
from rpucc.passes.importer import FIXED_BATCH_KEY, load_model

from .importer_models import assert_same, net, refusal, run


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("beta", ["", ", beta = 0.5"])
@pytest.mark.parametrize("turned", [0, 1])
def test_a_gemm_that_adds_an_activation_becomes_a_layer_and_a_sum(beta: str, turned: int) -> None:
    model = net(
        f"""(float[N,3] x) => (float[N,4] y) {{
            h = Gemm (x, v) [fc] y = Gemm <alpha = 2.0, transB = {turned}{beta}> (x, w, h)
        }}""",
        v=(3, 4),
        w=(4, 3) if turned else (3, 4),
    )
    imported = load_model(model)
    product = next(node for node in imported.graph if node.name == "fc")
    assert len(product.inputs) == 2
    assert product.outputs[0].name == "y.product"
    assert_same(model, imported, images(2, 3))


def test_a_gemm_that_adds_a_matrix_keeps_its_batch() -> None:
    model = net("(float[2,3] x) => (float[2,4] y) { y = Gemm (x, w, c) }", w=(3, 4), c=(2, 4))
    imported = load_model(model)
    assert [node.op_type for node in imported.graph] == ["Gemm", "Add"]
    assert imported.metadata_props[FIXED_BATCH_KEY] == "2"
    assert_same(model, imported, images(2, 3))


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1,), ()])
def test_a_bias_stays_in_its_gemm(shape: tuple[int, ...]) -> None:
    bias = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = net("(float[N,3] x) => (float[N,4] y) { y = Gemm (x, w, c) }", w=(3, 4), c=bias)
    assert [node.op_type for node in load_model(model).graph] == ["Gemm"]


def test_a_slope_for_each_sample_fixes_the_batch() -> None:
    """On positive data such a PRelu does nothing, whatever the batch."""
    model = net("(float[2,3] x) => (float[2,3] y) { y = PRelu (x, s) }", s=(2, 3))
    imported = load_model(model)
    assert imported.metadata_props[FIXED_BATCH_KEY] == "2"
    assert_same(model, imported, images(2, 3))


def test_a_slope_for_each_channel_before_opset_7() -> None:
    """By today's rules the slope would belong to the columns, and fit them."""
    slope = np.array([0.1, 0.2, 0.3], np.float32)
    model = net("(float[N,3,2,3] x) => (float[N,3,2,3] y) { y = PRelu (x, s) }", 6, s=slope)
    x = images(2, 3, 2, 3)
    (found,) = run(load_model(model), x)
    np.testing.assert_allclose(found, np.where(x < 0, x * slope[:, None, None], x), rtol=1e-6)


def larger(shape: str) -> onnx.ModelProto:
    """A ConvTranspose of 3 × 4 pixels, which its kernel spreads over 9 × 9."""
    attributes = f"strides = [3, 2], output_shape = {shape}"
    text = f"(float[N,1,3,4] x) => (float y) {{ [up] y = ConvTranspose <{attributes}> (x, w) }}"
    return net(text, w=(1, 2, 3, 3))


def test_an_output_shape_beyond_the_kernel_is_output_padding() -> None:
    model = larger("[11, 9]")
    imported = load_model(model)
    assert list(imported.graph[0].attributes["output_padding"].as_ints()) == [2, 0]
    assert_same(model, imported, images(2, 1, 3, 4))


def test_an_output_shape_out_of_reach_is_refused_by_name() -> None:
    message = refusal(larger("[12, 9]"), UnsupportedError)
    assert message.startswith("node 'up' (ConvTranspose): the output [12, 9] is larger")
    assert "output_padding [3, 0]" in message


def test_same_pads_of_a_stride_longer_than_the_kernel() -> None:
    text = """(float[N,1,3,4] x) => (float y) {
        y = ConvTranspose <auto_pad = "SAME_UPPER", strides = [5, 4]> (x, w)
    }"""
    model = net(text, w=(1, 2, 2, 3))
    assert_same(model, load_model(model), images(2, 1, 3, 4))
