"""Benchmarks: rpucc beside aihwkit and PyTorch, and beside what the machine can do.

`python -m benchmarks` from the project's root; not part of the installed package.
"""
