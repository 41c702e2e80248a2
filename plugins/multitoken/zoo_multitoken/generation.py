"""From prompts to texts: what ``generate`` and ``stream`` of every backend call. Free of torch."""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding import Backend, Burst, Decoding, Options, Statistics, decode
from zoo_multitoken.tokens import ByteTokenizer, Tokenizer

__all__ = ["Completion", "Completions", "TextBurst", "generate", "stream", "token_pieces"]

Text = str | bytes


@dataclass(frozen=True, slots=True)
class Completion:
    """What was added to one prompt.

    Attributes
    ----------
    text : str
        Without the prompt, without stop text; what is not UTF-8 becomes U+FFFD.
    data : bytes
        The same as bytes.
    tokens : tuple of int
        The new tokens, an end token included.
    finish : {"end", "stop", "length", "cancelled"}
        Why it ended.
    """

    text: str
    data: bytes
    tokens: tuple[int, ...]
    finish: str


@dataclass(frozen=True, slots=True)
class Completions:
    """What was added to many prompts.

    Attributes
    ----------
    completions : list of Completion
        One for each prompt, in order.
    statistics : Statistics
        Counts over all of them.
    """

    completions: list[Completion]
    statistics: Statistics

    @property
    def texts(self) -> list[str]:
        """The new texts alone."""
        return [completion.text for completion in self.completions]


@dataclass(frozen=True, slots=True)
class TextBurst:
    """What one forward added to one prompt, as text.

    Attributes
    ----------
    text : str
        Characters that are certain by now; one of several bytes waits for its last.
    burst : Burst
        The tokens, how many of them were accepted drafts, and whether the text ended.
    """

    text: str
    burst: Burst


