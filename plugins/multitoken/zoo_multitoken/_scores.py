"""What an estimator says of texts, once it is trained."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.scoring import Scores, mean_states, next_probabilities, score_texts
from zoo_multitoken.texts import read_texts
from zoo_multitoken.tokens import Tokenizer

__all__ = ["TextScores"]


class TextScores(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Losses, probabilities and embeddings of texts."""

    model_: MultiTokenModel
    tokenizer_: Tokenizer
    input: str
    column: str | None
    pattern: str

    @property
    def _n_features_out(self) -> int:
        return self.model_.config.d_model

    def _texts(self, X: Any) -> list[str | bytes]:
        return read_texts(X, input=self.input, column=self.column, pattern=self.pattern)

    def _encoded(self, X: Any) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        check_is_fitted(self)
        texts = self._texts(X)
        sizes = [len(text.encode() if isinstance(text, str) else text) for text in texts]
        return [self.tokenizer_.encode(text) for text in texts], np.array(sizes)

    def _scores(self, X: Any) -> tuple[Scores, NDArray[np.int64]]:
        ids, sizes = self._encoded(X)
        return score_texts(self.model_, ids, end_id=self.tokenizer_.end_id), sizes

    def evaluate(self, X: Any) -> dict[str, NDArray]:
        """What each head makes of texts.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        dict of str to ndarray of shape (n_heads,)
            ``"bits_per_byte"``, ``"accuracy"`` (share of tokens that were the likeliest) and
            ``"tokens"`` (how many were predicted).

        Raises
        ------
        ValueError
            If the texts hold no token.
        """
        scores, sizes = self._scores(X)
        if not sizes.sum():
            raise ValueError("X must hold at least one byte to be scored. Got none.")
        counts = scores.counts.sum(0)
        tokens_per_byte = counts[0] / sizes.sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            nats = scores.nats.sum(0) / counts
            accuracy = scores.hits.sum(0) / counts
        return {
            "bits_per_byte": nats / np.log(2.0) * tokens_per_byte,
            "accuracy": accuracy,
            "tokens": counts,
        }

    def bits_per_byte(self, X: Any) -> float:
        """Bits that the next-token head needs per byte of text.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        float
        """
        return float(self.evaluate(X)["bits_per_byte"][0])

    def score(self, X: Any, y: None = None) -> float:
        """Negative `bits_per_byte`, so that more is better.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.
        y : None
            Ignored.

        Returns
        -------
        float
        """
        return -self.bits_per_byte(X)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Log-likelihood of each text.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        ndarray of shape (n_texts,)
            Nats, of the text's tokens and not of its end.
        """
        return -self._scores(X)[0].nats[:, 0]

    def perplexity(self, X: Any) -> float:
        """Exponential of the mean loss per token.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        float
        """
        scores, _ = self._scores(X)
        if not scores.counts[:, 0].any():
            raise ValueError("X must hold at least one token to be scored. Got none.")
        return float(np.exp(scores.nats[:, 0].sum() / scores.counts[:, 0].sum()))

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embeddings of texts: the mean of the states from which the next token is read.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        ndarray of float32 of shape (n_texts, d_model)
        """
        ids, _ = self._encoded(X)
        return mean_states(self.model_, ids, end_id=self.tokenizer_.end_id)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities of the token behind each text.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        ndarray of float32 of shape (n_texts, vocab_size)
        """
        ids, _ = self._encoded(X)
        return next_probabilities(self.model_, ids, end_id=self.tokenizer_.end_id)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """The likeliest token behind each text.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            As for `fit`.

        Returns
        -------
        ndarray of int64 of shape (n_texts,)
        """
        return self.predict_proba(X).argmax(1)
