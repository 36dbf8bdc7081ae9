"""How tokens choose experts, as a number.

0: even, tokens go to experts in turn, as the balanced rows of public tables do. 1: uniform, every
token draws its experts independently, all alike likely, which is what load balancing trains a
router for. Over 1: the exponent of a power law as public tables deal it (`dealing`); 1.01 and 1.2
were measured. A larger one need not be less even: from about 1.5 on, most weights are the least.
"""

from __future__ import annotations

EVEN, UNIFORM = 0.0, 1.0
MOST = 3.0
"""The largest exponent: with more, nearly all weights are the least that there is."""
ACCEPTED = f"even (0), uniform (1), or a power law's exponent over 1 and up to {MOST:g}"
_NAMES = {"even": EVEN, "uniform": UNIFORM}


def routing_of(spelled: str | float) -> float:
    """Return the number of ``even``, ``uniform`` or an exponent.

    Raises
    ------
    ValueError
        It is none of these.
    """
    value = _NAMES.get(spelled) if isinstance(spelled, str) else float(spelled)
    if value is None or isinstance(spelled, bool) or not is_routing(value):
        raise ValueError(spelled)
    return value


def is_routing(value: float) -> bool:
    """Say whether a number is a routing."""
    return value == EVEN or UNIFORM <= value <= MOST


def named(routing: float) -> str:
    """Return a routing as a person reads it."""
    names = {number: name for name, number in _NAMES.items()}
    return names.get(routing) or f"power law {routing:g}"
