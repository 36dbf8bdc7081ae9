"""What compiled functions call is found in their byte code."""

from dis import get_instructions
from types import FunctionType

import pytest

from tierlab.kernels.base import binding
from tierlab.simulator.serving.engine import loop, opclock, schedule


@pytest.mark.parametrize("module", [loop, opclock, schedule, binding], ids=lambda m: m.__name__)
def test_names_are_those_that_dis_finds(module):
    functions = [f for f in vars(module).values() if isinstance(f, FunctionType)]
    assert len(functions) > 3
    for function in functions:
        code = function.__code__
        found = [i.argval for i in get_instructions(code) if i.opname == "LOAD_GLOBAL"]
        assert list(binding._loaded(code)) == found


def test_places_past_the_first_byte():
    """Arguments of more than a byte come in several operations."""
    body = "\n".join(f"    n{i} = v{i}.v{i + 1}" for i in range(300))
    scope = {}
    exec(f"def wide():\n{body}", scope)
    assert binding._loaded(scope["wide"].__code__) == tuple(f"v{i}" for i in range(300))
