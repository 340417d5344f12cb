"""`ask`: one question, answered by a free model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from monitor.cli.asking import client_of, fallbacks_of, options, question_of, told
from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.words import dollars

if TYPE_CHECKING:
    from monitor.cli.output import Output
    from monitor.client.answers import Answer
    from monitor.client.running import Stream
    from monitor.policy.routing import Ranking

_SHOWN = 5


@click.command(cls=Command)
@click.argument("prompt", nargs=-1, required=True)
@options("model", "task", "fallbacks", "system", "cache", "wait", "app")
@click.option("--why", is_flag=True, help="Say on stderr why this model answered, and who would be next.")
@JSON
@passes_invocation
def ask(
    run: Invocation,
    prompt: tuple[str, ...],
    app: str | None,
    fallbacks: str | None,
    why: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Ask a free model, the best for the task.

    `-` stands for what comes in on stdin: `git diff | openrouter-monitor ask "Review this" -`. Without --model the best
    free model for the --task answers, and when it cannot, the next best. In a terminal the answer is shown as it comes.
    """
    from monitor.errors import CallFailed

    question, words["fallbacks"] = question_of(prompt), fallbacks_of(fallbacks)
    live = run.out.terminal and not as_json
    ranking: Ranking | None = None
    with client_of(run, app) as client:
        if why and words["model"] is None:
            ranking = client.route(words["task"])
        try:
            answer = _show_live(client.chat(question, stream=True, **words)) if live else client.chat(question, **words)
        except CallFailed as exc:
            if why:
                _tell_failures(run.out, exc.attempts)
            raise
    if as_json:
        run.out.json(answer.as_json() | ({} if ranking is None else {"route": _route(ranking)}))
        return
    if live:
        run.out.note(_in_short(answer))
    else:
        click.echo(told(answer.text, terminal=False))
    if why:
        _explain(run.out, answer, words["model"], ranking)


def _show_live(stream: Stream) -> Answer:
    with stream:
        try:
            for piece in stream:
                click.echo(told(piece, terminal=True), nl=False)
        finally:
            # Also where it breaks off: what is said of that begins on a line of its own.
            click.echo()
        return stream.answer


def _in_short(answer: Answer) -> str:
    if answer.cached:
        return f"({answer.model}, given again: nothing was sent)"
    usage = answer.usage
    tokens = f"{usage.prompt_tokens or 0}+{usage.completion_tokens or 0} tokens"
    return f"({answer.model}, {tokens}, {dollars(usage.cost_usd)}, {answer.seconds:.1f} s)"


def _explain(out: Output, answer: Answer, named: str | None, ranking: Ranking | None) -> None:
    if answer.cached:
        out.note(f"{answer.model} had answered this before: nothing was sent.")
    else:
        reasons = "; ".join(answer.why) or ("you named it" if answer.model == named else "a fallback that you named")
        out.note(f"{answer.model} was chosen: {reasons}.")
    _tell_failures(out, answer.attempts)
    if ranking is None:
        return
    others = [model for model in ranking.models if model != answer.model]
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        out.note(f'Others for the task "{ranking.task}": {", ".join(others[:_SHOWN])}{more}.')
    for model, reason in list(ranking.passed_over.items())[:_SHOWN]:
        out.note(f"Not {model}: {reason}.")


def _tell_failures(out: Output, attempts: Any) -> None:
    for attempt in attempts:
        if attempt.why:
            out.note(f"{attempt.model} failed: {attempt.outcome}, {attempt.why}.")


def _route(ranking: Ranking) -> dict[str, Any]:
    choices = [{"model": choice.model, "score": choice.score, "why": list(choice.why)} for choice in ranking.choices]
    return {"task": ranking.task, "choices": choices, "passed_over": dict(ranking.passed_over)}
