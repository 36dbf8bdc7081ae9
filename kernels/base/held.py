"""Tuples of arrays laid down once for compiled code, which then takes their address.

Numba takes a tuple apart array by array at every call, 0.1 us each: for the seventy arrays of a
replica that is longer than most calls last. A `Held` does it once. The arrays may change in place;
a tuple of other arrays needs another `Held`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from tierlab.kernels.base.jit import numba


class Held:
    """A tuple of arrays, perhaps nested, where compiled code finds it; it keeps the arrays alive.

    Attributes
    ----------
    value
        The tuple.
    type
        Its numba type: what `Binder.entry` is told of.
    at
        Its address, what a compiled function takes in its place.
    """

    __slots__ = ("_room", "at", "type", "value")

    def __init__(self, value: Any) -> None:
        typeof: Any = numba().typeof
        from numba.core.registry import cpu_target

        self.value, self.type = value, typeof(value)
        context = cpu_target.target_context
        size = context.get_abi_sizeof(context.get_value_type(self.type))
        self._room = np.zeros(size // 8 + 1, np.int64)
        self.at = int(self._room.ctypes.data)
        _put(self.type)(self.at, value)


def mark(kind: Any) -> str:
    """Return what tells the numba type of a tuple from others, its module among it.

    Compiled functions bear it in their names. Numba keeps the types of all versions of a function
    in one file, and who reads that must be able to import them all.
    """
    return f"{kind.instance_class.__module__}.{kind}"


@cache
def _put(kind: Any) -> Any:
    """Return a compiled function that lays a tuple of a type down at an address."""
    from numba.core import types
    from numba.extending import intrinsic

    from tierlab.kernels.base.binding import compiled

    @intrinsic
    def store(context: Any, at: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            address, held = arguments
            _store(builder, builder.inttoptr(address, held.type.as_pointer()), held)
            return context.get_dummy_value()

        return types.void(at, value), generate

    name = f"put_{hashlib.sha256(mark(kind).encode()).hexdigest()[:16]}"
    made = FunctionType(_into.__code__, {"_at": store}, name)
    made.__qualname__, made.__module__ = name, __name__
    return compiled(made)


def _at(at: int, value: Any) -> None:
    """Stand for what stores a tuple at an address."""


def _into(at: int, value: Any) -> None:
    _at(at, value)


def load(type_: Any) -> Any:
    """Return what compiled code calls to get the tuple of a numba type at an address."""
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def get(context: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = context.get_value_type(type_)
            return _load(builder, builder.inttoptr(arguments[0], kind.as_pointer()))

        return type_(types.int64), generate

    return get


def _store(builder: Any, at: Any, value: Any) -> None:
    """Store each member by itself: LLVM is slow on large values as a whole."""
    if not hasattr(value.type, "elements"):
        builder.store(value, at)
        return
    for i in range(len(value.type.elements)):
        _store(builder, _member(builder, at, i), builder.extract_value(value, i))


def _load(builder: Any, at: Any) -> Any:
    """Load each member by itself; what the code does not use is never loaded."""
    from llvmlite import ir

    kind = at.type.pointee
    if not hasattr(kind, "elements"):
        return builder.load(at)
    value = ir.Constant(kind, ir.Undefined)
    for i in range(len(kind.elements)):
        value = builder.insert_value(value, _load(builder, _member(builder, at, i)), i)
    return value


def _member(builder: Any, at: Any, index: int) -> Any:
    from llvmlite import ir

    first, place = ir.IntType(32)(0), ir.IntType(32)(index)
    return builder.gep(at, [first, place], inbounds=True)
