"""The greedy loop against plain decoding, on networks that can be read off a table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import DeviceError
from zoo_multitoken.decoding import Options, decode
from zoo_multitoken.decoding.table import TableBackend

VOCAB = 6
GUESSES = ["always", "never", "sometimes"]


def pick(chosen):
    """Logits that say one token for each pair of tokens."""
    return 9.0 * (chosen[..., None] == np.arange(VOCAB))


def network(guess, *, n_heads=4, sequential=True, seed=0):
    """A random chain; its heads guess it always, never or sometimes."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(VOCAB, size=(VOCAB, VOCAB))
    heads = np.tile(chosen, (n_heads - 1, 1, 1))
    if not sequential:
        # What head i should say at a pair: the chain followed i + 1 steps on.
        before, last = np.indices((VOCAB, VOCAB))
        before, last = last, chosen[before, last]
        for head in heads:
            head[...] = chosen[before, last]
            before, last = last, head
    wrong = rng.uniform(size=heads.shape) < {"always": 0, "sometimes": 0.3, "never": 1}[guess]
    heads = np.where(wrong, (heads + 1) % VOCAB, heads)
    return TableBackend(pick(chosen), pick(heads), sequential=sequential), chosen


def follow(chosen, prompt, length):
    """The chain itself, token by token."""
    text = [0, *prompt]
    for _ in range(length):
        text.append(int(chosen[text[-2], text[-1]]))
    return text[1 + len(prompt) :]


def tokens_of(backend, prompts, **options):
    done = decode(backend, prompts, Options(**{"max_new_tokens": 37, **options})).run()
    return [row.tokens for row in done.rows], done.statistics


@pytest.mark.parametrize("sequential", [True, False], ids=["sequential", "parallel"])
@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("n_draft", [0, 1, 3, "auto"])
@pytest.mark.parametrize("lossless", ["standard", "strict"])
def test__greedy__heads_right_or_wrong__gives_the_chain(sequential, guess, rows, n_draft, lossless):
    backend, chosen = network(guess, sequential=sequential, seed=rows)
    prompts = [[row % VOCAB] * (1 + row) + [1] for row in range(rows)]
    tokens, statistics = tokens_of(
        backend, prompts, draft="heads", n_draft=n_draft, lossless=lossless
    )
    assert tokens == [follow(chosen, prompt, 37) for prompt in prompts]
    assert statistics.tokens == 37 * rows
    assert statistics.stepped_tokens == 36 * rows
    if guess == "always" and n_draft == 3:
        assert statistics.forwards == 9
        assert statistics.tokens_per_forward == 4.0
        assert statistics.acceptance("heads") == [1.0, 1.0, 1.0]
    if guess == "never" or n_draft == 0:
        assert statistics.forwards == 36
        assert statistics.tokens_per_forward == 1.0
    if guess == "sometimes" and n_draft == 3:
        assert 1.0 < statistics.tokens_per_forward < 4.0
        assert 0.0 < statistics.acceptance("heads")[0] < 1.0


@pytest.mark.parametrize("draft", ["lookup", "hybrid", "none"])
@pytest.mark.parametrize("lossless", ["standard", "strict"])
def test__greedy__other_drafts__give_the_chain(draft, lossless):
    backend, chosen = network("sometimes", seed=3)
    prompts = [[1, 2, 3], [2], [4, 4, 4, 4, 5]]
    tokens, statistics = tokens_of(backend, prompts, draft=draft, lossless=lossless)
    assert tokens == [follow(chosen, prompt, 37) for prompt in prompts]
    if draft == "none":
        assert statistics.forwards == 36
    else:
        # The chain has at most 36 pairs, so that it soon repeats itself.
        assert statistics.tokens_per_forward > 1.5
        assert statistics.acceptance("lookup")[0] == 1.0


def test__greedy__adaptive_length__gives_up_hopeless_drafts_and_comes_back():
    never, _ = network("never")
    _, hopeless = tokens_of(never, [[1]], draft="heads", max_new_tokens=200)
    assert 5 < sum(hopeless.proposed["heads"]) < 50  # of 199 forwards
    always, _ = network("always")
    _, perfect = tokens_of(always, [[1]], draft="heads", max_new_tokens=200)
    assert perfect.tokens_per_forward > 3.9


def test__greedy__autoregressive__gives_the_chain_one_token_a_forward():
    backend, chosen = network("always")
    tokens, statistics = tokens_of(backend, [[1, 2], [5]], strategy="autoregressive")
    assert tokens == [follow(chosen, [1, 2], 37), follow(chosen, [5], 37)]
    assert statistics.forwards == 36
    assert statistics.bursts == {1: 72}


