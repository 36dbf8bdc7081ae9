"""Trees by range of time: each range is its own, and neighbours meet."""

import numpy as np

from tierlab.hwmodels.time.constants import STRATA_S
from tierlab.hwmodels.time.silicon.boost import Boosting
from tierlab.hwmodels.time.silicon.bytime import FEWEST, grow_by_time

FEW = Boosting(trees=80, rate=0.3)


def shapes(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    seconds = 10.0 ** rng.uniform(-5.5, -3.0, n)
    return {"a": rng.random(n), "b": rng.random(n), "seconds": np.log2(seconds)}, seconds


def own_rule(at: dict[str, np.ndarray], seconds: np.ndarray) -> np.ndarray:
    """Opposite effects of one feature on either side of 20 us, none over 100 us."""
    side = np.where(seconds <= STRATA_S[0], 0.2, -0.2) * (seconds <= STRATA_S[1])
    return side * (at["a"] > 0.5)


def test_each_range_learns_its_own_rule():
    at, seconds = shapes(6000, 1)
    trees = grow_by_time(at, own_rule(at, seconds), seconds, FEW)
    assert trees.cuts_s == STRATA_S
    new, times = shapes(3000, 2)
    far = np.abs(np.log(times[:, None] / STRATA_S)).min(axis=1) > 0.5
    error = np.abs(trees(new, times) - own_rule(new, times))
    assert np.quantile(error[far], 0.95) < 0.02


def test_few_rows_share_a_forest():
    at, seconds = shapes(FEWEST, 3)
    assert grow_by_time(at, at["a"], seconds, FEW).cuts_s == ()
    at, seconds = shapes(4 * FEWEST, 4)
    seconds = np.minimum(seconds, 90e-6)
    trees = grow_by_time(at, at["a"], seconds, FEW)
    assert trees.cuts_s == STRATA_S[:1]
    assert len(trees.forests) == 2


def test_rows_are_answered_in_their_order_however_they_are_asked():
    at, seconds = shapes(2000, 5)
    trees = grow_by_time(at, own_rule(at, seconds), seconds, FEW)
    whole = trees(at, seconds)
    single = [trees({k: v[i : i + 1] for k, v in at.items()}, seconds[i : i + 1]) for i in range(9)]
    np.testing.assert_array_equal(whole[:9], np.concatenate(single))
    assert len(trees({k: v[:0] for k, v in at.items()}, seconds[:0])) == 0
