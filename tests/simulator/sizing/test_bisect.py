import math

import pytest

from tierlab.simulator.sizing.bisect import smallest


@pytest.mark.parametrize("turn", [1.0, 3.7, 50.0, 511.0, 1000.0])
@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
def test_the_bracket_holds_the_turn_and_is_as_narrow_as_asked(turn, tolerance):
    found = smallest(lambda size: size >= turn, 1.0, 1000.0, tolerance)
    assert found.fails < turn <= found.meets
    assert found.monotone
    if turn > 1.0:
        assert found.meets <= found.fails * (1 + tolerance)
        halvings = math.log(math.log(1000) / math.log(1 + tolerance), 2)
        assert len(found.tried) <= math.ceil(halvings) + 1


def test_the_least_size_is_enough():
    found = smallest(lambda size: True, 2.0, 100.0, 0.1)
    assert (found.fails, found.meets, found.tried) == (0.0, 2.0, ((2.0, True),))


def test_a_condition_that_turns_back_is_told():
    verdicts = iter([False, True, False, True])
    found = smallest(lambda size: next(verdicts), 1.0, 16.0, 1.0)
    assert found.monotone
    low = smallest(lambda size: size > 90 or 5 < size < 20, 1.0, 100.0, 0.1)
    assert low.fails < low.meets
    assert dict(low.tried)[low.fails] is False


def test_what_was_tried_out_of_order_is_not_monotone():
    from tierlab.simulator.sizing.bisect import Bracket

    assert not Bracket(8.0, 16.0, ((4.0, True), (8.0, False), (16.0, True))).monotone
    assert Bracket(4.0, 8.0, ((8.0, True), (4.0, False), (16.0, True))).monotone
