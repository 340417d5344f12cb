"""What a call gives: an answer, and what was tried to get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.model import Outcome, Usage
from monitor.openrouter.usage import read_usage
from monitor.openrouter.values import letters, mapping, text

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call: the model, how it ended, and what was decided then. `seconds` is how long it took."""

    model: str
    outcome: Outcome
    status: int | None
    seconds: float
    why: str = ""
    """Why it failed and what came of it, in words; "" for the one that answered."""
    sent: bool = True
    """False when nothing left this machine, for no connection was made."""

    def as_json(self) -> dict[str, Any]:
        """As `ask --json` tells it."""
        return {
            "model": self.model,
            "outcome": self.outcome.value,
            "status": self.status,
            "seconds": self.seconds,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer. `str()` gives its text.

    `model` is the one that answered, `seconds` how long it took, `attempts` all that was tried, `cached` that nothing
    was sent at all. `raw` is the answer as OpenRouter's chat API has it; of a stream, put together.
    """

    text: str
    model: str
    provider: str | None
    finish_reason: str | None
    usage: Usage
    seconds: float
    call_id: str
    attempts: tuple[Attempt, ...] = ()
    first_token_seconds: float | None = None
    cached: bool = False
    why: tuple[str, ...] = ()
    """What spoke for the model, where the client chose it."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= _SHOWN else f"{self.text[: _SHOWN - 1]}…"
        return f"<Answer of {self.model}{', cached' if self.cached else ''}: {shown!r}>"

    def _repr_markdown_(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """As `ask --json` tells it."""
        return {
            "text": self.text,
            "model": self.model,
            "provider": self.provider,
            "finish_reason": self.finish_reason,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost_usd": self.usage.cost_usd,
            "seconds": self.seconds,
            "first_token_seconds": self.first_token_seconds,
            "call_id": self.call_id,
            "cached": self.cached,
            "why": list(self.why),
            "attempts": [attempt.as_json() for attempt in self.attempts],
        }

    @property
    def message(self) -> Mapping[str, Any]:
        """The message of the first choice, as OpenRouter's chat API has it."""
        return mapping(_first_choice(self.raw).get("message"))

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered, as far as it told."""
        return text(self.message.get("reasoning")) or ""

    @property
    def tool_calls(self) -> tuple[Mapping[str, Any], ...]:
        """The calls of tools that it asks for."""
        calls = self.message.get("tool_calls")
        return tuple(each for each in calls if isinstance(each, dict)) if isinstance(calls, list) else ()

    @property
    def cost_usd(self) -> float | None:
        """What OpenRouter says that it cost (USD)."""
        return self.usage.cost_usd


def read_answer(raw: Mapping[str, Any], asked: str, **known: Any) -> Answer | None:
    """An answer from a chat completion of the model `asked`; None without a choice in it. `known`: the other fields."""
    choice = _first_choice(raw)
    if not choice:
        return None
    return Answer(
        text=_text_of(mapping(choice.get("message")).get("content")),
        model=text(raw.get("model")) or asked,
        provider=text(raw.get("provider")),
        finish_reason=text(choice.get("finish_reason")),
        usage=read_usage(raw.get("usage")),
        raw=raw,
        **known,
    )


def _first_choice(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = raw.get("choices")
    return mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return letters(content)
    parts = content if isinstance(content, list) else []
    return letters("".join(str(part.get("text") or "") for part in parts if isinstance(part, dict)))
