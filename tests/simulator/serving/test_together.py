"""Attention of chunks and decodes in one launch: against the profile, and as tiles behave."""

import csv
from math import ceil

import numpy as np
import pytest

from tierlab.hwmodels.catalogue import load_device
from tierlab.hwmodels.time.silicon.make import silicon
from tierlab.kernels.models.load import load_model
from tierlab.kernels.models.step import decode_work, prefill_work
from tierlab.simulator.serving.together import EMPTY, LANES, QUERIES, as_arrays, attention_s

KEYS = np.array([1.0, *(16.0 * 2.0 ** np.arange(11))])


@pytest.fixture(scope="module")
def launch():
    """The launch of one layer of Llama-3.1-8B on an RTX 4090."""
    times, model = (
        silicon(None, load_device("RTX-4090", "test"), None, "test"),
        load_model("Llama-3.1-8B"),
    )
    one = prefill_work(model, 1, "bf16", 1, 1), decode_work(model, 1, "bf16", 1, 1.0, 0.0)
    found, source = times.shared(*one, KEYS, "mid")
    lines, rules = as_arrays((found, source), len(KEYS))
    layers = one[1].repeat[0]
    lines[:2] /= layers
    rules[[EMPTY, -1]] /= layers
    return lines, rules


def asked(launch, chunk_s, queries, decodes, keys, longest=None):
    tiles = ceil(queries / launch[1][QUERIES])
    most = keys if longest is None else longest
    return attention_s(KEYS, *launch, chunk_s, 10e-6, tiles, tiles, decodes, keys, most)


def test_decodes_never_make_a_launch_shorter(launch):
    for chunk_s, queries in ((11e-6, 16), (41e-6, 512), (336e-6, 2048)):
        took = [asked(launch, chunk_s, queries, n, 1024) for n in (1, 2, 4, 8, 16, 64, 256)]
        assert took[0] >= chunk_s
        assert (np.diff(took) > 0).all()


def test_a_decode_costs_more_beside_a_longer_chunk(launch):
    """FlashAttention 2 gives it as many tiles as the chunk has."""
    short, long = (asked(launch, 336e-6, q, 64, 16) - 336e-6 for q in (512, 2048))
    empties = 64 * (2048 - 512) / 64 * 2.5e-9 * 128 * launch[1][LANES]
    assert long - short == pytest.approx(empties, rel=0.05)


def test_one_long_decode_keeps_a_short_chunk_waiting(launch):
    """4,096 keys of one tile: 137 us measured, whatever its 127 idle neighbours."""
    assert asked(launch, 9.5e-6, 16, 1, 4096) == pytest.approx(136.7e-6, rel=0.1)
    assert asked(launch, 9.5e-6, 16, 8, 600, 4096) > asked(launch, 9.5e-6, 16, 8, 600)


@pytest.mark.shared
def test_mixed_rows_of_the_profile(launch, shared_dir):
    """The chunk's own time is the profile's; without the launch in common the error is 34%."""
    with (shared_dir / "measured/vllm_rtx4090/attention.csv").open() as file:
        rows = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    alone = {(q, p): us for q, p, n, _, us in rows if n == 0}
    mixed = rows[(rows[:, 0] > 0) & (rows[:, 2] > 0)]
    errors = np.array(
        [asked(launch, alone[q, p] * 1e-6, q, n, k) / us * 1e6 - 1 for q, p, n, k, us in mixed]
    )
    assert len(errors) == 8448
    assert np.median(np.abs(errors)) < 0.06
    assert np.quantile(np.abs(errors), 0.9) < 0.25
    assert abs(np.median(errors)) < 0.02
