"""Single-precision matrix products inside kernels: scipy's BLAS, called by address.

SciPy publishes BLAS to C-level callers as capsules (`scipy.linalg.cython_blas`). The address is
passed to kernels as an integer argument, so they stay cacheable on disk, take any leading
dimension (tiles of a grid are slices of one matrix) and allocate nothing.

BLAS runs on one thread: the runtime splits work itself, in pieces that do not depend on the
number of threads, so that results are the same bits for any number of them.
"""

from __future__ import annotations

from functools import cache

import numba as nb
from llvmlite import ir
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from rpucc.runtime.kernels.jit import inlined

_INT = ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()
FEW_ROWS = 4
_NO, _YES = nb.int8(ord("N")), nb.int8(ord("T"))  # BLAS's letters for "transpose this operand?"


@cache
def blas_routines() -> tuple[int, int]:
    """The addresses of sgemm and sgemv, for kernels; limits SciPy's BLAS to one thread.

    NumPy's wheels bring a BLAS of their own, which keeps its threads.
    """
    import scipy.linalg.cython_blas  # noqa: F401 (loads the library that is limited below)
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    of_scipy = [library for library in libraries if "scipy" in str(library.filepath)]
    for library in of_scipy or libraries:  # a system-wide BLAS serves both
        library.set_num_threads(1)
    module = "scipy.linalg.cython_blas"
    return (
        int(get_cython_function_address(module, "sgemm")),
        int(get_cython_function_address(module, "sgemv")),
    )


def _by_reference(builder, value):
    """Fortran takes every argument by reference: put a value on the stack."""
    return builder.bitcast(cgutils.alloca_once_value(builder, value), _POINTER)


def _call(builder, address, arguments):
    """Call the routine at `address`: ints, floats and letters by reference, data by address.

    arguments: (value, kind) with kind "i" integer, "d" data address, "v" any other value.
    """
    made = []
    for value, kind in arguments:
        if kind == "d":
            made.append(builder.inttoptr(value, _POINTER))
        else:
            narrow = builder.trunc(value, _INT) if kind == "i" else value
            made.append(_by_reference(builder, narrow))
    function_type = ir.FunctionType(ir.VoidType(), [_POINTER] * len(made))
    builder.call(builder.inttoptr(address, function_type.as_pointer()), made)


@intrinsic
def _call_sgemm(
    typing_context, address, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc
):
    """Call Fortran sgemm at `address`; a, b, c are data addresses, trans_* the letters' codes."""
    i64, i8, f32 = nb.int64, nb.int8, nb.float32
    signature = nb.void(i64, i8, i8, i64, i64, i64, f32, i64, i64, i64, i64, f32, i64, i64)

    def code(context, builder, signature, args):
        _call(builder, args[0], zip(args[1:], "vviiivdidivdi", strict=True))
        return context.get_dummy_value()

    return signature, code


@intrinsic
def _call_sgemv(typing_context, address, trans, m, n, alpha, a, lda, x, incx, beta, y, incy):
    """Call Fortran sgemv at `address`; a, x, y are data addresses, trans the letter's code."""
    i64, i8, f32 = nb.int64, nb.int8, nb.float32
    signature = nb.void(i64, i8, i64, i64, f32, i64, i64, i64, i64, f32, i64, i64)

    def code(context, builder, signature, args):
        _call(builder, args[0], zip(args[1:], "viivdidivdi", strict=True))
        return context.get_dummy_value()

    return signature, code


@inlined
def gemm(blas, out, ld_out, x, ld_x, w, ld_w, M, K, O, transpose, alpha, beta):  # noqa: E741
    """out[M, O] = alpha * x[M, K] @ op(w) + beta * out, on addresses of row-major float32 data.

    transpose=False: op(w) = wᵀ with w [O, K] (the forward read); True: op(w) = w with w [K, O].
    Row-major operands are column-major transposes, so BLAS computes outᵀ = op(w)ᵀ xᵀ. Few rows
    go one by one: sgemm would first copy w, which costs more than reading it FEW_ROWS times.
    """
    flag = _NO if transpose else _YES
    if M <= FEW_ROWS:
        rows, columns = (O, K) if transpose else (K, O)
        for i in range(M):
            _call_sgemv(
                blas[1], flag, rows, columns, alpha, w, ld_w, x + i * 4 * ld_x, 1, beta,
                out + i * 4 * ld_out, 1,
            )  # fmt: skip
        return
    _call_sgemm(blas[0], flag, _NO, O, M, K, alpha, w, ld_w, x, ld_x, beta, out, ld_out)


@inlined
def gemm_outer(blas, w, ld_w, d, ld_d, x, ld_x, M, R, C, alpha):
    """w[R, C] += alpha * d[M, R]ᵀ x[M, C], on addresses of row-major float32 data."""
    _call_sgemm(blas[0], _NO, _YES, C, R, M, alpha, x, ld_x, d, ld_d, nb.float32(1), w, ld_w)


@inlined
def address(array, offset):
    """The address of element `offset` of a contiguous float32 array."""
    return nb.int64(array.ctypes.data) + nb.int64(4) * nb.int64(offset)
