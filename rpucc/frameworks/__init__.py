"""Networks of other frameworks as ONNX models, and what was trained back into them.

PyTorch and Keras are optional: nothing here imports either before it is needed. Files of theirs are
opened in a process of its own (`files.py`). Not for what is in an ONNX model: `passes/frontend/`.
"""
