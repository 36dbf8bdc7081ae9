"""Vectors of 16 floats as values that compiled loops keep in registers.

Numba vectorises simple loops, but it spills tiles of many accumulators. These primitives are
portable LLVM vector operations: one AVX-512 register, two of AVX2 or four of NEON. They stand for
nothing outside loops that `tierlab.kernels.compute.jit` compiles, and check no bounds.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

LANES = 16
"""Floats in a vector."""

Emit = Callable[..., Any]


class Primitive:
    """One vector operation.

    Parameters
    ----------
    name, signature
        ``"array at -> vector"``: kinds of its operands and of its result, of `_types`.
    emit
        (LLVM builder, operands as LLVM values) -> LLVM value.
    """

    def __init__(self, name: str, signature: str, emit: Emit) -> None:
        self.name, self.emit = name, emit
        operands, self._result = signature.split(" -> ")
        self._operands = operands.split()
        self._made: Any = None

    def __call__(self, *operands: Any) -> Any:
        """Refuse to run outside a compiled loop."""
        raise TypeError(f"{self.name} runs in compiled loops only")

    def native(self) -> Any:
        """Return the operation for numba."""
        if self._made is None:
            self._made = _intrinsic(self.name, self._operands, self._result, self.emit)
        return self._made


def _primitive(signature: str) -> Callable[[Emit], Primitive]:
    return lambda emit: Primitive(emit.__name__, signature, emit)


def _ir() -> Any:
    from llvmlite import ir

    return ir


def _floats() -> Any:
    return _ir().VectorType(_ir().FloatType(), LANES)


def _ints() -> Any:
    return _ir().VectorType(_ir().IntType(32), LANES)


@lru_cache(maxsize=1)
def _types() -> dict[str, Any]:
    """Return numba's type of each kind, and tell numba how vectors are represented."""
    from numba import types
    from numba.extending import models, register_model

    class Vector(types.Type):
        def __init__(self, kind: str) -> None:
            super().__init__(name=f"{kind}x{LANES}")

    class Bits(Vector):
        pass

    def model(kind: Any, representation: Any) -> None:
        class Model(models.PrimitiveModel):
            def __init__(self, manager: Any, of: Any) -> None:
                super().__init__(manager, of, representation)

        register_model(kind)(Model)

    model(Vector, _floats())
    model(Bits, _ints())
    return {
        "vector": Vector("float32"),
        "bits": Bits("int32"),
        "float": types.float32,
        "at": types.int64,
        "none": types.void,
    }


def _intrinsic(name: str, operands: list[str], result: str, emit: Emit) -> Any:
    from numba.core import cgutils
    from numba.extending import intrinsic

    kinds = _types()

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = []
        for kind, of, value in zip(operands, signature.args, args, strict=True):
            array = kind == "array"
            values.append(context.make_array(of)(context, builder, value).data if array else value)
        made = emit(builder, *values)
        return cgutils.get_null_value(_ir().LiteralStructType([])) if made is None else made

    def typing(*given: Any) -> Any:
        own = [g if k == "array" else kinds[k] for k, g in zip(operands, given, strict=True)]
        return kinds[result](*own), generate if result != "none" else _void(generate)

    return intrinsic(_of_arity(typing, len(operands), name))


def _void(generate: Any) -> Any:
    def run(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        generate(context, builder, signature, args)
        return context.get_dummy_value()

    return run


def _of_arity(typing: Callable[..., Any], count: int, name: str) -> Any:
    """Return `typing` with the fixed operands that numba wants to see."""
    made: Any = {
        1: lambda typingctx, a: typing(a),
        2: lambda typingctx, a, b: typing(a, b),
        3: lambda typingctx, a, b, c: typing(a, b, c),
    }[count]
    made.__name__ = name
    return made


def _at(builder: Any, array: Any, at: Any, of: Any) -> Any:
    return builder.bitcast(builder.gep(array, [at]), of.as_pointer())


def _call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    function_type = _ir().FunctionType(result, [a.type for a in args])
    module = builder.module
    found = module.globals.get(name) or _ir().Function(module, function_type, name)
    return builder.call(found, args)


def _constant(value: float) -> Any:
    return _ir().Constant(_floats(), [value] * LANES)


def _int_constant(value: int) -> Any:
    return _ir().Constant(_ints(), [value] * LANES)


@_primitive("array at -> vector")
def load(builder: Any, array: Any, at: Any) -> Any:
    """16 floats of a flat array, from element `at`."""
    return builder.load(_at(builder, array, at, _floats()), align=4)


@_primitive("array at vector -> none")
def store(builder: Any, array: Any, at: Any, value: Any) -> None:
    """Write 16 floats to a flat array, from element `at`."""
    builder.store(value, _at(builder, array, at, _floats()), align=4)


@_primitive("float -> vector")
def splat(builder: Any, value: Any) -> Any:
    """16 times one float."""
    return _spread(builder, value, _floats())


@_primitive("array at -> vector")
def spread(builder: Any, array: Any, at: Any) -> Any:
    """16 times element `at` of a flat array."""
    return _spread(builder, builder.load(builder.gep(array, [at])), _floats())


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    ir = _ir()
    undefined = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(_ints(), [0] * LANES))


