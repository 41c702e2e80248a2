"""From prompts to texts: bytes, characters, tokenizer files, long and empty prompts."""

import json

import numpy as np
import pytest
import torch

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.decoding import Backend, Forward
from zoo_multitoken.generation import generate, stream, token_pieces
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import ByteTokenizer, FileTokenizer
from zoo_multitoken.torch_backend import TorchBackend

TEXT = "Größe, naïve 東京 and 🦊: def f(x):\n    return  x\n"


class Script(Backend):
    """Says one text, whatever it reads; the heads know the rest of it."""

    n_heads, vocab_size, context = 4, 257, 64

    def __init__(self, text):
        self.script = [*text.encode(), 256, *[0] * 64]
        self.prompts = []

    def prefill(self, prompts, plan):
        self.prompts += [prompt.tolist() for prompt in prompts]
        self.place = np.zeros(len(prompts), dtype=int)
        return Say(self.script, self.place, 1)

    def step(self, tokens, lengths):
        return Say(self.script, self.place + 1, tokens.shape[1])

    def keep(self, counts):
        self.place = self.place + counts

    def select(self, rows):
        self.place = self.place[list(rows)]


class Say(Forward):
    def __init__(self, script, place, width):
        self.script, self.place, self.width = np.array(script), place, width

    def logits(self):
        said = self.script[self.place[:, None] + np.arange(self.width)]
        return 50.0 * (said[..., None] == np.arange(257))

    def heads(self, at):
        places = self.place + at

        class Know:
            @staticmethod
            def best(tokens, count):
                return self.script[places[:, None] + 1 + np.arange(count)]

        return Know()


def test__generate__text_that_ends_itself__is_whole_text_without_end_token():
    done = generate(Script(TEXT[:20]), ByteTokenizer(), ["a", "bc"], max_new_tokens=60)
    assert done.texts == [TEXT[:20]] * 2
    assert [each.finish for each in done.completions] == ["end", "end"]
    assert done.completions[0].tokens == (*TEXT[:20].encode(), 256)
    assert done.statistics.tokens_per_forward > 2


@pytest.mark.parametrize("limit", range(1, 26))
def test__stream__any_limit__sums_up_to_generate_and_cuts_no_character(limit):
    text = "é東🦊é東🦊"
    whole = generate(Script(text), ByteTokenizer(), ["x"], max_new_tokens=limit).texts[0]
    decoding, bursts = stream(Script(text), ByteTokenizer(), ["x"], max_new_tokens=limit)
    parts = [burst.text for burst in bursts]
    assert "".join(parts) == whole == text.encode()[:limit].decode(errors="replace")
    assert not any("\ufffd" in part for part in parts[:-1])
    assert decoding.statistics.tokens == min(limit, len(text.encode()) + 1)


@pytest.mark.parametrize("stop", ["東", ["zz", "東"], "東".encode()])
def test__stop__character_of_several_bytes__ends_in_front_of_it(stop):
    done = generate(Script("ab東c"), ByteTokenizer(), ["x"], stop=stop, max_new_tokens=30)
    assert done.completions[0].text == "ab"
    assert done.completions[0].finish == "stop"


def test__prompt__longer_than_the_context__keeps_its_end():
    backend = Script(TEXT)
    generate(backend, ByteTokenizer(), ["0123456789" * 10, "short"], max_new_tokens=60)
    assert [bytes(prompt) for prompt in backend.prompts] == [b"6789", b"hort"]


@pytest.mark.parametrize("empty", ["", b""])
def test__prompt__empty__begins_a_new_text(empty):
    backend = Script("hello")
    done = generate(backend, ByteTokenizer(), [empty, "x", b"\xff\x00"], max_new_tokens=9)
    assert backend.prompts == [[256], [120], [255, 0]]
    assert done.texts == ["hello"] * 3


def test__generate__no_prompts_or_no_tokens__gives_nothing():
    assert generate(Script(""), ByteTokenizer(), []).texts == []
    assert generate(Script(TEXT), ByteTokenizer(), ["a"], max_new_tokens=0).texts == [""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 64}, "'max_new_tokens' .* must be below the model's context of 64"),
        ({"max_new_tokens": -1}, "'max_new_tokens' .* must be an integer of at least 0"),
        ({"stop": 3}, "'stop' .* must be text, or a list of texts"),
        ({"stop": [3]}, "'stop' .* must be text, or a list of texts"),
        ({"stop": [""]}, "'stop' .* must hold texts of at least one byte"),
        ({"batch_size": 0}, "'batch_size' .* must be an integer of at least 1"),
        ({"random_state": "x"}, "'random_state' .* must be an integer of at least 0"),
    ],
    ids=str,
)
def test__generate__bad_option__one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        generate(Script(TEXT), ByteTokenizer(), ["a"], **{"max_new_tokens": 4, **options})


