"""What is computed for one element, in plain Python on NumPy's scalar types: no compiler is named.

A backend compiles these functions where it uses them (`kernels/jit.py` does it with Numba), and as
they stand they run in Python, where the integer ones take whole arrays too. They say their types
by the casts `f32`, `i32`, `u32`, `u64` and use no more than arithmetic, comparisons, `min`, `max`,
`abs`, `view` between 32-bit types and NumPy's `floor` and `sqrt`. Integers are never trusted to
wrap around: where a 32-bit sum may overflow it is made in 64 bits and cut.

Not for the steps of devices: those are with their models (`devices/`).
"""