@_primitive("vector vector vector -> vector")
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, rounded once."""
    return _call(builder, f"llvm.fma.v{LANES}f32", _floats(), [a, b, c])


@_primitive("vector vector -> vector")
def add(builder: Any, a: Any, b: Any) -> Any:
    """Return a + b."""
    return builder.fadd(a, b)


@_primitive("vector vector -> vector")
def mul(builder: Any, a: Any, b: Any) -> Any:
    """Return a b."""
    return builder.fmul(a, b)


@_primitive("vector vector -> vector")
def divide(builder: Any, a: Any, b: Any) -> Any:
    """Return a / b."""
    return builder.fdiv(a, b)


@_primitive("vector vector -> vector")
def larger(builder: Any, a: Any, b: Any) -> Any:
    """Return the larger of each pair."""
    return _call(builder, f"llvm.maxnum.v{LANES}f32", _floats(), [a, b])


@_primitive("vector -> float")
def top(builder: Any, a: Any) -> Any:
    """Return the largest of 16."""
    return _call(builder, f"llvm.vector.reduce.fmax.v{LANES}f32", _ir().FloatType(), [a])


@_primitive("vector -> float")
def total(builder: Any, a: Any) -> Any:
    """Return the sum of 16, in halves: four additions deep."""
    ir = _ir()
    width = LANES
    while width > 1:
        width //= 2
        low = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width)))
        high = ir.Constant(ir.VectorType(ir.IntType(32), width), list(range(width, 2 * width)))
        undefined = ir.Constant(a.type, ir.Undefined)
        parts = [builder.shuffle_vector(a, undefined, lanes) for lanes in (low, high)]
        a = builder.fadd(*parts)
    return builder.extract_element(a, ir.Constant(ir.IntType(32), 0))


@_primitive("vector -> vector")
def exp(builder: Any, x: Any) -> Any:
    """Return e^x; 0 below -87, e^88 above 88; relative error under 3e-7.

    2^n times a degree-6 minimax polynomial on [-ln2/2, ln2/2], n in the exponent's bits; ln2 is
    subtracted in two parts (Cody and Waite, 1980). Coefficients are those of Cephes' expf.
    """
    ir = _ir()
    low = _constant(-87.0)
    clamped = _call(builder, f"llvm.maxnum.v{LANES}f32", _floats(), [x, low])
    clamped = _call(builder, f"llvm.minnum.v{LANES}f32", _floats(), [clamped, _constant(88.0)])

    def fused(a: Any, b: Any, c: Any) -> Any:
        return _call(builder, f"llvm.fma.v{LANES}f32", _floats(), [a, b, c])

    scaled = builder.fmul(clamped, _constant(1.44269504088896341))
    n = _call(builder, f"llvm.rint.v{LANES}f32", _floats(), [scaled])
    r = fused(n, _constant(-0.693359375), clamped)
    r = fused(n, _constant(2.12194440e-4), r)
    p = _constant(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = fused(p, r, _constant(c))
    value = builder.fadd(fused(p, builder.fmul(r, r), r), _constant(1.0))
    whole = builder.fptosi(n, _ints())
    power = builder.shl(builder.add(whole, _int_constant(127)), _int_constant(23))
    result = builder.fmul(value, builder.bitcast(power, _floats()))
    tiny = builder.fcmp_ordered("<", x, low)
    return builder.select(tiny, ir.Constant(_floats(), [0.0] * LANES), result)


@_primitive("array at -> bits")
def load_bytes(builder: Any, array: Any, at: Any) -> Any:
    """16 bytes of a flat array, each in a 32-bit lane."""
    ir = _ir()
    small = ir.VectorType(ir.IntType(8), LANES)
    return builder.zext(builder.load(_at(builder, array, at, small), align=1), _ints())


@_primitive("bits at at -> vector")
def fraction(builder: Any, lanes: Any, left: Any, bits: Any) -> Any:
    """Return 1 + code / 2^bits, the code standing `left` bits below the float's exponent.

    Shifting a code to the top of the fraction and setting the exponent costs two operations;
    converting an integer costs more.
    """
    ir = _ir()
    shift = builder.trunc(left, ir.IntType(32))
    count = builder.trunc(bits, ir.IntType(32))
    ones = builder.lshr(ir.Constant(ir.IntType(32), 0x7FFFFF), count)
    mask = builder.sub(ir.Constant(ir.IntType(32), 0x7FFFFF), ones)
    code = builder.and_(
        builder.shl(lanes, _spread(builder, shift, _ints())), _spread(builder, mask, _ints())
    )
    return builder.bitcast(builder.or_(code, _int_constant(0x3F800000)), _floats())


@_primitive("array at -> none")
def prefetch(builder: Any, array: Any, at: Any) -> None:
    """Ask for the cache line of element `at`."""
    ir = _ir()
    byte = ir.IntType(8).as_pointer()
    flags = [ir.Constant(ir.IntType(32), v) for v in (0, 3, 1)]  # to read, keep near, data
    place = builder.bitcast(builder.gep(array, [at]), byte)
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), [place, *flags])
