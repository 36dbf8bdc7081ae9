"""Compiles plain functions together with the plain functions that they call.

Numba compiles functions that name compiled functions. `bind` therefore copies a plain function
with every plain function among its globals replaced by its compiled copy, so that hot loops are
ordinary Python in ordinary files, importing them does not import numba, and one loop can be
compiled for several sets of functions that it calls. A global may also be `Native`: an operation
that has no plain form.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from opcode import opmap
from types import CodeType, FunctionType
from typing import Any, Protocol

from tierlab.kernels.base.held import load, mark
from tierlab.kernels.base.jit import numba

Compiled = Callable[..., Any]
FEW = 64
"""Rows for which importing numba takes longer than a plain form of the work."""


def plain(rows: int) -> bool:
    """Say whether to do so few rows without compiling: never once numba is there."""
    return rows <= FEW and "numba" not in sys.modules


class Native(Protocol):
    """What stands for something that only compiled functions can do."""

    emit: Callable[..., Any]
    """A plain function whose code tells whether machine code made before is still right."""

    def native(self) -> Any:
        """Return what a compiled function calls."""


_OPTIONS = {"_nrt": False}
"""Nothing here makes arrays, so numba need not count references to them: without this every call
counts those of all arrays that are passed on, which takes five times as long as LRU."""


_INNER = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Python never calls these: what would let it takes a third of the time to compile."""


class Binder:
    """Compiles functions, some of whose globals are replaced.

    Parameters
    ----------
    home, swaps
        In functions of the module `home`, these globals are replaced by these plain functions.
    inline
        Put callees into their callers: worth its time to compile for a few short loops.
    options
        Further options of `numba.njit`.
    """

    def __init__(
        self,
        home: str = "",
        swaps: Mapping[str, Compiled] | None = None,
        inline: bool = True,
        **options: Any,
    ) -> None:
        self._home, self._swaps = home, dict(swaps or {})
        self._options = {**_OPTIONS, **options}
        self._inner_options = {**_INNER, **options, **({"forceinline": True} if inline else {})}
        self._made: dict[CodeType, Compiled] = {}

    def entry(self, function: Compiled, held: Sequence[Any] = ()) -> Compiled:
        """Compile a function that Python calls, and keep the machine code between runs.

        Numba's cache looks only at this function's own file, so the code of everything that it
        calls is part of its name.

        Parameters
        ----------
        held
            `Held.type` of leading arguments: Python passes `Held.at` in their place.
        """
        digest = hashlib.sha256(repr((self._inner_options, *map(mark, held))).encode())
        for text in sorted(_plain(reached) for reached in self._reached(function)):
            digest.update(text.encode())
        name = f"{function.__name__}_{digest.hexdigest()[:16]}"
        made = self._opened(function, name, held) if held else self._copy(function, name)
        return compiled(made, **self._options)

    def _opened(self, function: Any, name: str, held: Sequence[Any]) -> FunctionType:
        """Return a function that takes addresses and calls this one with what is there."""
        scope = {f"_load{i}": load(kind) for i, kind in enumerate(held)}
        template: Any = (_with_one, _with_two, _with_three)[len(held) - 1]
        made = FunctionType(template.__code__, scope | {"_call": self._inner(function)}, name)
        made.__qualname__, made.__module__ = name, __name__
        return made

    def _inner(self, function: FunctionType) -> Compiled:
        code = function.__code__
        if code not in self._made:
            copied = self._copy(function, function.__name__)
            self._made[code] = _njit(copied, **self._inner_options)
        return self._made[code]

    def _copy(self, function: Any, name: str) -> FunctionType:
        scope = dict(function.__globals__)
        for key in _names(function):
            value = self._value(function, key)
            if isinstance(value, FunctionType):
                scope[key] = self._inner(value)
            elif hasattr(value, "native"):
                scope[key] = value.native()
        made = FunctionType(function.__code__, scope, name)
        made.__qualname__ = name
        made.__module__ = function.__module__
        return made

    def _value(self, function: Any, key: str) -> Any:
        own = function.__globals__.get(key)
        return self._swaps.get(key, own) if function.__module__ == self._home else own

    def _reached(self, function: Any) -> list[Any]:
        """Return a function and all plain functions that it reaches."""
        found: dict[CodeType, Any] = {}
        todo = [function]
        while todo:
            current = todo.pop()
            if current.__code__ in found:
                continue
            found[current.__code__] = current
            values = (self._value(current, key) for key in _names(current))
            plain = (getattr(value, "emit", value) for value in values)
            todo += [value for value in plain if isinstance(value, FunctionType)]
        return list(found.values())


@cache
def entered(function: Compiled, **options: Any) -> Compiled:
    """Return a function that stands by itself, compiled once a process: `Binder.entry`."""
    return Binder(**options).entry(function)


def compiled(function: FunctionType, **options: Any) -> Compiled:
    """Compile a function that Python calls; keep the machine code where a folder allows it."""
    chosen = {**_OPTIONS, **options}
    try:
        return _njit(function, cache=True, **chosen)
    except RuntimeError:  # no folder to keep it in
        return _njit(function, **chosen)


def _call(*arguments: Any) -> Any:
    """Stand for what the entries below call, and for what loads a tuple from its address."""


_load0 = _load1 = _load2 = _call


def _with_one(a: int, *rest: Any) -> Any:
    return _call(_load0(a), *rest)


def _with_two(a: int, b: int, *rest: Any) -> Any:
    return _call(_load0(a), _load1(b), *rest)


def _with_three(a: int, b: int, c: int, *rest: Any) -> Any:
    return _call(_load0(a), _load1(b), _load2(c), *rest)


def _njit(function: FunctionType, **options: Any) -> Compiled:
    made: Compiled = numba().njit(**options)(function)
    return made


def _names(function: Any) -> tuple[str, ...]:
    """Return the globals that a function reads."""
    return _loaded(function.__code__)


_LOAD, _EXTEND = opmap["LOAD_GLOBAL"], opmap["EXTENDED_ARG"]


@cache
def _loaded(code: CodeType) -> tuple[str, ...]:
    """Return the names in order; `dis` finds the same in ten times the time.

    A byte of operation and a byte of argument; the argument's lowest bit is no part of the place.
    """
    names, argument, pairs = [], 0, iter(code.co_code)
    for operation, byte in zip(pairs, pairs, strict=True):
        argument = argument << 8 | byte
        if operation == _LOAD:
            names.append(code.co_names[argument >> 1])
        if operation != _EXTEND:
            argument = 0
    return tuple(names)


def _plain(function: Any) -> str:
    """Return all of a function that machine code depends on, its global constants included."""
    code = function.__code__
    values = [(key, function.__globals__.get(key)) for key in _names(function)]
    constants = [pair for pair in values if isinstance(pair[1], int | float)]
    fixed = [c.co_code if isinstance(c, CodeType) else c for c in code.co_consts]
    return repr((code.co_name, code.co_code, fixed, code.co_varnames, constants))
