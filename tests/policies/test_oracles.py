"""Footprints against a count: tokens come one by one, and what is stored is looked at."""

import numpy as np
import pytest

from tierlab.kernels.models.kv import KvGroup
from tierlab.policies.design import make_design
from tierlab.policies.protocol import KvShape
from tierlab.policies.registry import POLICIES, make_policy

HEADS, DIM = 2, 32
GROUP = KvGroup(3, 2 * HEADS * DIM, HEADS * DIM, HEADS * DIM, 0, "gqa")
PROMPTS = [1, 30, 200, 513, 2100]
GENERATED = 140


def attention(rng, heads, tokens):
    return rng.dirichlet(np.ones(tokens), size=heads)


def full(policy, prompt):
    stored = list(range(prompt))
    yield len(stored)
    for token in range(prompt, prompt + GENERATED):
        stored.append(token)
        yield len(stored)


def sink_window(policy, prompt):
    stored = []
    for token in range(prompt + GENERATED):
        stored.append(token)
        if len(stored) > policy.sinks + policy.recent:
            del stored[policy.sinks]
        if token >= prompt - 1:
            assert stored[: policy.sinks] == list(range(min(policy.sinks, token + 1)))
            yield len(stored)


def h2o(policy, prompt):
    """One head: sums of attention decide, at the end of the prompt and at each step."""
    rng = np.random.default_rng(prompt)
    heavy, recent = int(prompt * policy.heavy_ratio), int(prompt * policy.recent_ratio)
    budget = max(heavy + recent, 1)
    sums = dict(enumerate(attention(rng, 1, prompt)[0]))
    while len(sums) > budget:
        older = sorted(sums)[: len(sums) - max(recent, 1 - heavy)]
        del sums[min(older, key=sums.get)]
    yield len(sums)
    for token in range(prompt, prompt + GENERATED):
        sums[token] = 0.0
        for position, mass in zip(sums, attention(rng, 1, len(sums))[0], strict=True):
            sums[position] += mass
        if len(sums) > budget:
            older = sorted(sums)[: len(sums) - max(recent, 1 - heavy)]
            del sums[min(older, key=sums.get)]
        assert token in sums
        yield len(sums)


def snapkv(policy, prompt):
    votes = attention(np.random.default_rng(prompt), 1, prompt)[0]
    stored = list(range(prompt))
    if prompt > policy.capacity:
        before = sorted(stored[: -policy.window], key=lambda t: -votes[t])
        stored = before[: policy.capacity - policy.window] + stored[-policy.window :]
    yield len(stored)
    for token in range(prompt, prompt + GENERATED):
        stored.append(token)
        yield len(stored)


RETENTION = {"full": full, "sink-window": sink_window, "h2o": h2o, "snapkv": snapkv}


def test_every_retention_has_a_count():
    assert set(RETENTION) == set(POLICIES["retention"])


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", RETENTION)
def test_retention_keeps_what_is_counted(name, prompt):
    policy = make_policy("retention", name, {}, "test")
    counted = list(RETENTION[name](policy, prompt))
    tokens = np.arange(prompt, prompt + GENERATED + 1)[None]
    shape = KvShape((GROUP,), tokens, np.full_like(tokens, prompt))
    assert policy.footprint(shape)[0].tolist() == counted


def test_h2o_in_tokens():
    policy = make_policy("retention", "h2o", {"heavy": 4, "recent": 512}, "test")
    tokens = np.array([[1, 516, 517, 9000]])
    assert policy.footprint(KvShape((GROUP,), tokens)).tolist() == [[1, 516, 516, 516]]


def test_h2o_decides_the_heaviest_and_the_last():
    policy = make_policy("retention", "h2o", {"heavy": 2, "recent": 1}, "test")
    scores = np.array([[0.1, 0.5, 0.2, 0.4, 0.0], [0.9, 0.0, 0.8, 0.1, 0.0]])
    assert policy.decide(np.zeros((2, 5, 4)), scores).tolist() == [[1, 3, 4], [0, 2, 4]]


def test_snapkv_pools_votes_over_neighbours():
    policy = make_policy("retention", "snapkv", {"window": 1, "capacity": 4, "kernel": 3}, "t")
    votes = np.array([[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.5, 0.0]])
    assert policy.decide(np.zeros((1, 8, 4)), votes).tolist() == [[2, 3, 4, 7]]


class Plain:
    """One token after another, each element of so many bytes."""

    def __init__(self, nbytes):
        self.nbytes, self.tokens = nbytes, 0

    def append(self):
        self.tokens += 1

    def stored_bytes(self):
        return self.tokens * 2 * HEADS * DIM * self.nbytes


