"""From an ONNX model and a target to a program; and what would become of a model."""
