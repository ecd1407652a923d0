"""Texts and tokens of exported models, and the text that a model has generated so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from splitlaw.common.errors import UserError
from splitlaw.delivery.decoding import Sampling
from splitlaw.tokens.encoding import load_tokenizer

_INCOMPLETE = "\ufffd"
"""The decoder's replacement for bytes that are no complete character yet."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """The tokenizer of a model. Every text begins with the end-of-text token, as in training."""

    tokenizer: Tokenizer
    end: int
    """The end-of-text token."""

    @classmethod
    def open(cls, folder: Path) -> Text:
        """Open the tokenizer of a model's folder."""
        tokenizer, end = load_tokenizer(folder)
        return cls(tokenizer=tokenizer, end=end)

    def encode(self, text: str) -> list[int]:
        """The end-of-text token and the tokens of `text`."""
        return [self.end, *self.tokenizer.encode(text, add_special_tokens=False).ids]

    def encode_pair(
        self, context: str, continuation: str, *, limit: int
    ) -> tuple[list[int], list[int]]:
        """Tokens of a context and of its continuation; spaces between them go to the latter.

        Raises `UserError` for a continuation without tokens or with more than `limit`.
        """
        shown = context.rstrip()
        before = self.encode(shown)
        answer = self.encode(context + continuation)[len(before) :]
        if not 0 < len(answer) <= limit:
            raise UserError(
                f"the continuation {continuation[:40]!r} has {len(answer)} tokens; give 1 to "
                f"{limit}, which the model reads"
            )
        return before, answer

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))


@dataclass(kw_only=False)
class Continuation:
    """The text generated for one prompt so far."""

    source: Text
    sampling: Sampling
    tokens: list[int] = field(default_factory=list)
    """Tokens generated, without the end-of-text token."""
    read: int = 0
    """Tokens of the prompt that the models have read."""
    text: str = ""
    """Text that will not change: without bytes of an incomplete character, and without the
    beginning of a text to stop at, unless the continuation is finished."""
    finished: str = ""
    """Empty, `length`, or `stop` after the end-of-text token or a text to stop at."""

    def add(self, token: int) -> None:
        """Add a token; ignored once the continuation is finished."""
        if self.finished:
            return
        if token == self.source.end:
            self.finished = "stop"
        else:
            self.tokens.append(token)
            if len(self.tokens) == self.sampling.max_tokens:
                self.finished = "length"
        text = self.source.decode(self.tokens)
        ends = [place for stop in self.sampling.stop if (place := text.find(stop)) >= 0]
        if ends:
            self.finished, self.text = "stop", text[: min(ends)]
        elif self.finished:
            self.text = text
        else:
            self.text = self._settled(text)

    def _settled(self, text: str) -> str:
        """The part of `text` that further tokens cannot change."""
        text = text.rstrip(_INCOMPLETE)
        held = 0
        for stop in self.sampling.stop:
            for length in range(1, len(stop)):
                if text.endswith(stop[:length]):
                    held = max(held, length)
        return text[: len(text) - held]