class KiviCache:
    """The lists of models/llama_kivi.py, in elements: what is quantised, and what is not yet."""

    def __init__(self, bits):
        self.bits = bits
        self.key_full = self.key_quantised = self.value_full = self.value_quantised = 0

    def append(self):
        self.key_full += 1
        if self.key_full == 128:
            self.key_quantised, self.key_full = self.key_quantised + 128, 0
        self.value_full += 1
        if self.value_full > 128:
            self.value_quantised, self.value_full = self.value_quantised + 1, self.value_full - 1

    def stored_bytes(self):
        elements = (self.key_quantised + self.value_quantised) * HEADS * DIM
        key_groups = HEADS * DIM * (self.key_quantised // 32)
        value_groups = self.value_quantised * HEADS * (DIM // 32)
        parameters = 2 * 2 * (key_groups + value_groups)
        sixteen = 2 * (self.key_full + self.value_full) * HEADS * DIM
        return elements * self.bits / 8 + parameters + sixteen


REPRESENTATION = {
    "bf16": lambda: Plain(2),
    "fp8": lambda: Plain(1),
    "kivi-4": lambda: KiviCache(4),
    "kivi-2": lambda: KiviCache(2),
}


def test_every_representation_has_a_count():
    assert set(REPRESENTATION) == set(POLICIES["representation"])


@pytest.mark.parametrize("name", REPRESENTATION)
def test_representation_stores_what_is_counted(name):
    cache, counted = REPRESENTATION[name](), []
    for _ in range(700):
        cache.append()
        counted.append(GROUP.layers * cache.stored_bytes())
    policy = make_policy("representation", name, {}, "test")
    found = policy.footprint(KvShape((GROUP,), np.arange(1, 701)[None]))
    assert found[0].tolist() == counted


def test_kivi_2_bit_tends_to_three_bits_an_element():
    policy = make_policy("representation", "kivi-2", {}, "test")
    stored = policy.footprint(KvShape((GROUP,), np.array([[128 * 10_000]])))[0, 0]
    elements = 128 * 10_000 * GROUP.elements_per_token * GROUP.layers
    assert 8 * stored / elements == pytest.approx(3.0, rel=1e-3)


def blocks_by_hand(policy, tokens):
    """Tokens leave the local window one by one, and wait until they are a block."""
    initial, waiting, local, blocks = [], [], [], []
    for token in range(tokens):
        if len(initial) < policy.init:
            initial.append(token)
            continue
        local.append(token)
        if len(local) > policy.local:
            waiting.append(local.pop(0))
        if len(waiting) == policy.block:
            blocks, waiting = [*blocks, waiting], []
    return initial, waiting, local, blocks


@pytest.mark.parametrize("tokens", [1, 5, 6, 20, 25, 26, 99])
def test_top_blocks_read_store_and_keep_what_is_counted(tokens):
    own = {"block": 5, "init": 3, "local": 7, "topk": 2, "representatives": 2}
    policy = make_policy("selection", "topk-blocks", own, "test")
    initial, waiting, local, blocks = blocks_by_hand(policy, tokens)
    shape = KvShape((GROUP,), np.array([[tokens]]))
    read = len(initial) + len(local) + 5 * min(len(blocks), 2)
    assert policy.footprint(shape)[0, 0] == read
    near = len(initial) + len(local) + len(waiting)
    assert policy.resident(shape)[0, 0] == near
    vectors = 2 * len(blocks) * HEADS * DIM
    assert policy.summary_footprint(shape)[0, 0] == 2 * vectors * GROUP.layers
    per_token = 2 * GROUP.elements_per_token * GROUP.layers
    axes = {"selection": {"name": "topk-blocks", **own}, "placement": "host"}
    found = make_design("x", axes, "test").footprint((GROUP,), np.array([tokens]))
    summaries = 2 * vectors * GROUP.layers
    assert found.stored_bytes["hbm"][0] == near * per_token + summaries
    assert found.stored_bytes["dram"][0] == 5 * len(blocks) * per_token
    assert found.read_bytes[0] == read * per_token + summaries
    assert found.moved_bytes["dram"][0] == max(read - near, 0) * per_token


@pytest.mark.parametrize(("placement", "tier"), [("host", "dram"), ("ssd", "ssd")])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_what_is_not_in_hbm_is_moved_once_a_step_and_passes_through(placement, tier, share):
    axes = {"placement": {"name": placement, "hbm_share": share, "buffers": 2}}
    found = make_design("x", axes, "test").footprint((GROUP,), np.array([1000]))
    whole = 1000 * 2.0 * GROUP.elements_per_token * GROUP.layers
    assert found.stored_bytes["hbm"][0] == share * whole
    assert found.stored_bytes[tier][0] == found.moved_bytes[tier][0] == (1 - share) * whole
    assert found.staged_bytes[0] == 2 * (1 - share) * whole / GROUP.layers
    assert found.read_bytes[0] == whole


def test_windowed_layers_are_cut_whatever_stays():
    windowed = KvGroup(1, 8, 4, 4, 16, "gqa")
    for name in POLICIES["retention"]:
        policy = make_policy("retention", name, {}, "test")
        assert policy.footprint(KvShape((windowed,), np.array([[5000]])))[0, 0] <= 16
