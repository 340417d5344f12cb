"""What the commands that ask models have in common: their options, a client, the question, safe texts, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.cli.context import Invocation
from monitor.errors import ConfigError
from monitor.model import Reason

if TYPE_CHECKING:
    from monitor.client.sync import Client

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "-"

_REFUSALS = frozenset(map(str, Reason))

_OPTIONS = {
    "task": click.option(
        "--task",
        metavar="TASK",
        help="What it is about: general, fast, code, reasoning, long, vision, tools, chinese, or one of your own.",
    ),
    "system": click.option("--system", metavar="TEXT", help="What the models are told before the question."),
    "cache": click.option("--cache", metavar="SPAN", help="Take an answer of before that is not older, such as 1d."),
    "wait": click.option("--wait", metavar="SPAN", help="How long it may wait for its turn, such as 30s."),
    "model": click.option("--model", metavar="ID", help="Ask this model, and no other unless --fallbacks says so."),
    "fallbacks": click.option(
        "--fallbacks", metavar="MODELS", help='Who may answer in its place: "free" for any free model, or a,b.'
    ),
    "app": click.option("--app", help="Who asks, for limits, shares and the log. Instead of the one in the settings."),
}


def options(*names: str) -> Callable[[F], F]:
    """Give a command these of the options that such commands share."""

    def give(function: F) -> F:
        for name in reversed(names):
            function = _OPTIONS[name](function)
        return function

    return give


def client_of(run: Invocation, app: str | None) -> Client:
    """A client by the settings of this run. Raises ConfigError, also when there is no key."""
    from monitor.client.sync import Client

    if run.settings.key() is None:
        raise ConfigError("there is no API key.", hint="Set OPENROUTER_API_KEY, or api_key_file in the settings.")
    return Client(app, run.settings, clock=run.clock)


def question_of(words: Sequence[str]) -> str:
    """The words as one question; `-` stands for what stdin has. Raises ConfigError when nothing is asked."""
    parts = [stdin_text().strip("\n") if word == STDIN else word for word in words]
    text = ("\n\n" if STDIN in words else " ").join(parts)
    if not text.strip():
        raise ConfigError("the question is empty.", hint="Give a text, or - to read it from stdin.")
    return text


def stdin_text() -> str:
    """All that stdin has, whatever bytes are in it."""
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def listed(text: str | None) -> list[str] | None:
    """`a,b` as a list."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def fallbacks_of(text: str | None) -> str | list[str] | None:
    """`free`, or a list of models."""
    return text if text == "free" else listed(text)


def told(text: str, *, terminal: bool) -> str:
    """A model's text as it is written: in a terminal without what would steer it, in a pipe as it is.

    Half a character, as a model may give it, is left out: it cannot be written anywhere.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not terminal or text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)


def code_of(reasons: Iterable[str | None]) -> int:
    """The exit code by the reasons of what has no answer: 0 for none, 3 when the guard was all of them, else 1."""
    from monitor.cli.root import FINE, PROBLEM, REFUSED

    found = list(reasons)
    if not found:
        return FINE
    return REFUSED if all(reason in _REFUSALS for reason in found) else PROBLEM
