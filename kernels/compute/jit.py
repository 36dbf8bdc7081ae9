"""Compiles loops for this processor when they are first called.

A loop is a plain function whose globals may be plain functions, vector primitives
(`tierlab.kernels.compute.simd`) and `prange`. `compiled` copies it with these replaced by their
compiled forms, so that importing an operation does not import numba. Callees are put into their
callers: a tile that lives in registers must not cross a call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dis import get_instructions
from types import CodeType, FunctionType
from typing import Any

from tierlab.kernels.compute.simd import Primitive

prange = range
"""In a compiled loop, a `range` whose turns run on all threads."""

_INNER: dict[str, Any] = {
    "_nrt": False,
    "nogil": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "forceinline": True,
    "error_model": "numpy",
}
_OUTER: dict[str, Any] = {"parallel": True, "nogil": True, "error_model": "numpy"}


class Loop:
    """A function that is compiled on its first call.

    Parameters
    ----------
    function
        A plain function of arrays and numbers that returns nothing, or a number.
    constants
        Globals of `function` and of what it calls to replace by numbers, known when it is compiled.
    parallel
        It has a `prange`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        constants: dict[str, int] | None = None,
        parallel: bool = True,
    ) -> None:
        self._function: Any = function
        self._constants = constants or {}
        self._options = _OUTER | {"parallel": parallel}
        self._made: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Run the compiled loop."""
        if self._made is None:
            self._made = self._compile()
        return self._made(*args)

    def with_constants(self, **constants: int) -> Loop:
        """Return the same loop for other values of its global constants."""
        return Loop(self._function, self._constants | constants, bool(self._options["parallel"]))

    def _compile(self) -> Callable[..., Any]:
        import numba

        inner: dict[CodeType, Any] = {}
        name = f"{self._function.__name__}_{self._digest()}"
        copy = self._copy(self._function, name, inner)
        try:
            made = numba.njit(cache=True, **self._options)(copy)
        except RuntimeError:  # no folder to keep it in
            made = numba.njit(**self._options)(copy)
        return made  # type: ignore[no-any-return]

    def _copy(self, function: Any, name: str, inner: dict[CodeType, Any]) -> FunctionType:
        scope = dict(function.__globals__)
        for key in scope.keys() & set(_names(function)):
            scope[key] = self._compiled(key, scope[key], inner)
        made = FunctionType(function.__code__, scope, name, function.__defaults__)
        made.__qualname__, made.__module__ = name, function.__module__
        return made

    def _compiled(self, key: str, value: Any, inner: dict[CodeType, Any]) -> Any:
        import numba

        if key in self._constants:
            return self._constants[key]
        if value is prange and key == "prange":
            return numba.prange
        if isinstance(value, Primitive):
            return value.intrinsic()
        if not isinstance(value, FunctionType):
            return value
        code = value.__code__
        if code not in inner:
            inner[code] = numba.njit(**_INNER)(self._copy(value, value.__name__, inner))
        return inner[code]

    def _digest(self) -> str:
        """Name the machine code after all Python code it is made from, callees included."""
        digest = hashlib.sha256(
            repr((_INNER, self._options, sorted(self._constants.items()))).encode()
        )
        done: set[CodeType] = set()
        todo: list[Any] = [self._function]
        while todo:
            function = todo.pop()
            if isinstance(function, Primitive):
                function = function.emit
            code = getattr(function, "__code__", None)
            if code is None or code in done:
                continue
            done.add(code)
            digest.update(_plain(function).encode())
            todo += [function.__globals__.get(key) for key in _names(function)]
        return digest.hexdigest()[:16]


def compiled(function: Callable[..., Any]) -> Loop:
    """Make a loop of a plain function."""
    return Loop(function)


def single(function: Callable[..., Any]) -> Loop:
    """Make a loop of a plain function that has no `prange`."""
    return Loop(function, parallel=False)


def _names(function: Any) -> list[str]:
    return [i.argval for i in get_instructions(function) if i.opname == "LOAD_GLOBAL"]


def _plain(function: Any) -> str:
    code = function.__code__
    values = [(key, function.__globals__.get(key)) for key in _names(function)]
    constants = [pair for pair in values if isinstance(pair[1], int | float | str)]
    return repr((code.co_name, code.co_code, _consts(code), code.co_varnames, constants))


def _consts(code: CodeType) -> list[Any]:
    """Return a code's constants; code inside code by its bytes, since its repr holds an address."""
    return [c.co_code if isinstance(c, CodeType) else c for c in code.co_consts]
