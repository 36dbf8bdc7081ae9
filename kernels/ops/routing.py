"""How tokens choose experts, as a number.

0: even, tokens go to experts in turn, as the balanced rows of public tables do. 1: uniform, every
token draws its experts independently, all alike likely, which is what load balancing trains a
router for. Over 1: the exponent of a power law (`dealing`).
"""

from __future__ import annotations

EVEN, UNIFORM = 0.0, 1.0
MOST = 3.0
"""The largest exponent: with more, nearly all weights are the least that there is."""
_NAMES = {"even": EVEN, "uniform": UNIFORM}


def routing_of(spelled: str | float) -> float:
    """Return the number of ``even``, ``uniform`` or an exponent.

    Raises
    ------
    ValueError
        It is none of these.
    """
    value = _NAMES.get(spelled) if isinstance(spelled, str) else float(spelled)
    if value is None or (value not in (EVEN, UNIFORM) and not UNIFORM < value <= MOST):
        raise ValueError(spelled)
    return value