@settings(max_examples=60, deadline=None)
@given(
    guess=st.sampled_from(GUESSES),
    seed=st.integers(0, 50),
    sequential=st.booleans(),
    prompts=st.lists(
        st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=9), min_size=1, max_size=5
    ),
    options=st.fixed_dictionaries(
        {
            "max_new_tokens": st.integers(0, 30),
            "draft": st.sampled_from(["heads", "lookup", "hybrid", "none"]),
            "n_draft": st.one_of(st.integers(0, 9), st.just("auto")),
            "lossless": st.sampled_from(["standard", "strict"]),
            "end_tokens": st.frozensets(st.integers(0, VOCAB - 1), max_size=2),
            "stop": st.lists(st.binary(min_size=1, max_size=5), max_size=2).map(tuple),
        }
    ),
    words=st.lists(st.binary(max_size=3), min_size=VOCAB, max_size=VOCAB),
)
def test__greedy__anything__equals_plain_decoding(guess, seed, sequential, prompts, options, words):
    backend, _ = network(guess, seed=seed, sequential=sequential)
    fast, slow = (
        decode(backend, prompts, Options(strategy=strategy, **options), pieces=words.__getitem__)
        for strategy in ("speculative", "autoregressive")
    )
    streamed = {row.index: b"" for row in fast.rows}
    for burst in fast:
        streamed[burst.row] += burst.text
    slow.run()
    for one, other in zip(fast.rows, slow.rows, strict=True):
        assert (one.tokens, one.text, one.finish) == (other.tokens, other.text, other.finish)
        assert streamed[one.index] == bytes(other.text)
    assert fast.statistics.tokens == slow.statistics.tokens
    assert fast.statistics.forwards <= slow.statistics.forwards


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 4),
    draft=st.sampled_from(["heads", "lookup", "hybrid"]),
    top_k=st.sampled_from([1, None]),
)
def test__sampling__one_token_left_by_top_k__equals_greedy(seed, rows, draft, top_k):
    backend, _ = network("sometimes", seed=seed)
    prompts = [[row] * (row + 1) for row in range(rows)]
    # Without top-k the cold temperature leaves one token of weight.
    cold = {"temperature": 1.0, "top_k": 1} if top_k else {"temperature": 1e-3}
    drawn, _ = tokens_of(backend, prompts, draft=draft, seed=seed, **cold)
    greedy, _ = tokens_of(backend, prompts, strategy="autoregressive")
    assert drawn == greedy


def test__statistics__sum__equals_counts_of_both():
    backend, _ = network("sometimes")
    _, one = tokens_of(backend, [[1], [2, 3]], draft="heads", n_draft=2)
    _, two = tokens_of(backend, [[4]], draft="lookup")
    steps, forwards = one.steps + two.steps, one.forwards + two.forwards
    bursts = sum(one.bursts.values()) + sum(two.bursts.values())
    hits = list(one.accepted["heads"])
    one.add(two)
    assert (one.rows, one.tokens, one.steps, one.forwards) == (3, 111, steps, forwards)
    assert sum(one.bursts.values()) == bursts == steps
    assert one.accepted["heads"] == hits
    assert one.accepted["lookup"] == two.accepted["lookup"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("max_new_tokens", -1, "an integer of at least 0"),
        ("max_new_tokens", 2.0, "an integer of at least 0"),
        ("temperature", -0.1, "a finite number of at least 0"),
        ("temperature", float("nan"), "a finite number of at least 0"),
        ("top_p", 0.0, "a number above 0 and at most 1"),
        ("top_p", 1.5, "a number above 0 and at most 1"),
        ("top_k", 0, "an integer of at least 1"),
        ("n_draft", -1, '"auto" or an integer of at least 0'),
        ("n_draft", "many", '"auto" or an integer of at least 0'),
        ("draft", "tree", "'heads', 'lookup', 'hybrid', 'none'"),
        ("strategy", "beam", "'speculative', 'autoregressive'"),
        ("lossless", "no", "'standard', 'strict'"),
        ("stop", (b"",), "texts of at least one byte"),
        ("seed", -3, "an integer of at least 0"),
    ],
)
def test__options__bad_value__one_sentence(name, value, allowed):
    with pytest.raises(
        ValueError, match=f"parameter '{name}' of a generation must .*{allowed}.*Got"
    ):
        Options(**{"max_new_tokens": 3, name: value})


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "prompt 1 must be a sequence of at least one token"),
        ([0.5], "prompt 1 must be a sequence of at least one token"),
        ([[1]], "prompt 1 must be a sequence of at least one token"),
        ([VOCAB], f"tokens of prompt 1 must be at least 0 and below {VOCAB}"),
        ([-1], f"tokens of prompt 1 must be at least 0 and below {VOCAB}"),
        ([1] * 4096, "prompt 1 and 'max_new_tokens' must fit into the context of 4096"),
    ],
)
def test__decode__bad_prompt__one_sentence(prompt, message):
    backend, _ = network("always")
    with pytest.raises(ValueError, match=message):
        decode(backend, [[1], prompt], Options(max_new_tokens=1))


def test__decode__no_prompts_or_no_tokens__does_nothing():
    backend, _ = network("always")
    assert decode(backend, [], Options(max_new_tokens=4)).run().rows == []
    done = decode(backend, [[1], [2]], Options(max_new_tokens=0)).run()
    assert [(row.tokens, row.finish) for row in done.rows] == [([], "length")] * 2
    assert backend.forwards == 0


class Uneven(TableBackend):
    """Kernels that compute the later places of a block differently in the last bit."""

    def _forward(self, start, width):
        forward = super()._forward(start, width)
        logits = forward.logits() * (1 + 2.0**-52 * np.arange(width)[:, None])
        forward.logits = lambda: logits
        return forward


def test__strict__kernels_that_see_the_place__are_refused():
    chain = np.random.default_rng(0).normal(size=(VOCAB, VOCAB, VOCAB))
    backend = Uneven(chain, np.stack([chain] * 3), sequential=True)
    with pytest.raises(DeviceError, match=r"lossless='strict' needs kernels .* place 1 of 4"):
        tokens_of(backend, [[1], [2]], draft="heads", lossless="strict")
