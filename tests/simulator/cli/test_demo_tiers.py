"""The demo's choice among tiers, on figures made up, and its prices."""

import pytest

from tierlab.hwmodels.price import load_prices
from tierlab.simulator.cli.demo_tiers import CHOICES, GIB, Choice, _usd_per_h, worth


def choice(name, wait_s, usd_per_h):
    return Choice(name, usd_per_h, {"ttft_s": {"mean": wait_s}})


def test_the_cheapest_of_the_best_is_named():
    choices = [choice("none", 10.0, 4.0), choice("dear", 1.0, 9.0), choice("cheap", 1.04, 4.4)]
    text = worth(choices)
    assert "'cheap'" in text
    assert "10.0% more an hour" in text


def test_a_tier_that_does_not_help_is_not_praised():
    assert "none shortens" in worth([choice("none", 1.0, 4.0), choice("more", 1.0, 5.0)])


def test_memory_is_paid_beyond_what_the_rental_includes():
    prices = load_prices()
    hours = prices.amortisation_s / 3600
    assert _usd_per_h(prices, CHOICES["+ 128 GiB DRAM"]) == prices.gpu_rental("h200")
    more = _usd_per_h(prices, {"dram": {"capacity": 356 * GIB}}) - prices.gpu_rental("h200")
    assert more == pytest.approx(100 * GIB / 1e9 * 12.9 / hours)
