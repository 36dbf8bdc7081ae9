"""Experts read and tiles filled, against tokens dealt out one by one."""

import numpy as np
import pytest

from tierlab.kernels.ops.dealing import dealt, drawn, experts_read, tiles_filled
from tierlab.kernels.ops.routing import EVEN, UNIFORM, named, routing_of

HEIGHTS = (8.0, 16.0, 64.0, 128.0)


def counted(tokens, experts, top_k, routing) -> list[float]:
    """Experts read, and tiles of `HEIGHTS`."""
    asked = [np.array([float(x)]) for x in (tokens, experts, top_k, routing)]
    tiles = [float(tiles_filled(*asked, np.array([h]))[0]) for h in HEIGHTS]
    return [float(experts_read(*asked)[0]), *tiles]


def of_rows(rows: np.ndarray) -> list[float]:
    """Means over draws of rows [draws, experts], in the order of `counted`."""
    tiles = [np.ceil(rows / h).sum(axis=1).mean() for h in HEIGHTS]
    return [np.count_nonzero(rows) / len(rows), *tiles]


def collected(tokens, experts, top_k, exponent, rng) -> np.ndarray:
    """The rows of each expert as the collector deals them, one at a time."""
    low, high = (1.0, 0.8 * tokens) if tokens * top_k > experts else (0.01, 2.0)
    a = 1.0 - exponent
    weights = ((high**a - low**a) * rng.random(experts) + low**a) ** (1.0 / a)
    rows = np.round(weights / weights.sum() * tokens * top_k).astype(int)
    over = int(np.maximum(rows - tokens, 0).sum())
    rows = np.minimum(rows, tokens)

    def one(step: int, allowed: np.ndarray) -> None:
        places = np.flatnonzero(allowed)
        pick = np.argmin if step > 0 else np.argmax
        rows[places[pick(rows[places])]] += step

    for _ in range(over):
        one(1, rows < tokens)
    while rows.sum() < tokens * top_k:
        one(1, rows < tokens)
    while rows.sum() > tokens * top_k:
        one(-1, rows > 0)
    return rows


@pytest.mark.parametrize(("experts", "top_k"), [(8, 2), (32, 4), (128, 8), (256, 8)])
@pytest.mark.parametrize(
    ("exponent", "between"), [(1.01, (100, 700)), (1.2, (100, 700)), (2.0, ())]
)
def test_power_laws_are_dealt_as_the_collector_deals_them(experts, top_k, exponent, between):
    """Beside numbers of tokens that are counted, some between, for the public exponents."""
    rng = np.random.default_rng(1)
    for tokens in (1, 4, 16, 40, 640, *between):
        each = [collected(tokens, experts, top_k, exponent, rng) for _ in range(150)]
        rows = np.array(each)
        single = [np.array(of_rows(r[None])) for r in rows]
        unsure = 4.5 * np.std(single, axis=0) / np.sqrt(len(rows))
        told = np.array(counted(tokens, experts, top_k, exponent))
        assert (np.abs(told - of_rows(rows)) <= unsure + 0.004 * told).all(), tokens


def test_rows_of_a_power_law_are_all_dealt_and_no_expert_gets_two_of_a_token():
    draws = drawn(16)
    for tokens in (1.0, 3.0, 9.0, 500.0):
        rows = dealt(draws, tokens, 4, 1.2)
        assert (rows.sum(axis=1) == 4 * tokens).all()
        assert (rows >= 0).all()
        assert (rows <= tokens).all()


@pytest.mark.parametrize(
    ("tokens", "experts", "top_k"),
    [(1, 8, 2), (5, 8, 2), (48, 8, 2), (320, 8, 2), (16, 128, 8), (200, 128, 8), (3000, 256, 8)],
)
def test_uniform_routing_is_binomial(tokens, experts, top_k):
    rows = np.arange(tokens + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((tokens - rows[:-1]) / (rows[:-1] + 1.0)))])
    p = top_k / experts
    chance = np.exp(logs + rows * np.log(p) + (tokens - rows) * np.log1p(-p))
    want = [experts * (chance @ (rows > 0))]
    want += [experts * (chance @ np.ceil(rows / h)) for h in HEIGHTS]
    assert counted(tokens, experts, top_k, UNIFORM) == pytest.approx(want, rel=2e-3)


def test_even_routing_fills_whole_tiles_of_every_expert():
    assert counted(16, 256, 8, EVEN) == [128.0, 128.0, 128.0, 128.0, 128.0]
    assert counted(1000, 10, 1, EVEN) == [10.0, 130.0, 70.0, 20.0, 10.0]


def test_all_experts_are_read_where_a_token_visits_all():
    for routing in (EVEN, UNIFORM, 1.2):
        assert counted(64, 6, 6, routing) == [6.0, 48.0, 24.0, 6.0, 6.0]


@pytest.mark.parametrize(("tokens", "experts", "top_k"), [(1, 16, 0.5), (4, 8, 0.1), (1, 1, 0.1)])
def test_less_than_half_a_row_is_read_as_by_uniform_routing(tokens, experts, top_k):
    """Of experts on other devices; none at all would make an infinite number of rows each."""
    assert counted(tokens, experts, top_k, 1.2) == pytest.approx([tokens * top_k] * 5)
    assert counted(tokens, experts, top_k, UNIFORM)[0] == pytest.approx(tokens * top_k, rel=0.2)


def test_rows_are_counted_apart():
    tokens = np.array([1.0, 50.0, 50.0, 50.0, 3.0])
    routing = np.array([1.2, 0.0, 1.01, 1.0, 1.2])
    other = (np.full(5, 64.0), np.full(5, 4.0), routing, np.full(5, 16.0))
    each = [tiles_filled(*(c[i : i + 1] for c in (tokens, *other)))[0] for i in range(5)]
    assert tiles_filled(tokens, *other).tolist() == each


@pytest.mark.parametrize(("spelled", "number"), [("even", 0), ("uniform", 1), (1.2, 1.2), (0, 0)])
def test_a_routing_is_a_word_or_a_number(spelled, number):
    assert routing_of(spelled) == number


@pytest.mark.parametrize("routing", [0.0, 1.0, 1.2])
def test_a_routing_is_read_as_it_is_spelled(routing):
    word = named(routing)
    assert routing_of(float(word.split()[-1]) if word.startswith("power law") else word) == routing


@pytest.mark.parametrize("spelled", ["zipf", 0.5, -1.0, 3.5, float("nan"), True])
def test_other_routings_are_none(spelled):
    with pytest.raises(ValueError, match=str(spelled)):
        routing_of(spelled)
