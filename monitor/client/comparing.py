"""One question to several models, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from monitor.client.answers import Answer
from monitor.client.base import Base
from monitor.client.items import reason_of
from monitor.client.looking import ranking_of
from monitor.client.wishes import Messages, Wish
from monitor.clock import iso
from monitor.errors import ConfigError, MonitorError
from monitor.model import Usage
from monitor.refresh import Fetch

MOST_MODELS = 20
USUAL_MODELS = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """What one model made of the question: its answer, or why there is none. Times are seconds, `cost_usd` USD."""

    model: str
    text: str | None
    seconds: float | None
    first_token_seconds: float | None
    usage: Usage
    attempts: int
    finish_reason: str | None = None
    error: str | None = None
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As `compare --json` tells it."""
        return {
            "model": self.model,
            "text": self.text,
            "seconds": self.seconds,
            "first_token_seconds": self.first_token_seconds,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost_usd": self.usage.cost_usd,
            "attempts": self.attempts,
            "finish_reason": self.finish_reason,
            "error": self.error,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Comparison(Sequence[Compared]):
    """The answers in the order of the models; `at` is when they were asked for (epoch seconds)."""

    question: str
    at: float
    rows: tuple[Compared, ...]

    @overload
    def __getitem__(self, index: int) -> Compared: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Compared]: ...
    def __getitem__(self, index: int | slice) -> Compared | Sequence[Compared]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.rows)} models, {sum(row.error is None for row in self.rows)} answered>"

    def html(self) -> str:
        """A report as one page that needs nothing else."""
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only a report needs it

        loader = PackageLoader("monitor.client")
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        page = environment.get_template("compare.html.j2")
        return page.render(question=self.question, at=iso(self.at), rows=self.rows)

    def _repr_html_(self) -> str:
        return self.html()


def models_to_compare(base: Base, fetch: Fetch, models: Sequence[str] | None, task: str | None) -> tuple[str, ...]:
    """The models as given, or the best free ones for the task. Raises ConfigError, PollError and StoreError."""
    if models is None:
        return ranking_of(base, fetch, task).models[:USUAL_MODELS]
    if isinstance(models, str) or not models or not all(isinstance(each, str) for each in models):
        raise ConfigError("models is no list of models.", hint='Give some: models=["…:free", "…:free"].')
    if len(models) > MOST_MODELS:
        raise ConfigError(f"{len(models)} models are too many to compare.", hint=f"Give {MOST_MODELS} at most.")
    return tuple(dict.fromkeys(models))


def wishes_of(base: Base, prompt: Messages, models: Sequence[str], **more: Any) -> list[Wish]:
    """A wish for each model, as a stream, so that the first word is timed. Raises ConfigError."""
    return [base.wish(prompt, model=each, task=None, fallbacks=(), stream=True, **more) for each in models]


def compared(model: str, outcome: Answer | MonitorError) -> Compared:
    """A row of the comparison."""
    if isinstance(outcome, MonitorError):
        tried = getattr(outcome, "attempts", ())
        said = getattr(outcome, "text", "") or None
        return Compared(model, said, None, None, Usage(), len(tried), error=str(outcome), reason=reason_of(outcome))
    return Compared(
        model=model,
        text=outcome.text,
        seconds=outcome.seconds,
        first_token_seconds=outcome.first_token_seconds,
        usage=outcome.usage,
        attempts=len(outcome.attempts),
        finish_reason=outcome.finish_reason,
    )


def question_of(prompt: Messages) -> str:
    """What was asked, for people: the text, or the last message's."""
    if isinstance(prompt, str):
        return prompt
    content = prompt[-1].get("content") if prompt else ""
    return content if isinstance(content, str) else str(content)
