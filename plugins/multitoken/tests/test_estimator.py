"""The language model as an estimator."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from torch.nn import functional

import zoo
from zoo.errors import DeviceError, FormatError, IntegrityError, SourceError
from zoo_multitoken import ByteTokenizer, ModelConfig, MultiTokenLM, MultiTokenModel

TEXTS = ["the cat sat on the mat. " * 6, "the dog sat on the log. " * 6]
SMALL = {
    "n_heads": 3,
    "d_model": 16,
    "n_layers": 2,
    "attention_heads": 2,
    "context": 16,
    "batch_size": 4,
    "max_steps": 12,
    "device": "cpu",
    "random_state": 0,
}


def small(**changes):
    return MultiTokenLM(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def fitted():
    return small(max_steps=30).fit(TEXTS)


def weights(lm):
    return {name: value.detach().numpy().copy() for name, value in lm.model_.named_parameters()}


def same(one, other):
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def test__load__by_name__is_the_estimator():
    assert type(zoo.load("multitoken", n_heads=2)) is MultiTokenLM


def test__fit__seed__decides_the_weights_alone():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = small().fit(TEXTS)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    torch.manual_seed(2)
    assert same(weights(one), weights(small().fit(TEXTS)))
    assert not same(weights(one), weights(small(random_state=1).fit(TEXTS)))


def test__fit__any_way_to_give_the_texts__is_the_same(tmp_path):
    wanted = weights(small().fit(TEXTS))
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text)
    (tmp_path / "other.md").write_text("not this")
    files = [tmp_path / "0.txt", str(tmp_path / "1.txt")]
    rows = [{"text": text, "id": 3} for text in TEXTS]
    found = [
        small().fit(tuple(TEXTS)),
        small().fit(np.array(TEXTS)),
        small().fit(text for text in TEXTS),
        small().fit([text.encode() for text in TEXTS]),
        small(input="filename").fit(files),
        small(input="folder", pattern="*.txt").fit(tmp_path),
        small(column="text").fit(iter(rows)),
    ]
    assert all(same(wanted, weights(lm)) for lm in found)


@pytest.mark.parametrize(
    ("params", "X", "error", "message"),
    [
        ({}, "one text", TypeError, "must be an iterable of texts.*Got str"),
        ({}, b"one", TypeError, "must be an iterable of texts.*Got bytes"),
        ({}, 3, TypeError, "must be an iterable of texts.*Got int"),
        ({}, [], ValueError, r"at least one text\. Got none"),
        ({}, ["", b""], ValueError, r"at least one token together\. Got none"),
        ({}, ["a", 3], TypeError, r"Text 1 of X must be str or bytes\. Got int"),
        ({}, ["\ud800"], ValueError, "surrogates not allowed at character 0"),
        ({"column": "t"}, [{"text": "a"}], ValueError, "must have the column 't'"),
        ({"column": "t"}, ["a"], ValueError, "must have the column 't'"),
        ({"input": "filename"}, ["/nowhere/a"], SourceError, "/nowhere/a: No such file"),
        ({"input": "folder"}, "/nowhere", SourceError, "there is no such folder"),
        ({"input": "folder"}, ["a"], TypeError, "must be the path of a folder"),
        ({"tokenizer": "words"}, ["a"], SourceError, "must be 'bytes' or the path.*'words'"),
        ({"n_heads": 0}, ["a"], ValueError, "'n_heads' .* from 1 to 1024. Got 0 instead"),
        ({"n_heads": 2.0}, ["a"], ValueError, "'n_heads' .* from 1 to 1024. Got 2.0 instead"),
        ({"d_model": 17}, ["a"], ValueError, "even multiple of attention_heads"),
        ({"head": "tree"}, ["a"], ValueError, "'head' parameter of MultiTokenLM must be one of"),
        ({"loss_weights": -1}, ["a"], ValueError, "'loss_weights' .* Got -1 instead"),
        ({"loss_weights": [1.0]}, ["a"], ValueError, "one weight for each of 3 heads"),
        ({"early_stopping": True}, ["a"], ValueError, "needs a 'validation_fraction' above 0"),
        ({"freeze_trunk": True}, ["a"], ValueError, "needs a trained trunk"),
        ({"validation_fraction": 0.5}, ["a"], ValueError, "at least 2 characters"),
        ({"device": "abacus"}, ["a"], DeviceError, "'abacus' cannot be used"),
        ({"epochs": 0}, ["a"], ValueError, "'epochs' .* positive number. Got 0"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:12].strip(),
)
def test__fit__bad_input__is_one_clear_error(params, X, error, message):
    with pytest.raises(error, match=message):
        small(**params).fit(X)


def test__fit__one_byte_or_invalid_utf8__works():
    lm = small(max_steps=2).fit([b"\xff"])
    assert lm.predict_proba([b"\xff"]).shape == (1, 257)
    assert np.isfinite(lm.bits_per_byte([b"\xfe\xff"]))


def test__fit__file_of_a_hundred_megabytes__works(tmp_path):
    path = tmp_path / "huge.bin"
    path.write_bytes(bytes(range(256)) * (100 * 2**20 // 256))
    lm = small(max_steps=1, input="filename", validation_fraction=0.01).fit([path])
    assert lm.n_steps_ == 1
    assert np.isfinite(lm.history_[-1]["held_out"][0])


def test__fit__checkpoint_of_the_same_fit__goes_on_to_the_same_bits(tmp_path):
    class Stop(Exception):
        pass

    def texts():
        yield from TEXTS

    whole = small().fit(TEXTS)
    lm = small(checkpoint=tmp_path, checkpoint_seconds=0.0)
    from zoo_multitoken.training import Trainer

    advance = Trainer._advance
    try:
        Trainer._advance = lambda self: (
            (_ for _ in ()).throw(Stop) if self.step == 5 else advance(self)
        )
        with pytest.raises(Stop):
            lm.fit(TEXTS)
    finally:
        Trainer._advance = advance
    assert [path.name for path in sorted(tmp_path.iterdir())][-1] == "step-000000005"
    resumed = small(checkpoint=tmp_path).fit(texts())
    assert same(weights(whole), weights(resumed))
    assert (resumed.n_steps_, resumed.n_bytes_seen_) == (whole.n_steps_, whole.n_bytes_seen_)


def test__fit__early_stopping__keeps_the_best_weights():
    lm = small(
        max_steps=300,
        validation_fraction=0.5,
        early_stopping=True,
        patience=2,
        evaluate_every=5,
        learning_rate=0.1,
    ).fit(TEXTS)
    losses = [entry["held_out"][0] for entry in lm.history_]
    assert lm.n_steps_ == 5 * len(losses) < 300
    assert losses[-3] == min(losses)


def test__warm_start__frozen_trunk__adds_heads_and_leaves_the_next_token():
    lm = small(n_heads=1, warm_start=True).fit(TEXTS)
    before = lm.predict_proba(TEXTS)
    lm.set_params(n_heads=3, head="linear", freeze_trunk=True).fit(TEXTS)
    assert lm.model_.config.n_heads == 3
    assert np.array_equal(lm.predict_proba(TEXTS), before)
    assert lm.n_steps_ == 24
    with pytest.raises(ValueError, match=r"must keep the trunk\. Got d_model 32 after 16, d_ff"):
        lm.set_params(d_model=32).fit(TEXTS)
    with pytest.raises(ValueError, match="Got head 'parallel' after 'linear'"):
        lm.set_params(d_model=16, head="parallel").fit(TEXTS)


def test__partial_fit__pieces__goes_on_learning():
    lm = small()
    losses = []
    for _ in range(4):
        lm.partial_fit(TEXTS * 8)
        losses.append(lm.bits_per_byte(TEXTS))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    steps = -(-(len(TEXTS[0]) + 1) * 16 // 64)
    assert lm.n_steps_ == 4 * steps
    again = pickle.loads(pickle.dumps(lm)).partial_fit(TEXTS)
    assert again.n_steps_ > lm.n_steps_


@pytest.mark.parametrize("head", ["linear", "causal", "anticausal"])
def test__evaluate__long_and_short_texts__is_what_windows_by_hand_give(head):
    lm = MultiTokenLM.from_model(shaken(head), ByteTokenizer())
    texts = [bytes(range(60, 97)), b"q", b"", b"some text"]
    found = lm.evaluate(texts)
    nats, hits, counts = np.zeros(3), np.zeros(3), np.zeros(3)
    for text in texts:
        ids = torch.tensor([256, *text])
        for place in range(len(text)):
            first = 0 if place < 16 else 8 * ((place - 16) // 8 + 1)
            for i in (1, 2, 3):
                if place + i < len(ids):
                    window = torch.cat([ids, torch.zeros(3, dtype=torch.int64)])
                    extra = 2 if lm.model_.config.drafts_read_tokens else 0
                    with torch.no_grad():
                        logits = lm.model_(window[None, first : place + 1 + extra])[0]
                    loss = functional.cross_entropy(logits[place - first, i - 1], ids[place + i])
                    nats[i - 1] += loss
                    hits[i - 1] += logits[place - first, i - 1].argmax() == ids[place + i]
                    counts[i - 1] += 1
    assert found["tokens"].tolist() == counts.tolist() == [47, 44, 42]
    np.testing.assert_allclose(found["bits_per_byte"], nats / counts / np.log(2), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], hits / counts)
    assert lm.bits_per_byte(texts) == found["bits_per_byte"][0] == -lm.score(texts)
    assert lm.perplexity(texts) == pytest.approx(2 ** found["bits_per_byte"][0])
    assert lm.score_samples(texts).sum() == pytest.approx(-nats[0], rel=1e-5)
    assert lm.score_samples([b""]) == [0.0]


def shaken(head):
    model = MultiTokenModel(
        ModelConfig(
            n_heads=3, head=head, d_model=16, n_layers=4, attention_heads=2, kv_heads=2, context=16
        )
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def test__evaluate__nothing_to_score__says_so(fitted):
    with pytest.raises(ValueError, match=r"at least one byte to be scored\. Got none"):
        fitted.evaluate(["", ""])
    with pytest.raises(ValueError, match=r"at least one token to be scored\. Got none"):
        fitted.perplexity([""])


def test__transform__long_short_and_empty_texts__is_the_mean_of_the_states(fitted):
    texts = ["the cat sat on the mat. " * 2, "a", ""]
    found = fitted.transform(texts)
    assert found.shape == (3, 16)
    assert found.dtype == np.float32
    model = fitted.model_
    with torch.no_grad():
        ids = torch.tensor([[256, 97]])
        states = model.norm(model.head_states(model.trunk(ids), ids, heads=[1])[1])
    np.testing.assert_allclose(found[1], states[0].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], states[0, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted.transform(texts[:1])[0], found[0], rtol=1e-5, atol=1e-6)
    assert fitted.get_feature_names_out()[:2].tolist() == ["multitokenlm0", "multitokenlm1"]


def test__predict_proba__is_the_softmax_behind_the_text(fitted):
    texts = ["the cat", "", "the cat sat on the mat, the dog"]
    found = fitted.predict_proba(texts)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-5)
    with torch.no_grad():
        ids = torch.tensor([[256, *b"the cat"]])
        wanted = fitted.model_(torch.nn.functional.pad(ids, (0, 2)))[0, 7, 0].softmax(-1)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4)
    assert np.array_equal(fitted.predict(texts), found.argmax(1))


@pytest.mark.parametrize(
    "verb", ["evaluate", "score", "transform", "predict_proba", "round_weights"]
)
def test__unfitted__every_verb__says_so(verb):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), verb)(*(() if verb == "round_weights" else (TEXTS,)))


def test__clone_pickle_and_search__work(fitted):
    assert clone(fitted).get_params() == fitted.get_params()
    restored = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(restored.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    search = GridSearchCV(small(max_steps=2), {"n_heads": [1, 2]}, cv=2).fit(np.array(TEXTS * 2))
    assert search.best_params_["n_heads"] in (1, 2)


def test__save_pretrained__round_trip__keeps_everything(fitted, tmp_path):
    fitted.save_pretrained(tmp_path / "lm")
    loaded = zoo.load(tmp_path / "lm")
    assert type(loaded) is MultiTokenLM
    assert loaded.get_params() == fitted.get_params()
    assert same(weights(fitted), weights(loaded))
    assert loaded.history_ == fitted.history_
    assert (loaded.n_steps_, loaded.n_bytes_seen_) == (fitted.n_steps_, fitted.n_bytes_seen_)
    assert np.array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


def test__round_weights__halves_the_file_and_saving_stays_exact(fitted, tmp_path):
    lm = pickle.loads(pickle.dumps(fitted))
    lm.save_pretrained(tmp_path / "single")
    lm.round_weights().save_pretrained(tmp_path / "half")
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("single", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    assert same(weights(lm), weights(zoo.load(tmp_path / "half")))
    with torch.no_grad():
        lm.model_.embedding.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match=r"at most 65504 to be rounded .* Got 1e\+06"):
        lm.round_weights()


def test__load__state_that_does_not_belong_together__is_refused(fitted, tmp_path):
    folder = fitted.save_pretrained(tmp_path / "lm")
    text = (folder / "config.json").read_text()
    for old, new, message in [
        ('"d_ff": 64', '"d_ff": 32', "must be float32 or float16 of shape"),
        ('"kind": "bytes"', '"kind": "words"', "must be an object of kind 'bytes'"),
        ('"vocab_size": 257', '"vocab_size": 200', r"tokenizer's 257 tokens\. Got 200"),
        ('"n_steps": 30', '"n_steps": "30"', "'n_steps' of a language model must be a int"),
    ]:
        assert text.count(old) == 1, old
        (folder / "config.json").write_text(text.replace(old, new))
        with pytest.raises(FormatError, match=message):
            zoo.load(folder)
    (folder / "config.json").write_text(text)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="truncated"):
        zoo.load(folder)


def test__save_pretrained__no_space_left__leaves_nothing(fitted, tmp_path, monkeypatch):
    import safetensors.numpy

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        fitted.save_pretrained(tmp_path / "lm")
    assert list(tmp_path.iterdir()) == []


def test__verbose__training__shows_a_bar(capsys):
    small(max_steps=3, verbose=1).fit(TEXTS)
    assert "3/3" in capsys.readouterr().out


def test__tokenizer_file__trains_scores_and_travels_with_the_model(tmp_path):
    backend = pytest.importorskip("tokenizers")
    tokenizer = backend.Tokenizer(backend.models.WordLevel(unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = backend.pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        TEXTS, backend.trainers.WordLevelTrainer(special_tokens=["<|endoftext|>"])
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    lm = small(tokenizer=tmp_path / "tokenizer.json").fit(TEXTS)
    assert lm.model_.config.vocab_size == tokenizer.get_vocab_size()
    found = lm.evaluate(["the cat sat"])
    assert found["tokens"].tolist() == [3, 2, 1]
    nats = -lm.score_samples(["the cat sat"])[0]
    assert found["bits_per_byte"][0] == pytest.approx(nats / np.log(2) / len("the cat sat"))
    lm.set_params(tokenizer=str(tmp_path / "tokenizer.json")).save_pretrained(tmp_path / "lm")
    (tmp_path / "tokenizer.json").unlink()
    assert zoo.load(tmp_path / "lm").bits_per_byte(TEXTS) == lm.bits_per_byte(TEXTS)
