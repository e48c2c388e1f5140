"""Arrays on a cache line, as the update's kernels want them."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime import aligned


@pytest.mark.parametrize("shape", [(3,), (5, 7), (4, 33, 9), (0, 3)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_arrays_start_on_a_line_and_lie_as_numpys_do(shape: tuple[int, ...], dtype: type) -> None:
    for _ in range(8):
        made = aligned.empty(shape, dtype, spare=16)
        assert made.shape == shape
        assert made.dtype == dtype
        assert made.flags.c_contiguous
        assert made.ctypes.data % aligned.LINE == 0 or made.size == 0


def test_the_spare_elements_are_the_arrays_own_memory() -> None:
    made = aligned.empty((3, 5), np.float32, spare=16)
    owner = made
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    end = owner.ctypes.data + owner.nbytes
    assert made.ctypes.data + made.nbytes + 16 * made.itemsize <= end


def test_a_copy_is_row_by_row_and_its_own() -> None:
    values = np.arange(12.0).reshape(3, 4).T
    made = aligned.copy(values, np.float32)
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, values)
    made[0, 0] = -1
    assert values[0, 0] == 0
