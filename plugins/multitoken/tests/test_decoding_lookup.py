"""Drafts out of the text itself, and how long a draft pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_multitoken.decoding.acceptance import Acceptance
from zoo_multitoken.decoding.lookup import LONGEST, SHORTEST, Lookup


def slow_find(text, count):
    """Try every earlier place; the longest match wins, the latest of equal ones."""
    best, where = 0, None
    for place in range(SHORTEST, len(text)):
        matched = 0
        while matched < min(LONGEST, place) and text[place - 1 - matched] == text[-1 - matched]:
            matched += 1
        if matched >= max(best, SHORTEST):
            best, where = matched, place
    if where is None or not count:
        return [], 0
    drafts, period = [], len(text) - where
    for i in range(count):
        drafts.append(text[where + i] if i < period else drafts[i - period])
    return drafts, best


@given(
    text=st.lists(st.integers(0, 2), max_size=24),
    cut=st.integers(0, 24),
    count=st.integers(0, 12),
)
def test__lookup__any_text__equals_trying_every_place(text, cut, count):
    lookup = Lookup(text[:cut])
    lookup.extend(text[cut:])
    drafts, matched = lookup.find(count)
    wanted, longest = slow_find(text, count)
    # Only the latest places of a run are tried, so a longer match further back may be missed.
    if matched == longest:
        assert drafts == wanted
    else:
        assert SHORTEST <= matched < longest


def test__lookup__new_text__drafts_nothing():
    assert Lookup(range(100)).find(5) == ([], 0)


def test__lookup__text_that_repeats_itself__goes_on_repeating():
    assert Lookup([1, 2, 3, 4] * 3).find(6) == ([1, 2, 3, 4, 1, 2], 8)


def test__acceptance__nothing_seen__follows_the_prior():
    assert Acceptance(8, 0.01).expect(8, 0.1)[0] == 0
    assert Acceptance(8, 0.99).expect(8, 0.1)[0] == 8
    length, rate = Acceptance(8, 0.5).expect(8, 0.1)
    # 1.5 / 1.1, 1.75 / 1.2, 1.875 / 1.3
    assert (length, rate) == (2, pytest.approx(1.75 / 1.2))
    assert Acceptance(8, 0.5).expect(8, 0.1, entry=0.2) == (2, pytest.approx(1.75 / 1.4))
    assert Acceptance(8, 0.5).expect(8, 0.1, entry=0.9) == (0, 1.0)


def test__acceptance__longest__bounds_the_length():
    assert Acceptance(8, 0.99).expect(3, 0.0)[0] == 3
    assert Acceptance(3, 0.99).expect(8, 0.0)[0] == 3


@pytest.mark.parametrize("place", [0, 2, 5])
def test__acceptance__always_refused_at_one_place__stops_before_it(place):
    estimate = Acceptance(8, 0.7)
    for _ in range(60):
        estimate.observe(8, place)
    assert estimate.expect(8, 0.12)[0] == place


def test__acceptance__without_news__returns_to_the_prior():
    estimate = Acceptance(4, 0.7)
    for _ in range(60):
        estimate.observe(4, 0)
    assert estimate.expect(4, 0.12)[0] == 0
    for _ in range(300):
        estimate.observe(0, 0)
    assert estimate.expect(4, 0.12)[0] == Acceptance(4, 0.7).expect(4, 0.12)[0] > 0
