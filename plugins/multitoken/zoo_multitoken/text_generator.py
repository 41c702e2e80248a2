"""The verbs ``generate`` and ``stream``, for the estimator and for the runner of its export."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from zoo_multitoken.decoding import Backend
from zoo_multitoken.generation import TextBurst, generate, stream
from zoo_multitoken.tokens import Tokenizer

__all__ = ["TextGenerator"]


class TextGenerator:
    """Continues texts with the backend and the tokenizer that a subclass gives."""

    @abstractmethod
    def _open_backend(self) -> tuple[Backend, Tokenizer]:
        """What decodes."""

    def generate(
        self,
        X: str | bytes | Sequence[str | bytes],
        *,
        return_statistics: bool = False,
        **options: Any,
    ) -> Any:
        """Continue texts, several tokens a forward, with exactly what plain decoding would give.

        Parameters
        ----------
        X : str, bytes or sequence of these
            What to continue.
        return_statistics : bool, default=False
            Whether to return the counts as well.
        **options
            ``max_new_tokens=128``, ``temperature=0.0`` (the most likely token; above it tokens are
            drawn), ``top_k=None``, ``top_p=1.0``, ``stop=None`` (a text, or several), ``draft``
            (``"hybrid"``, ``"heads"``, ``"lookup"`` or ``"none"``), ``n_draft="auto"``,
            ``strategy="speculative"`` (or ``"autoregressive"``), ``lossless="standard"`` (or
            ``"strict"``), ``random_state=None``, ``batch_size=8``, ``callbacks=()``: see
            `zoo_multitoken.generation.generate` and `zoo_multitoken.decoding.Options`.

        Returns
        -------
        texts : str or list of str
            What follows each text, without it: a str for a single text.
        statistics : zoo_multitoken.decoding.Statistics
            With ``return_statistics=True``.

        Raises
        ------
        ValueError
            An option has a value that it cannot have.
        zoo.errors.DeviceError
            ``lossless="strict"`` cannot be had from this device and precision.
        """
        prompts = [X] if isinstance(X, str | bytes) else list(X)
        done = generate(*self._open_backend(), prompts, **options)
        texts: Any = done.texts[0] if isinstance(X, str | bytes) else done.texts
        return (texts, done.statistics) if return_statistics else texts

    def stream(self, X: str | bytes | Sequence[str | bytes], **options: Any) -> Iterator[TextBurst]:
        """Continue texts, and hand out what is certain as it comes.

        Parameters
        ----------
        X : str, bytes or sequence of these
            What to continue, all at once.
        **options
            As in `generate`, but for ``batch_size``.

        Yields
        ------
        TextBurst
            What one forward added to one of the texts. Their texts sum up to those of `generate`.

        Raises
        ------
        ValueError
            An option has a value that it cannot have.
        zoo.errors.DeviceError
            ``lossless="strict"`` cannot be had from this device and precision.
        """
        prompts = [X] if isinstance(X, str | bytes) else list(X)
        return stream(*self._open_backend(), prompts, **options)[1]
