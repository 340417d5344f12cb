"""What an app asks of the client, checked and made plain: one object from a prompt or messages and some words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitor.config.durations import seconds_of
from monitor.errors import ConfigError
from monitor.policy.routing import Needs, guess_tokens
from monitor.policy.tasks import GENERAL

Messages = str | Sequence[Mapping[str, Any]]
"""A question, or messages as OpenAI's chat API has them."""

ANY_FREE = "free"
"""What `fallbacks` is called when any free model may answer in the place of the one that was asked."""

_OWN = frozenset({"model", "models", "messages", "stream"})
_TOKENS_OF_MEDIA = 1000
_INPUTS = {
    "image_url": "image",
    "input_image": "image",
    "input_audio": "audio",
    "file": "file",
    "input_file": "file",
    "video_url": "video",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """One call that an app asks for. `body` is the request but for model and stream.

    `fallbacks`: ids that may answer instead, or None for any free model. `wait` and `cache` are seconds.
    """

    body: Mapping[str, Any]
    model: str | None
    task: str
    fallbacks: tuple[str, ...] | None
    stream: bool
    wait: float
    cache: float | None
    needs: Needs


def make_wish(
    prompt: Messages,
    *,
    model: str | None,
    task: str | None,
    system: str | None,
    fallbacks: str | Sequence[str] | None,
    stream: bool,
    wait: float,
    cache: float | str | None,
    parameters: Mapping[str, Any],
) -> Wish:
    """Check what was asked. Raises ConfigError, which says what would be right."""
    if wrong := sorted(_OWN & parameters.keys()):
        raise ConfigError(f"{wrong[0]} cannot be given so.", hint="Name one model; fallbacks are for the others.")
    for name, value in (("model", model), ("task", task), ("system", system)):
        if not isinstance(value, str | None):
            raise ConfigError(f"{name} is no text.", hint="Batch files bring such things.")
    messages = _messages(prompt, system)
    return Wish(
        body={"messages": messages, **parameters},
        model=model,
        task=task or GENERAL,
        fallbacks=_fallbacks(fallbacks, named=model is not None),
        stream=stream,
        wait=_seconds("wait", wait) if wait != float("inf") else wait,
        cache=None if cache is None else _seconds("cache", cache),
        needs=_needs(messages, parameters),
    )


def _seconds(name: str, value: float | str) -> float:
    try:
        return seconds_of(value)
    except ValueError as exc:
        raise ConfigError(f"{name} is wrong: {exc}.") from None


def _messages(prompt: Messages, system: str | None) -> list[Mapping[str, Any]]:
    before = [{"role": "system", "content": system}] if system else []
    if isinstance(prompt, str):
        return [*before, {"role": "user", "content": prompt}]
    if not isinstance(prompt, Sequence) or not all(isinstance(each, Mapping) for each in prompt) or not prompt:
        raise ConfigError("the question is neither a text nor a list of messages.", hint="Give one of the two.")
    return [*before, *prompt]


def _fallbacks(given: str | Sequence[str] | None, *, named: bool) -> tuple[str, ...] | None:
    if given == ANY_FREE:
        return None
    if given is None:
        return () if named else None
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ConfigError('fallbacks is neither "free" nor a list of models.', hint='Say fallbacks="free".')
    return tuple(given)


def _needs(messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]) -> Needs:
    size, inputs = 0, set()
    for kind, length in _parts(messages):
        size += length
        if kind is not None:
            inputs.add(kind)
    tokens = guess_tokens(size) + _TOKENS_OF_MEDIA * len(inputs)
    tools = parameters.get("tools")
    if tools:
        tokens += guess_tokens(len(json.dumps(tools, default=str)))
    limit = parameters.get("max_tokens") or parameters.get("max_completion_tokens")
    return Needs(
        prompt_tokens=tokens,
        output_tokens=limit if isinstance(limit, int) and limit > 0 else 0,
        inputs=frozenset(inputs),
        parameters=_parameters(parameters),
    )


def _parts(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str | None, int]]:
    """Each part of the messages: what kind of input it is (None: text), and how many bytes of text it holds."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, str):
                yield None, len(part.encode("utf-8", "replace"))
            elif isinstance(part, Mapping):
                kind = _INPUTS.get(str(part.get("type")))
                yield kind, 0 if kind else len(str(part.get("text", "")).encode("utf-8", "replace"))


def _parameters(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Parameters that a model must know, or the answer is not what was asked for."""
    needed = {name for name in ("tools", "reasoning") if parameters.get(name)}
    form = parameters.get("response_format")
    if isinstance(form, Mapping) and form.get("type") in ("json_schema", "json_object"):
        needed.add("structured_outputs" if form["type"] == "json_schema" else "response_format")
    return frozenset(needed)
