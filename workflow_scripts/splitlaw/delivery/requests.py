"""Requests of the OpenAI interface for completions, checked, and the answers to them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.routed import RoutedModel

COMPLETION, CHAT = "text_completion", "chat.completion"
_MAX_STOPS = 4
"""Texts to stop at; as many as OpenAI accepts."""
_MAX_MESSAGES = 256


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    @property
    def content(self) -> dict[str, Any]:
        """The body of the answer, in the form of OpenAI's errors."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": None}}


class _Common(BaseModel):
    """Fields of both kinds of requests; others, which clients send by themselves, are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)
    model: str
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    stop: str | list[str] | None = None
    stream: bool = False
    n: Literal[1] = 1

    @field_validator("stop")
    @classmethod
    def _few_stops(cls, value: str | list[str] | None) -> str | list[str] | None:
        stops = [value] if isinstance(value, str) else value or []
        if len(stops) > _MAX_STOPS or not all(stops):
            raise ValueError(f"give at most {_MAX_STOPS} texts, none of them empty")
        return value

    def sampling(self, model: RoutedModel) -> Sampling:
        """How to continue the prompt; a seed is drawn where none is given."""
        longest = model.longest(self.limit)
        seed = secrets.randbits(32) if self.seed is None else self.seed
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=longest,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=seed,
            stop=tuple(stops),
        )

    @property
    def limit(self) -> int | None:
        """Tokens to generate."""
        return self.max_tokens


class CompletionRequest(_Common):
    """The body of `POST /v1/completions`."""

    prompt: str | list[str]
    echo: Literal[False] = False
    logprobs: None = None

    @property
    def text(self) -> str:
        """The prompt to continue."""
        if isinstance(self.prompt, str):
            return self.prompt
        if len(self.prompt) != 1:
            raise Refused(400, f"prompt: there are {len(self.prompt)} prompts; give one")
        return self.prompt[0]


class _Part(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: str
    content: str | list[_Part]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatRequest(_Common):
    """The body of `POST /v1/chat/completions`."""

    messages: list[_Message] = Field(min_length=1, max_length=_MAX_MESSAGES)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: Literal[False] | None = None

    @property
    def limit(self) -> int | None:
        """Tokens to generate; the newer of the two names is preferred."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def text(self) -> str:
        """The texts of all messages as paragraphs: the models continue text, without roles."""
        return "\n\n".join(message.text for message in self.messages)


def read_request(kind: str, body: bytes) -> CompletionRequest | ChatRequest:
    """Check the body of a request; raises `Refused`."""
    model = CompletionRequest if kind == COMPLETION else ChatRequest
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Refused(400, f"{place}: {first['msg']}") from None


class Answer:
    """The parts of an answer that all of its chunks share."""

    def __init__(self, kind: str, name: str, seed: int, weights: Mapping[str, float]) -> None:
        """`weights` are those of the models that answer."""
        self.kind = kind
        prefix = "cmpl" if kind == COMPLETION else "chatcmpl"
        self.head = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": name,
            "seed": seed,
            "routing": dict(weights),
        }

    def whole(self, text: str, finished: str, *, read: int, generated: int) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        usage = {"prompt_tokens": read, "completion_tokens": generated}
        message = {"role": "assistant", "content": text}
        shown: dict[str, Any] = {"text": text} if self.kind == COMPLETION else {"message": message}
        choice = {"index": 0, **shown, "logprobs": None, "finish_reason": finished}
        usage["total_tokens"] = read + generated
        return {**self.head, "choices": [choice], "usage": usage}

    def chunk(self, text: str, finished: str) -> dict[str, Any]:
        """One event of a streamed answer; `text` is what the one before did not have."""
        if self.kind == COMPLETION:
            shown: dict[str, Any] = {"text": text}
            head = self.head
        else:
            shown = {"delta": {"role": "assistant", "content": text}}
            head = {**self.head, "object": "chat.completion.chunk"}
        choice = {"index": 0, **shown, "logprobs": None, "finish_reason": finished or None}
        return {**head, "choices": [choice]}
