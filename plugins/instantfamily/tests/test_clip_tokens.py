"""Own reading of CLIP's byte pairs against transformers'."""

import json

import pytest
from transformers import CLIPTokenizer

from zoo_instantfamily.clip_tokens import ClipTokenizer, merges_text, read_merges

TEXTS = [
    "",
    "two men in a park",
    "  Two\tMEN,\n  isn't it? They'll've 1234 cats!!!  ",
    "naïve café Ångström, 東京の猫 and emoji 👩‍👩‍👧 … ½ Ⅷ",
    "cafe\u0301 is composed",
    "a <|endoftext|> b<|startoftext|>c",
    "'s 'S ''ll don't",
    "İstanbul ΣΑΣ straße",
    "a" * 300,
    "word " * 60,
]


@pytest.fixture(scope="module")
def pair():
    """A small vocabulary with merges that overlap and depend on their order."""
    merges = [("i", "n"), ("t", "h"), ("th", "e</w>"), ("a", "n"), ("an", "d</w>"), ("e", "r</w>")]
    merges += [("m", "e"), ("me", "n</w>"), ("a", "a"), ("aa", "aa"), ("in", "g</w>"), ("ca", "t")]
    merges += [
        ("c", "a"),
        ("Ã", "©</w>"),
        ("a", "t</w>"),
        ("ca", "t</w>"),
        ("!", "!"),
        ("!!", "!</w>"),
    ]
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 324))]
    words = [*letters, *(c + "</w>" for c in letters), *("".join(m) for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    theirs = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=40)
    kept = json.loads(json.dumps(vocabulary))
    return theirs, ClipTokenizer(kept, read_merges(merges_text(merges)), length=40)


def test__clip_tokenizer__texts_of_all_kinds__equals_transformers(pair):
    theirs, ours = pair
    wanted = theirs(TEXTS, padding="max_length", max_length=40, truncation=True).input_ids
    found = ours(TEXTS)
    for text, one, two in zip(TEXTS, found.tolist(), wanted, strict=True):
        assert one == two, text


def test__clip_tokenizer__merges__are_used(pair):
    _, ours = pair
    assert len(ours.encode("the men and the cat")) == 5
