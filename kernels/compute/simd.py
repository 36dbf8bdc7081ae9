"""Vectors of 16 floats as values that compiled loops keep in registers.

Numba vectorises simple loops, but it spills tiles of many accumulators. These primitives are
portable LLVM vector operations: one AVX-512 register, two of AVX2 or four of NEON. They stand for
nothing outside loops that `tierlab.kernels.compute.jit` compiles, and check no bounds.
"""

from __future__ import annotations

from typing import Any

from tierlab.kernels.compute.intrinsics import (
    LANES,
    call,
    floats,
    ints,
    llvm,
    place,
    primitive,
)


def _constant(value: float) -> Any:
    return llvm().Constant(floats(), [value] * LANES)


def _int_constant(value: int) -> Any:
    return llvm().Constant(ints(), [value] * LANES)


@primitive("array at -> vector")
def load(builder: Any, array: Any, at: Any) -> Any:
    """16 floats of a flat array, from element `at`."""
    return builder.load(place(builder, array, at, floats()), align=4)


@primitive("array at vector -> none")
def store(builder: Any, array: Any, at: Any, value: Any) -> None:
    """Write 16 floats to a flat array, from element `at`."""
    builder.store(value, place(builder, array, at, floats()), align=4)


@primitive("float -> vector")
def splat(builder: Any, value: Any) -> Any:
    """16 times one float."""
    return _spread(builder, value, floats())


@primitive("array at -> vector")
def spread(builder: Any, array: Any, at: Any) -> Any:
    """16 times element `at` of a flat array."""
    return _spread(builder, builder.load(builder.gep(array, [at])), floats())


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    ir = llvm()
    undefined = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ints(), [0] * LANES))


@primitive("vector vector vector -> vector")
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, rounded once."""
    return call(builder, f"llvm.fma.v{LANES}f32", floats(), [a, b, c])


@primitive("vector vector -> vector")
def add(builder: Any, a: Any, b: Any) -> Any:
    """Return a + b."""
    return builder.fadd(a, b)


@primitive("vector vector -> vector")
def mul(builder: Any, a: Any, b: Any) -> Any:
    """Return a b."""
    return builder.fmul(a, b)


@primitive("vector vector -> vector")
def divide(builder: Any, a: Any, b: Any) -> Any:
    """Return a / b."""
    return builder.fdiv(a, b)


@primitive("vector vector -> vector")
def larger(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of each pair, and `b` where one is no number."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@primitive("vector vector -> at")
def exceeds(builder: Any, a: Any, b: Any) -> Any:
    """Return how many of 16 are larger in `a`, as bits: 0 where none is."""
    ir = llvm()
    lanes = builder.bitcast(builder.fcmp_ordered(">", a, b), ir.IntType(LANES))
    return builder.zext(lanes, ir.IntType(64))


@primitive("vector -> float")
def top(builder: Any, a: Any) -> Any:
    """Return the largest of 16."""
    return call(builder, f"llvm.vector.reduce.fmax.v{LANES}f32", llvm().FloatType(), [a])


@primitive("vector -> float")
def total(builder: Any, a: Any) -> Any:
    """Return the sum of 16, in halves: four additions deep."""
    ir = llvm()
    width = LANES
    while width > 1:
        width //= 2
        low = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width)))
        high = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width, 2 * width)))
        undefined = ir.Constant(a.type, ir.Undefined)
        parts = [builder.shuffle_vector(a, undefined, lanes) for lanes in (low, high)]
        a = builder.fadd(*parts)
    return builder.extract_element(a, ir.Constant(ir.IntType(32), 0))


@primitive("vector -> vector")
def exp(builder: Any, x: Any) -> Any:
    """Return e^x; 0 below -87, e^88 above 88, no number of none; relative error under 3e-7.

    2^n times a degree-6 minimax polynomial on [-ln2/2, ln2/2]; ln2 is subtracted in two parts
    (Cody and Waite, 1980). Coefficients are those of Cephes' expf. Adding 1.5 x 2^23 rounds to n
    and leaves it in the lowest bits, from where it is added to the exponent: no conversions.
    """
    ir = llvm()
    low, high, shift = _constant(-87.0), _constant(88.0), _constant(12582912.0)
    tiny = builder.fcmp_ordered("<", x, low)
    clamped = builder.select(builder.fcmp_ordered(">", low, x), low, x)
    clamped = builder.select(builder.fcmp_ordered("<", high, clamped), high, clamped)

    def fused(a: Any, b: Any, c: Any) -> Any:
        return call(builder, f"llvm.fma.v{LANES}f32", floats(), [a, b, c])

    shifted = fused(clamped, _constant(1.44269504088896341), shift)
    n = builder.fsub(shifted, shift)
    r = fused(n, _constant(-0.693359375), clamped)
    r = fused(n, _constant(2.12194440e-4), r)
    p = _constant(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = fused(p, r, _constant(c))
    value = builder.fadd(fused(p, builder.fmul(r, r), r), _constant(1.0))
    power = builder.shl(builder.bitcast(shifted, ints()), _int_constant(23))
    whole = builder.bitcast(builder.add(builder.bitcast(value, ints()), power), floats())
    return builder.select(tiny, ir.Constant(floats(), [0.0] * LANES), whole)


@primitive("array at -> bits")
def load_bytes(builder: Any, array: Any, at: Any) -> Any:
    """16 bytes of a flat array, each in a 32-bit lane."""
    ir = llvm()
    small = ir.VectorType(ir.IntType(8), LANES)
    return builder.zext(builder.load(place(builder, array, at, small), align=1), ints())


@primitive("bits at at -> vector")
def fraction(builder: Any, lanes: Any, left: Any, bits: Any) -> Any:
    """Return 1 + code / 2^bits, the code standing `left` bits below the float's exponent.

    Shifting a code to the top of the fraction and setting the exponent costs two operations;
    converting an integer costs more.
    """
    ir = llvm()
    shift = builder.trunc(left, ir.IntType(32))
    count = builder.trunc(bits, ir.IntType(32))
    ones = builder.lshr(ir.Constant(ir.IntType(32), 0x7FFFFF), count)
    mask = builder.sub(ir.Constant(ir.IntType(32), 0x7FFFFF), ones)
    code = builder.and_(
        builder.shl(lanes, _spread(builder, shift, ints())), _spread(builder, mask, ints())
    )
    return builder.bitcast(builder.or_(code, _int_constant(0x3F800000)), floats())


@primitive("array at -> none")
def prefetch(builder: Any, array: Any, at: Any) -> None:
    """Ask for the cache line of element `at`."""
    _ask(builder, array, at, 3)


@primitive("array at -> none")
def prefetch_second(builder: Any, array: Any, at: Any) -> None:
    """Ask for the cache line of element `at`, no nearer than the second cache."""
    _ask(builder, array, at, 2)


def _ask(builder: Any, array: Any, at: Any, near: int) -> None:
    ir = llvm()
    byte = ir.IntType(8).as_pointer()
    flags = [ir.Constant(ir.IntType(32), v) for v in (0, near, 1)]  # to read, how near, data
    line = builder.bitcast(builder.gep(array, [at]), byte)
    call(builder, "llvm.prefetch.p0", ir.VoidType(), [line, *flags])


@primitive("array at -> at")
def claim(builder: Any, array: Any, at: Any) -> Any:
    """Add 1 to an int64 that threads share; return what it was: each number once over all.

    What a thread wrote before is seen by those that claim later numbers.
    """
    one = llvm().Constant(llvm().IntType(64), 1)
    return builder.atomic_rmw("add", builder.gep(array, [at]), one, "acq_rel")
