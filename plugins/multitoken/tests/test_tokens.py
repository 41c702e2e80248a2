import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_multitoken.tokens import ByteTokenizer, FileTokenizer, tokenizer_from_json


@given(st.binary(max_size=64))
def test__byte_tokenizer__any_bytes__round_trip(content):
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(content)
    assert ids.dtype == np.int64
    assert ids.tolist() == list(content)
    assert tokenizer.decode_bytes(ids) == content
    assert tokenizer.decode([*ids, tokenizer.end_id]) == content.decode(errors="replace")


@given(st.text(max_size=32), st.integers(1, 4))
def test__text_stream__fed_in_pieces__gives_the_text_whole(text, size):
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    stream = tokenizer.stream()
    pieces = [stream.push(ids[at : at + size]) for at in range(0, len(ids), size)]
    assert "".join(pieces) + stream.finish() == text
    assert "�" not in "".join(pieces) or "�" in text


def test__text_stream__cut_character__waits_and_is_replaced_at_the_end():
    stream = ByteTokenizer().stream()
    assert stream.push([0x41, 0xE2, 0x82]) == "A"
    assert stream.push([0xAC]) == "€"
    assert stream.push([0xE2]) == ""
    assert stream.finish() == "�"


def test__byte_tokenizer__impossible_input__is_one_clear_error():
    tokenizer = ByteTokenizer()
    with pytest.raises(ValueError, match=r"must be 0 to 256\. Got 300"):
        tokenizer.decode([3, 300])
    with pytest.raises(ValueError, match=r"must be 0 to 256\. Got -1"):
        tokenizer.decode_bytes([-1])
    with pytest.raises(ValueError, match="surrogates not allowed at character 1"):
        tokenizer.encode("a\ud800")
    with pytest.raises(TypeError, match=r"must be str or bytes\. Got int"):
        tokenizer.encode(3)


def test__tokens__module__imports_no_torch():
    code = (
        "import sys, zoo_multitoken.tokens as tokens, zoo_multitoken.config;"
        "tokens.ByteTokenizer().encode('a');"
        "assert not {'torch', 'sklearn', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test__tokenizer_from_json__bytes__round_trips_and_others_are_refused():
    value = json.loads(json.dumps(ByteTokenizer().to_json()))
    assert isinstance(tokenizer_from_json(value), ByteTokenizer)
    for wrong in ({}, {"kind": "words"}, {"kind": "bytes", "more": 1}, [], None):
        with pytest.raises(ValueError, match="must be an object of kind 'bytes', or of kind"):
            tokenizer_from_json(wrong)


@pytest.fixture(scope="module")
def definition():
    """A byte-level BPE of a few merges, as the tokenizers library writes it."""
    backend = pytest.importorskip("tokenizers")
    tokenizer = backend.Tokenizer(backend.models.BPE())
    tokenizer.pre_tokenizer = backend.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = backend.decoders.ByteLevel()
    trainer = backend.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=backend.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the cat sat on the mat " * 9, "ça coûte 3 €"], trainer)
    return tokenizer.to_str()


def test__file_tokenizer__text__round_trips(definition):
    tokenizer = FileTokenizer(definition)
    text = "the cat, ça coûte €"
    ids = tokenizer.encode(text)
    assert len(ids) < len(text.encode())
    assert tokenizer.decode([*ids, tokenizer.end_id]) == text
    assert tokenizer.encode(text.encode()).tolist() == ids.tolist()
    assert tokenizer.decode(tokenizer.encode(b"a\xff")) == "a�"
    again = tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.encode(text).tolist() == ids.tolist()
    assert (again.vocab_size, again.end_id) == (tokenizer.vocab_size, 0)


def test__file_tokenizer__stream__never_shows_half_a_character(definition):
    tokenizer = FileTokenizer(definition)
    text = "the € mat ça"
    stream = tokenizer.stream()
    pieces = [stream.push([token]) for token in tokenizer.encode(text)]
    assert "".join(pieces) + stream.finish() == text
    assert "�" not in "".join(pieces)


def test__file_tokenizer__no_tokenizer_or_no_end_token__says_so(definition):
    with pytest.raises(ValueError, match="must be one that the tokenizers library reads"):
        FileTokenizer("{}")
    with pytest.raises(ValueError, match=r"must be in its vocabulary\. Got '</s>'"):
        FileTokenizer(definition, end="</s>")
