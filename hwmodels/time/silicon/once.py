"""What several parts of a model ask of a table is worked out once.

A formula and the features that trees ask for both start from tiles, splits and traffic. Each
function remembers its last answer for a table, as long as the table lives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import is_
from typing import Concatenate, ParamSpec, TypeVar

from tierlab.kernels.ops.table import OpTable

P = ParamSpec("P")
T = TypeVar("T")


def once(function: Callable[Concatenate[OpTable, P], T]) -> Callable[Concatenate[OpTable, P], T]:
    """Make a function of a table answer again what it last said of it.

    The same is asked where the table and all other arguments are the same objects. Nobody may
    write into a table that was asked about, or into an answer.
    """

    @wraps(function)
    def asked(ops: OpTable, /, *given: P.args, **named: P.kwargs) -> T:
        asks = *given, *named.items()
        before, answer = ops.known.get(function, (None, None))
        if before is None or len(before) != len(asks) or not all(map(is_, before, asks)):
            answer = function(ops, *given, **named)
            ops.known[function] = asks, answer
        found: T = answer
        return found

    return asked