def test__generate__prompt_that_is_no_text__one_sentence():
    with pytest.raises(ValueError, match=r"A prompt must be text or bytes\. Got a int"):
        generate(Script(TEXT), ByteTokenizer(), [3], max_new_tokens=4)


def test__generate__drawn__depends_on_the_seed_and_not_on_the_batch():
    config = ModelConfig(d_model=16, n_layers=2, attention_heads=2, kv_heads=1, d_ff=16, context=64)
    backend, tokenizer = TorchBackend(MultiTokenModel(config).eval()), ByteTokenizer()
    prompts = ["a", "bb", "ccc", "d", "e"]
    given = {"temperature": 1.0, "max_new_tokens": 12}
    drawn = [
        generate(backend, tokenizer, prompts, batch_size=size, random_state=4, **given).texts
        for size in (1, 2, 5)
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0])) == 5
    other = generate(backend, tokenizer, prompts, random_state=5, **given).texts
    assert not set(other) & set(drawn[0])
    free = [generate(backend, tokenizer, prompts, **given).texts for _ in range(2)]
    assert free[0] != free[1]
    for make in (np.random.default_rng, np.random.RandomState):
        same = [
            generate(backend, tokenizer, prompts, random_state=make(1), **given).texts
            for _ in range(2)
        ]
        assert same[0] == same[1]


def trained(kind):
    library = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    end = {"special_tokens": ["<|endoftext|>"], "show_progress": False}
    if kind == "byte-level":
        made = library.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, **end)
    elif kind == "byte-fallback":
        made = library.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        made.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        raw = [f"<0x{byte:02X}>" for byte in range(256)]
        end["special_tokens"] = ["<unk>", "<|endoftext|>", *raw]
        trainer = trainers.BpeTrainer(vocab_size=340, **end)
    else:
        made = library.Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        made.decoder = decoders.Metaspace(prepend_scheme="never")
        end["special_tokens"] = ["<|endoftext|>", "<unk>"]
        trainer = trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", **end)
    made.train_from_iterator([TEXT] * 3, trainer)
    return FileTokenizer(made.to_str())


@pytest.mark.parametrize("kind", ["byte-level", "unigram"])
def test__pieces__tokenizer_file__sum_up_to_the_text(kind):
    tokenizer = trained(kind)
    pieces = token_pieces(tokenizer)
    ids = tokenizer.encode(TEXT)
    assert len(pieces) == tokenizer.vocab_size
    assert pieces[tokenizer.end_id] == b""
    assert b"".join(pieces[token] for token in ids) == TEXT.encode()


def test__pieces__byte_fallback__give_single_bytes_and_spaces():
    tokenizer = trained("byte-fallback")
    definition = tokenizer.to_json()["definition"]
    # As in Llama 2, whose byte tokens are part of the vocabulary and have no other role.
    for token in definition["added_tokens"]:
        token["special"] = token["content"] == "<|endoftext|>"
    pieces = token_pieces(FileTokenizer(json.dumps(definition)))
    vocabulary = definition["model"]["vocab"]
    assert pieces[vocabulary["<0xE6>"]] == b"\xe6"
    assert b"".join(pieces[token] for token in tokenizer.encode(TEXT)) == TEXT.encode()


def test__pieces__bytes__are_bytes():
    pieces = token_pieces(ByteTokenizer())
    assert b"".join(pieces) == bytes(range(256))
    assert len(pieces) == 257


def test__stream__on_torch__sums_up_to_generate():
    torch.manual_seed(0)
    config = ModelConfig(d_model=16, n_layers=2, attention_heads=2, kv_heads=1, d_ff=16, context=64)
    backend = TorchBackend(MultiTokenModel(config).eval())
    given = {"max_new_tokens": 30, "temperature": 1.5, "random_state": 1, "stop": ["a", "\x10"]}
    whole = generate(backend, ByteTokenizer(), ["x", "yy"], **given).texts
    _, bursts = stream(backend, ByteTokenizer(), ["x", "yy"], **given)
    parts = ["", ""]
    for burst in bursts:
        parts[burst.burst.row] += burst.text
    assert parts == whole
