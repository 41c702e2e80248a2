"""Draws of the decoding loop: streams, truncation, rejection, and the distribution they make."""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, kstest

from zoo_multitoken.decoding import Options, decode
from zoo_multitoken.decoding.sampling import invert, probabilities, verify
from zoo_multitoken.decoding.streams import Streams
from zoo_multitoken.decoding.table import TableBackend

VOCAB = 5
SAMPLES = 200_000
KINDS = ["parallel", "sequential", "perfect", "hopeless"]
SETTINGS = [
    {"temperature": 1.0},
    {"temperature": 0.5},
    {"temperature": 1.7},
    {"temperature": 1.4, "top_p": 0.9},
    {"temperature": 1.3, "top_p": 0.7, "top_k": 4},
    {"temperature": 1.0, "top_k": 2},
]


def name_setting(setting):
    return "-".join(f"{name}={value}" for name, value in setting.items())


def options(**given):
    return Options(**{"max_new_tokens": 8, "temperature": 1.0, **given})


def chain(kind, *, seed=0):
    """A chain and heads that guess it: roughly, exactly, or nearly never."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(VOCAB, VOCAB, VOCAB)) * 1.5
    if kind == "perfect":
        heads = np.stack([table] * 3)
    elif kind == "hopeless":
        heads = np.stack([-4.0 * table] * 3)
    else:
        heads = np.stack([table + rng.normal(size=table.shape) for _ in range(3)])
    return TableBackend(table, heads, sequential=kind != "parallel"), table


def slow_distribution(logits, *, temperature, top_k=None, top_p=1.0):
    """One distribution, token by token."""
    weights = {token: np.exp(value / temperature) for token, value in enumerate(logits)}
    ranked = sorted(weights, key=lambda token: (-logits[token], token))[:top_k]
    total = sum(weights[token] for token in ranked)
    kept, mass = [], 0.0
    for token in ranked:
        if mass >= top_p - 1e-12:
            break
        kept.append(token)
        mass += weights[token] / total
    share = sum(weights[token] for token in kept)
    return np.array([weights[token] / share if token in kept else 0.0 for token in weights])


def exact_texts(table, prompt, length, setting):
    """The probability of every text of a length."""
    chances = {}
    for text in itertools.product(range(VOCAB), repeat=length):
        chance, seen = 1.0, list(prompt)
        for token in text:
            chance *= slow_distribution(table[seen[-2], seen[-1]], **setting)[token]
            seen.append(token)
        chances[text] = chance
    return chances


def assert_distributed(counts, chances):
    """Chi-square over the possible outcomes; rare ones in one cell."""
    total = sum(counts.values())
    assert not [outcome for outcome, seen in counts.items() if seen and chances[outcome] == 0]
    common = [outcome for outcome, chance in chances.items() if chance * total >= 10]
    observed = [counts.get(outcome, 0) for outcome in common]
    expected = [chances[outcome] * total for outcome in common]
    if (rest := total - sum(expected)) > 1e-6 * total:
        observed, expected = [*observed, total - sum(observed)], [*expected, rest]
    distance = sum(abs(counts.get(o, 0) / total - chance) for o, chance in chances.items()) / 2
    p_value = chisquare(observed, expected).pvalue
    print(f"total variation {distance:.5f}, p {p_value:.3f}, {total} samples")
    assert p_value > 0.01
    # Against the distance expected of a sample from the exact distribution itself.
    noise = sum(np.sqrt(c * (1 - c) / total) for c in chances.values()) * np.sqrt(2 / np.pi) / 2
    assert distance < 2 * noise


def test__streams__draws__are_uniform_and_differ_between_rows():
    uniform = Streams(7, range(200)).draw([500] * 200)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert kstest(uniform.ravel(), "uniform").pvalue > 0.01
    assert len(np.unique(uniform)) == uniform.size
    assert np.abs(np.corrcoef(uniform) - np.eye(200)).max() < 0.25


def test__streams__rows__do_not_depend_on_each_other():
    alone, together = Streams(3, [1]), Streams(3, range(4))
    wanted = np.concatenate([alone.draw([2])[0], alone.draw([3])[0]])
    first = together.draw([9, 2, 0, 1])[1, :2]
    together.select([1, 2])
    np.testing.assert_array_equal(wanted, [*first, *together.draw([3, 1])[0]])


def test__streams__seeds__give_other_numbers():
    assert (Streams(0, range(3)).draw([8] * 3) != Streams(1, range(3)).draw([8] * 3)).all()


@pytest.mark.parametrize("setting", SETTINGS, ids=name_setting)
def test__probabilities__any_truncation__equal_a_loop_over_tokens(setting):
    logits = np.random.default_rng(1).normal(size=(4, 3, 11)) * 2
    logits[0, 0, :6] = 1.0  # ties
    logits[1, 1, 3:] = -np.inf
    got = probabilities(logits, options(**setting))
    for place in np.ndindex(4, 3):
        np.testing.assert_allclose(got[place], slow_distribution(logits[place], **setting))


def test__probabilities__huge_logits__do_not_overflow():
    got = probabilities(np.array([1e30, -1e30, 1e30]), options(temperature=1e-3))
    np.testing.assert_array_equal(got, [0.5, 0.0, 0.5])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test__probabilities__logits_without_meaning__one_error(bad):
    with pytest.raises(ValueError, match=r"logits of a model must be finite.*Got "):
        probabilities(np.full((2, 3), bad), options())


def test__invert__any_uniform__never_takes_a_token_without_weight():
    weights = np.array([0.0, 0.1, 0.0, 0.2, 0.0])
    uniform = np.array([0.0, 0.3333, 0.3334, 1 - 2**-53])
    np.testing.assert_array_equal(invert(np.tile(weights, (4, 1)), uniform), [1, 1, 3, 3])


@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "given"])
def test__verify__one_place__makes_the_target(drawn):
    rng = np.random.default_rng(5)
    target, asked = rng.dirichlet(np.ones(VOCAB), size=2)
    behind = rng.dirichlet(np.ones(VOCAB))
    rows = SAMPLES
    drafts = rng.choice(VOCAB, size=(rows, 1), p=asked) if drawn else np.full((rows, 1), 2)
    accepted, last = verify(
        np.tile([target, behind], (rows, 1, 1)),
        np.tile(asked, (rows, 1, 1)) if drawn else None,
        drafts,
        np.ones(rows, dtype=int),
        rng.uniform(size=(rows, 2)),
    )
    first = np.where(accepted == 1, drafts[:, 0], last)
    assert chisquare(np.bincount(first, minlength=VOCAB), target * rows).pvalue > 0.01
    later = last[accepted == 1]
    assert chisquare(np.bincount(later, minlength=VOCAB), behind * len(later)).pvalue > 0.01
    rate = np.minimum(target, asked).sum() if drawn else target[2]
    assert accepted.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / rows))


def test__verify__target_equal_to_proposal__accepts_all():
    weights = np.random.default_rng(2).dirichlet(np.ones(VOCAB), size=(50, 4))
    drafts = weights[:, :3].argmax(-1)
    accepted, _ = verify(
        weights, weights[:, :3], drafts, np.full(50, 3), np.full((50, 4), 1 - 2**-53)
    )
    assert (accepted == 3).all()


def sample_texts(backend, rows, length, setting, **given):
    """Wide batches, so that many texts are drawn at once."""
    counts = {}
    done = decode(
        backend,
        [[1, 2]] * rows,
        options(max_new_tokens=length, seed=11, **setting, **given),
    ).run()
    for row in done.rows:
        counts[tuple(row.tokens)] = counts.get(tuple(row.tokens), 0) + 1
    return counts, done.statistics


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        *(("parallel", setting) for setting in SETTINGS[1::2]),
        *((kind, SETTINGS[3]) for kind in KINDS[1:]),
    ],
    ids=lambda value: value if isinstance(value, str) else name_setting(value),
)
def test__sampling__texts_of_three_tokens__have_their_exact_probability(kind, setting):
    backend, table = chain(kind)
    counts, statistics = sample_texts(backend, 10_000, 3, setting, draft="heads", n_draft=2)
    assert_distributed(counts, exact_texts(table, [1, 2], 3, setting))
    if kind == "perfect":
        assert statistics.tokens_per_forward == 2.0
    if kind == "parallel":
        assert 1.0 < statistics.tokens_per_forward < 2.0


def count_transitions(backend, rows, total, setting, **given):
    """Long texts in a batch of a given size: what followed each pair of tokens."""
    counts = np.zeros((VOCAB, VOCAB, VOCAB), dtype=int)
    given = options(max_new_tokens=total // rows, seed=3, **setting, **given)
    done = decode(backend, [[1, 2]] * rows, given).run()
    for row in done.rows:
        text = np.array([1, 2, *row.tokens])
        np.add.at(counts, (text[:-2], text[1:-1], text[2:]), 1)
    assert counts.sum() == total // rows * rows
    return counts, done.statistics


def assert_transitions(counts, table, setting):
    """Given the pair before it each token is an independent draw: one chi-square over all."""
    statistic, freedom, distance = 0.0, 0, 0.0
    for pair in np.ndindex(VOCAB, VOCAB):
        seen = counts[pair]
        expected = seen.sum() * slow_distribution(table[pair], **setting)
        assert not seen[expected == 0].any()
        distance += np.abs(seen - expected).sum() / 2 / counts.sum()
        rare = expected < 5
        if (~rare).sum() > 1:
            cells = (
                np.append(seen[~rare], seen[rare].sum()),
                np.append(expected[~rare], expected[rare].sum()),
            )
            cells = [values[cells[1] > 0] for values in cells]
            statistic += chisquare(*cells).statistic
            freedom += len(cells[0]) - 1
    p_value = chi2.sf(statistic, freedom)
    print(f"total variation {distance:.5f}, p {p_value:.3f}, {counts.sum()} samples")
    assert freedom > 10
    assert p_value > 0.01


@pytest.mark.parametrize("draft", ["heads", "lookup", "hybrid"])
@pytest.mark.parametrize("rows", [1, 4])
def test__sampling__adaptive_drafts_of_any_source__keep_the_chain(rows, draft):
    backend, table = chain("sequential", seed=4)
    setting = {"temperature": 1.0, "top_p": 0.9}
    backend.context = 2 * SAMPLES
    counts, statistics = count_transitions(backend, rows, 4_000, setting, draft=draft)
    assert_transitions(counts, table, setting)
    assert statistics.tokens_per_forward > 1.05


@pytest.mark.parametrize("setting", [SETTINGS[i] for i in (1, 2, 4)], ids=name_setting)
def test__sampling__200_000_tokens__keep_the_chain(setting):
    backend, table = chain("parallel", seed=6)
    counts, _ = count_transitions(backend, 2_000, SAMPLES, setting, draft="heads", n_draft=2)
    assert_transitions(counts, table, setting)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 4])
def test__sampling__200_000_tokens_in_few_texts__keep_the_chain(rows):
    backend, table = chain("parallel", seed=6)
    backend.context = 2 * SAMPLES
    counts, _ = count_transitions(backend, rows, SAMPLES, SETTINGS[3], draft="heads", n_draft=2)
    assert_transitions(counts, table, SETTINGS[3])


@pytest.mark.parametrize("setting", SETTINGS[:5], ids=name_setting)
@pytest.mark.parametrize("rows", [1, 4])
def test__sampling__small_batches__are_rows_of_the_wide_one_token_for_token(rows, setting):
    """What is shown of wide batches holds for the texts of small ones, as they are the same."""
    backend, _ = chain("parallel", seed=6)
    given = options(max_new_tokens=100, seed=3, draft="heads", n_draft=2, **setting)
    wide = decode(backend, [[1, 2]] * 40, given).run()
    for first in range(0, 40, rows * 5):
        few = decode(backend, [[1, 2]] * rows, given, first=first).run()
        assert [r.tokens for r in few.rows] == [r.tokens for r in wide.rows[first : first + rows]]


def test__sampling__200_000_texts__have_their_exact_probability():
    backend, table = chain("parallel")
    counts, _ = sample_texts(backend, SAMPLES, 2, SETTINGS[3], draft="heads", n_draft=3)
    assert sum(counts.values()) == SAMPLES
    assert_distributed(counts, exact_texts(table, [1, 2], 2, SETTINGS[3]))


def test__sampling__wrong_rule__is_told_apart():
    """The test has the power to find the usual mistake: accepting without a residual."""
    backend, table = chain("parallel")
    chances = exact_texts(table, [1, 2], 2, {"temperature": 1.0})
    rng = np.random.default_rng(0)
    biased = {outcome: chance * (1 + 0.05 * rng.normal()) for outcome, chance in chances.items()}
    total = sum(biased.values())
    counts, _ = sample_texts(backend, 50_000, 2, {"temperature": 1.0}, draft="heads")
    with pytest.raises(AssertionError, match=r"assert .* > 0\.01"):
        assert_distributed(counts, {outcome: c / total for outcome, c in biased.items()})


def test__sampling__seed__reproduces_a_row_alone_and_in_a_batch():
    backend, _ = chain("sequential")
    prompts = [[1, 2, 3], [4], [0, 0], [3, 1]]
    given = options(max_new_tokens=40, seed=9, end_tokens=frozenset([4]))
    together = [row.tokens for row in decode(backend, prompts, given).run().rows]
    again = [row.tokens for row in decode(backend, prompts, given).run().rows]
    alone = decode(backend, prompts[:1], given).run().rows[0].tokens
    other = decode(backend, prompts[:1], options(max_new_tokens=40, seed=10)).run().rows[0].tokens
    assert together == again
    assert alone == together[0]
    assert other != alone


def test__sampling__autoregressive__has_the_exact_probability():
    backend, table = chain("parallel")
    counts, statistics = sample_texts(
        backend, 10_000, 2, SETTINGS[4], strategy="autoregressive", draft="heads"
    )
    assert_distributed(counts, exact_texts(table, [1, 2], 2, SETTINGS[4]))
    assert statistics.tokens_per_forward == 1.0