def generate(
    backend: Backend,
    tokenizer: Tokenizer,
    prompts: Sequence[Text],
    *,
    max_new_tokens: int = 128,
    stop: Text | Sequence[Text] | None = None,
    random_state: Any = None,
    batch_size: int = 8,
    callbacks: Sequence[Callable[[Burst], object]] = (),
    **options: Any,
) -> Completions:
    """Continue texts.

    Parameters
    ----------
    backend : Backend
        The network.
    tokenizer : Tokenizer
        Its tokens.
    prompts : sequence of str or bytes
        What to continue. Of one that leaves no room for `max_new_tokens` in the context, the end
        is read; an empty one begins a new text.
    max_new_tokens : int, default=128
        Most tokens added to each.
    stop : str, bytes, sequence of these, or None, default=None
        Texts that end a continuation.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        Fixes what is drawn. ``None`` draws differently each time.
    batch_size : int, default=8
        Texts continued at once. What is drawn for a text does not depend on it.
    callbacks : sequence of callable, default=()
        Called with every `Burst`; one that returns True ends the text.
    **options
        Others of `zoo_multitoken.decoding.Options`.

    Returns
    -------
    Completions
        The new texts.

    Raises
    ------
    ValueError
        An option has a value that it cannot have, or `max_new_tokens` does not fit into the
        context.
    zoo.errors.DeviceError
        ``lossless="strict"`` cannot be had from this device and precision.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            "The parameter 'batch_size' of a generation must be an integer of at least 1. "
            f"Got {batch_size!r}."
        )
    checked = _read_options(tokenizer, max_new_tokens, stop, random_state, options)
    tokens = [_read_prompt(prompt, backend, tokenizer, checked) for prompt in prompts]
    pieces = token_pieces(tokenizer).__getitem__
    completions: list[Completion] = []
    statistics = Statistics()
    for first in range(0, len(tokens), batch_size):
        done = decode(
            backend,
            tokens[first : first + batch_size],
            checked,
            pieces=pieces,
            callbacks=callbacks,
            first=first,
        ).run()
        completions += _complete(done)
        statistics.add(done.statistics)
    return Completions(completions, statistics)


def stream(
    backend: Backend,
    tokenizer: Tokenizer,
    prompts: Sequence[Text],
    *,
    max_new_tokens: int = 128,
    stop: Text | Sequence[Text] | None = None,
    random_state: Any = None,
    callbacks: Sequence[Callable[[Burst], object]] = (),
    **options: Any,
) -> tuple[Decoding, Iterator[TextBurst]]:
    """Continue texts, all at once, and hand out what is certain as it comes.

    Parameters
    ----------
    backend, tokenizer, prompts, max_new_tokens, stop, random_state, callbacks, **options
        See `generate`.

    Returns
    -------
    decoding : Decoding
        Its `statistics` count along, its `cancel` ends a text.
    bursts : iterator of TextBurst
        No part of a stop text is ever among their texts, which sum up to the text of `generate`.

    Raises
    ------
    ValueError
        See `generate`.
    """
    checked = _read_options(tokenizer, max_new_tokens, stop, random_state, options)
    tokens = [_read_prompt(prompt, backend, tokenizer, checked) for prompt in prompts]
    decoding = decode(
        backend, tokens, checked, pieces=token_pieces(tokenizer).__getitem__, callbacks=callbacks
    )
    return decoding, _decode_bursts(decoding)


def _decode_bursts(decoding: Decoding) -> Iterator[TextBurst]:
    make = codecs.getincrementaldecoder("utf-8")
    decoders = [make("replace") for _ in decoding.rows]
    for burst in decoding:
        text = decoders[burst.row].decode(burst.text, final=burst.finish is not None)
        yield TextBurst(text, burst)


def _complete(done: Decoding) -> Iterable[Completion]:
    for row in done.rows:
        data = bytes(row.text)
        text = data.decode("utf-8", errors="replace")
        yield Completion(text, data, tuple(row.tokens), row.finish or "cancelled")


def _read_options(
    tokenizer: Tokenizer,
    max_new_tokens: int,
    stop: Text | Sequence[Text] | None,
    random_state: Any,
    options: dict[str, Any],
) -> Options:
    stops: Sequence[Any] = stop if isinstance(stop, list | tuple) else [stop]
    stops = [] if stop is None else stops
    if not all(isinstance(each, str | bytes) for each in stops):
        raise ValueError(
            f"The parameter 'stop' of a generation must be text, or a list of texts. Got {stop!r}."
        )
    return Options(
        max_new_tokens=max_new_tokens,
        stop=tuple(each.encode() if isinstance(each, str) else each for each in stops),
        end_tokens=frozenset([tokenizer.end_id]),
        seed=_read_seed(random_state),
        **options,
    )


def _read_seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    raise ValueError(
        "The parameter 'random_state' of a generation must be an integer of at least 0, a "
        f"generator of numpy, or None. Got {random_state!r}."
    )


def _read_prompt(
    prompt: Text, backend: Backend, tokenizer: Tokenizer, options: Options
) -> NDArray[np.int64]:
    room = backend.context - options.max_new_tokens
    if room < 1:
        raise ValueError(
            "The parameter 'max_new_tokens' of a generation must be below the model's context of "
            f"{backend.context} tokens. Got {options.max_new_tokens}."
        )
    if not isinstance(prompt, str | bytes):
        raise ValueError(f"A prompt must be text or bytes. Got a {type(prompt).__name__}.")
    tokens = tokenizer.encode(prompt)
    return tokens[-room:] if len(tokens) else np.array([tokenizer.end_id], dtype=np.int64)


def token_pieces(tokenizer: Tokenizer) -> list[bytes]:
    """List the bytes that each token adds to a text under way.

    Parameters
    ----------
    tokenizer : Tokenizer
        Bytes, or a tokenizer file of the kinds byte-level (GPT-2, Llama 3), byte-fallback (Llama
        2) or any other whose tokens decode by themselves.

    Returns
    -------
    list of bytes
        Entry ``i`` belongs to token ``i``; tokens with a role but no text have none.
    """
    if isinstance(tokenizer, ByteTokenizer):
        return [bytes([byte]) for byte in range(256)] + [b""]
    definition = tokenizer.to_json().get("definition", {})
    pieces = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
    special = {token["id"] for token in definition.get("added_tokens", []) if token["special"]}
    vocabulary = definition.get("model", {}).get("vocab", {})
    kinds = json.dumps(definition.get("decoder"), ensure_ascii=False)
    if not isinstance(vocabulary, dict):  # of a Unigram model: [[piece, score], ...]
        vocabulary = {entry[0]: number for number, entry in enumerate(vocabulary)}
    for name, token in vocabulary.items():
        if token in special:
            continue
        if '"ByteLevel"' in kinds:
            if all(character in _BYTE_OF for character in name):
                pieces[token] = bytes(_BYTE_OF[character] for character in name)
        elif "\u2581" in kinds or '"Metaspace"' in kinds or '"ByteFallback"' in kinds:
            single = len(name) == 6 and name.startswith("<0x") and name.endswith(">")
            pieces[token] = (
                bytes([int(name[3:5], 16)]) if single else name.replace("\u2581", " ").encode()
            )
    return pieces


def _printable_bytes() -> dict[str, int]:
    """The characters by which byte-level tokenizers spell bytes (Radford et al. 2019, GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    spelled = {chr(byte): byte for byte in plain}
    return spelled | {chr(256 + number): byte for number, byte in enumerate(others)}


_BYTE_OF = _printable_bytes()
