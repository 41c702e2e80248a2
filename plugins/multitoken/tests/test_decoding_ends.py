"""Where a text ends: end tokens, stop texts and the limit at every place of an accepted block."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo_multitoken.decoding import Options, Row, decode
from zoo_multitoken.decoding.table import TableBackend

VOCAB, HEADS = 24, 5
#: Token after token counts upwards; these are their bytes, of one to four each, but for one.
WORDS = [
    bytes(97 + (token * 7 + i) % 26 for i in range(1 + (token * 3) % 4 if token != 14 else 0))
    for token in range(VOCAB)
]
#: One place more than two blocks hold, behind the token that the prompt's forward gives.
PLACES = range(1, 2 * HEADS + 3)
MODES = [
    {"draft": "heads", "n_draft": HEADS - 1},
    {"draft": "heads", "n_draft": HEADS - 1, "lossless": "strict"},
    {"draft": "heads", "n_draft": 2},
    {"draft": "hybrid"},
    {"draft": "heads", "n_draft": HEADS - 1, "temperature": 1e-3},
    {"strategy": "autoregressive"},
]


def name_mode(mode):
    return "-".join(map(str, mode.values()))


def counting(rows):
    """Row r counts upwards from r; the heads are always right."""
    last = np.arange(VOCAB)
    tables = [9.0 * ((last[:, None] + step) % VOCAB == last) for step in range(1, HEADS + 1)]
    table, *heads = (np.tile(step, (VOCAB, 1, 1)) for step in tables)
    return TableBackend(table, np.stack(heads)), [[row] for row in range(rows)]


def slow_end(start, *, limit, end_tokens=(), stop=()):
    """Tokens, text and reason, found by looking at the whole text after every byte."""
    tokens, text = [], b""
    while len(tokens) < limit:
        token = (start + len(tokens) + 1) % VOCAB
        tokens.append(token)
        if token in end_tokens:
            return tokens, text, "end"
        for byte in WORDS[token]:
            text += bytes([byte])
            fitting = [len(one) for one in stop if text.endswith(one)]
            if fitting:
                return tokens, text[: -max(fitting)], "stop"
    return tokens, text, "length"


def run(mode, rows, **ends):
    backend, prompts = counting(rows)
    asked = Options(max_new_tokens=ends.pop("limit"), **ends, **mode)
    return decode(backend, prompts, asked, pieces=WORDS.__getitem__)


def assert_ends(mode, rows, **ends):
    """What was asked of every row, in bursts that never show what is taken back."""
    wanted = [slow_end(row, **ends) for row in range(rows)]
    done = run(mode, rows, **ends)
    shown, tokens = [b""] * rows, [[] for _ in range(rows)]
    ended = [None] * rows
    for burst in done:
        assert ended[burst.row] is None
        shown[burst.row] += burst.text
        tokens[burst.row] += burst.tokens
        ended[burst.row] = burst.finish
        assert wanted[burst.row][1].startswith(shown[burst.row])
        assert burst.accepted <= min(burst.drafted, len(burst.tokens))
    assert list(zip(tokens, shown, ended, strict=True)) == wanted
    assert [(row.tokens, bytes(row.text), row.finish) for row in done.rows] == wanted


def stop_behind(place, *, row=0, before=0, behind=1):
    """A stop text whose last byte is one of the token at a place."""
    starts = np.cumsum([0] + [len(WORDS[(row + 1 + i) % VOCAB]) for i in range(place + 2)])
    text = b"".join(WORDS[(row + 1 + i) % VOCAB] for i in range(place + 2))
    end = min(starts[place - 1] + behind, starts[place])
    return text[max(0, starts[place - 1] - before) : max(end, 1)]


@pytest.mark.parametrize("mode", MODES, ids=name_mode)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("place", PLACES)
def test__limit__at_every_place__ends_there(mode, rows, place):
    assert_ends(mode, rows, limit=place)


@pytest.mark.parametrize("mode", MODES, ids=name_mode)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("place", PLACES)
def test__end_token__at_every_place__ends_there(mode, rows, place):
    assert_ends(mode, rows, limit=20, end_tokens=frozenset([place]))
    assert_ends(mode, rows, limit=place, end_tokens=frozenset([place]))  # and the limit at once
    assert_ends(mode, rows, limit=20, end_tokens=frozenset([place, place + 1]))


@pytest.mark.parametrize("mode", MODES, ids=name_mode)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("place", PLACES)
def test__stop_text__at_every_place__ends_there(mode, rows, place):
    for before in (0, 1, 5, 11):  # it begins tokens, and blocks, before
        for behind in (1, 3):  # and ends within a token or with it
            stop = (stop_behind(place, before=before, behind=behind),)
            assert_ends(mode, rows, limit=20, stop=stop)
    assert_ends(mode, rows, limit=place, stop=(stop_behind(place),))  # and the limit at once
    both = (stop_behind(place, before=4), stop_behind(place, before=2), b"never")
    assert_ends(mode, rows, limit=20, stop=both, end_tokens=frozenset([place + 1]))
    assert_ends(mode, rows, limit=20, stop=both, end_tokens=frozenset([place]))


def test__stop_text__that_begins_but_never_ends__is_shown_in_the_end():
    text = slow_end(0, limit=9)[1]
    stop = (text[-6:] + b"!",)
    done = run(MODES[0], 1, limit=9, stop=stop)
    bursts = list(done)
    assert bursts[-1].text.endswith(text[-6:])
    assert b"".join(burst.text for burst in bursts) == text


def feed(stop, pieces, *, limit=99):
    """A row that is fed pieces of text, and all that it shows."""
    row = Row(0, Options(max_new_tokens=limit, stop=stop), pieces.__getitem__)
    shown = b""
    for token in range(len(pieces)):
        row.take([token])
        shown += row.release()
    row.cancel()
    return row, shown + row.release()


@settings(max_examples=300, deadline=None)
@given(
    text=st.lists(st.sampled_from(b"ab"), max_size=30).map(bytes),
    stop=st.lists(
        st.lists(st.sampled_from(b"ab"), min_size=1, max_size=5).map(bytes), max_size=3
    ).map(tuple),
    cuts=st.lists(st.integers(0, 30), max_size=12),
)
def test__row__any_cut_of_a_text_into_tokens__ends_at_one_place(text, stop, cuts):
    whole = [text[i : i + 1] for i in range(len(text))]
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
    (one, shown_one), (other, shown_other) = feed(stop, whole), feed(stop, pieces)
    assert one.text == other.text
    assert shown_one == shown_other == bytes(one.text)
    assert one.finish == other.finish
    ends = sorted(
        (place, place - len(each))
        for place in range(len(text) + 1)
        for each in stop
        if text[:place].endswith(each)
    )
    assert bytes(one.text) == (text[: ends[0][1]] if ends else text)


def test__row__stop_text_of_overlapping_beginnings__is_withheld_no_longer_than_needed():
    row = Row(0, Options(max_new_tokens=9, stop=(b"aab",)), [b"a", b"a", b"a", b"c"].__getitem__)
    shown = []
    for token in range(4):
        row.take([token])
        shown.append(row.release())
    assert shown == [b"", b"", b"a", b"aac"]


def test__callback__that_returns_true__ends_its_row_only():
    backend, prompts = counting(3)
    seen = []

    def watch(burst):
        seen.append(burst)
        return burst.row == 1 and 8 in burst.tokens

    done = decode(
        backend,
        prompts,
        Options(max_new_tokens=15, draft="heads", n_draft=4),
        pieces=WORDS.__getitem__,
        callbacks=[watch, lambda burst: "not True"],
    )
    assert list(done) == seen
    assert [row.finish for row in done.rows] == ["length", "cancelled", "length"]
    assert 8 in done.rows[1].tokens
    assert len(done.rows[1].tokens) < 15
    assert len(done.rows[0].tokens) == len(done.rows[2].tokens) == 15


@pytest.mark.parametrize("strategy", ["speculative", "autoregressive"])
def test__cancel__between_bursts__ends_a_row(strategy):
    backend, prompts = counting(2)
    done = decode(backend, prompts, Options(max_new_tokens=12, strategy=strategy))
    for burst in done:
        if burst.row == 0 and len(done.rows[0].tokens) >= 3:
            done.cancel(0)
    assert [row.finish for row in done.rows] == ["cancelled", "length"]
    assert len(done.rows[0].tokens) < 12 == len(done.rows[1].tokens)


def test__stream__stopped_half_way__leaves_the_backend_usable():
    backend, prompts = counting(2)
    half = iter(decode(backend, prompts, Options(max_new_tokens=12)))
    next(half)
    half.close()
    done = decode(backend, prompts, Options(max_new_tokens=12)).run()
    assert [row.tokens for row in done.rows] == [slow_end(row, limit=12)[0] for row in range(2)]


def test__stop__without_bytes_of_tokens__one_sentence():
    backend, prompts = counting(1)
    with pytest.raises(ValueError, match=r"parameter 'stop' of a generation needs the bytes"):
        decode(backend, prompts, Options(max_new_tokens=1, stop=(b"x",)))
