"""Operations of LLVM that compiled loops call: vectors as values, which Numba has none of."""

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


def primitive(signature: str) -> Callable[[Emit], Primitive]:
    """Make a primitive of a plain function of LLVM values, called as it is."""
    return lambda emit: Primitive(emit.__name__, signature, emit)


def llvm() -> Any:
    """Return llvmlite's module `ir`."""
    from llvmlite import ir

    return ir


def floats() -> Any:
    """Return LLVM's type of a vector of floats."""
    return llvm().VectorType(llvm().FloatType(), LANES)


def ints() -> Any:
    """Return LLVM's type of a vector of 32-bit integers."""
    return llvm().VectorType(llvm().IntType(32), LANES)


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

    model(Vector, floats())
    model(Bits, ints())
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
        return cgutils.get_null_value(llvm().LiteralStructType([])) if made is None else made

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


def place(builder: Any, array: Any, at: Any, of: Any) -> Any:
    """Return a pointer to element `at`, as one to `of`."""
    return builder.bitcast(builder.gep(array, [at]), of.as_pointer())


def call(builder: Any, name: str, result: Any, args: list[Any]) -> Any:
    """Call one of LLVM's intrinsic functions."""
    function_type = llvm().FunctionType(result, [a.type for a in args])
    module = builder.module
    found = module.globals.get(name) or llvm().Function(module, function_type, name)
    return builder.call(found, args)
