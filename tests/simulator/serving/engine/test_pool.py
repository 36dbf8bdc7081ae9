"""The pool's arrays against the same pool in plain Python: an ordered list and a dict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierlab.simulator.serving.engine import pool
from tierlab.simulator.serving.engine.pool import EVICTED, FREE

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


class Reference:
    def __init__(self, number):
        self.free = list(range(number))
        self.content, self.where, self.holders = {}, {}, dict.fromkeys(range(number), 0)
        self.evicted = 0

    def match(self, names):
        hit = 0
        while hit < len(names) and names[hit] in self.where:
            hit += 1
        return hit, sum(self.holders[self.where[n]] == 0 for n in names[:hit])

    def acquire(self, names):
        blocks = [self.where[n] for n in names]
        for block in blocks:
            if self.holders[block] == 0:
                self.free.remove(block)
            self.holders[block] += 1
        return blocks

    def grow(self, number):
        taken = []
        for _ in range(number):
            block = self.free.pop(0)
            if block in self.content:
                del self.where[self.content.pop(block)]
                self.evicted += 1
            self.holders[block] = 1
            taken.append(block)
        return taken

    def remember(self, blocks, names):
        for block, name in zip(blocks, names, strict=True):
            if block not in self.content and name not in self.where:
                self.content[block], self.where[name] = name, block

    def release(self, blocks):
        for block in reversed(blocks):
            self.holders[block] -= 1
            if self.holders[block] == 0:
                self.free.append(block)


request = st.tuples(st.integers(0, 4), st.integers(1, 9), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 24), st.lists(request, max_size=60), st.randoms(use_true_random=False))
def test_the_arrays_do_what_plain_python_does(number, requests, random):
    blocks, plain = pool.new_blocks(number), Reference(number)
    left = np.zeros(number, np.int64)
    table, running, seats = np.zeros((61, number + 1), np.int32), [], list(range(61))
    for family, length, stays in requests:
        names = np.array([family * 100 + i + 1 for i in range(length)], np.int64)
        hit = pool.match(blocks, names, length)
        free = pool.free_among(blocks, names, hit)
        assert (hit, free) == plain.match(names.tolist())
        if length - hit + free > blocks.counts[FREE]:
            if running:
                seat, held = running.pop(random.randrange(len(running)))
                pool.release(blocks, table, seat, len(held))
                plain.release(held)
                seats.append(seat)
            continue
        seat = seats.pop()
        pool.acquire(blocks, names, hit, table, seat)
        gone = pool.grow(blocks, table, seat, hit, length, left, 0)
        held = plain.acquire(names[:hit].tolist())
        known = dict(plain.content)
        held += plain.grow(length - hit)
        assert left[:gone].tolist() == [known[b] for b in held[hit:] if b in known]
        assert table[seat, :length].tolist() == held
        pool.remember(blocks, table, seat, 0, names, length)
        plain.remember(held, names.tolist())
        if stays:
            running.append((seat, held))
        else:
            pool.release(blocks, table, seat, length)
            plain.release(held)
            seats.append(seat)
        assert blocks.counts[FREE] == len(plain.free)
        assert blocks.counts[EVICTED] == plain.evicted


def test_a_hash_map_full_of_neighbours_forgets_only_what_it_is_told():
    blocks = pool.new_blocks(64)
    table = np.zeros((1, 64), np.int32)
    names = np.arange(1, 65, dtype=np.int64) << 41
    pool.grow(blocks, table, 0, 0, 64, np.zeros(0, np.int64), 0)
    pool.remember(blocks, table, 0, 0, names, 64)
    for gone in range(0, 64, 3):
        pool.forget(blocks, int(table[0, gone]))
    for i, name in enumerate(names.tolist()):
        found = blocks.slot_block[pool.slot_of(blocks, name)]
        assert found == (pool.NONE if i % 3 == 0 else table[0, i])
