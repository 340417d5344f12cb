"""`doctor`: looks at everything that can be wrong with an installation, and says what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.context import JSON, Command, Invocation, passes_invocation
from monitor.cli.output import Output, Styled

if TYPE_CHECKING:
    import httpx

    from monitor.cli.checks import Check

_STYLES = {"ok": ("✓", "green"), "warning": ("!", "bold yellow"), "problem": ("✗", "bold red")}
CLOCK_WARNING_SECONDS, CLOCK_PROBLEM_SECONDS = 3.0, 30.0


@click.command(cls=Command)
@click.option("--online", is_flag=True, help="Also ask OpenRouter: catalogue, key and clock; spends no quota.")
@JSON
@passes_invocation
def doctor(run: Invocation, online: bool, as_json: bool) -> None:
    """Check the installation, and say what to do.

    Looks at the settings, the key (never shown), the store, its disk and its engine. Exit code 1 if there is a problem.
    """
    from monitor.cli import checks

    found = []
    for check in _all(run, online):
        found.append(check)
        if not as_json:
            _tell(run.out, check)
    if as_json:
        run.out.json([check.as_json() for check in found])
    else:
        problems, warnings = (sum(c.level == level for c in found) for level in (checks.PROBLEM, checks.WARNING))
        run.out.blank()
        run.out.line(*_summary(problems, warnings))
    if checks.worst(found) == checks.PROBLEM:
        click.get_current_context().exit(1)


def _summary(problems: int, warnings: int) -> tuple[Styled, ...]:
    from monitor.words import count

    if problems:
        return (Styled(f"{count(problems, 'problem')}, {count(warnings, 'warning')}.", "bold red"),)
    if warnings:
        return (Styled(f"No problem, {count(warnings, 'warning')}.", "yellow"),)
    return (Styled("All is well.", "bold green"),)


def _tell(out: Output, check: Check) -> None:
    sign, style = _STYLES[check.level]
    shown = sign if out.terminal else check.level.ljust(7)
    said: list[str | Styled] = [check.found.rstrip(".") + "."]
    if check.todo:
        said.append(Styled(f" {check.todo}", "cyan"))
    out.labelled([Styled(shown, style), Styled(check.name.ljust(11), "bold")], said)


def _all(run: Invocation, online: bool) -> Iterator[Check]:
    from monitor.cli import checks
    from monitor.errors import ConfigError, StoreError
    from monitor.store.sqlite.maintenance import engine

    yield checks.python()
    yield checks.sqlite(engine())
    yield checks.shadowed(Path.cwd())
    try:
        settings, path = run.settings, run.store_path()
    except ConfigError as exc:
        yield checks.Check("settings", checks.PROBLEM, exc.message.rstrip("."), exc.hint)
        return
    yield checks.Check("settings", checks.OK, "readable and right")
    yield from checks.api_key(settings)
    yield from checks.guard(settings)
    with run.reader() as reader:
        if not reader.exists:
            yield from checks.new_store(path)
        else:
            for check in checks.store(path):
                yield check
                if check.name == "store" and check.level == checks.PROBLEM:
                    return
            try:
                yield from checks.recorded(reader, settings, run.clock.now())
            except StoreError as exc:
                yield checks.Check("store", checks.PROBLEM, exc.message.rstrip("."), exc.hint)
    if online:
        yield from _online(run)


def _online(run: Invocation) -> Iterator[Check]:
    """Ask OpenRouter itself; nothing is written to the store."""
    import httpx

    from monitor.cli import checks
    from monitor.errors import ConfigError, PollError
    from monitor.openrouter.catalogue import parse_catalogue
    from monitor.openrouter.key import parse_key
    from monitor.redact import redact
    from monitor.runtime import plain_client

    base = run.settings.base_url
    try:
        key = run.settings.key()
    except ConfigError:
        key = None  # told of already
    try:
        with plain_client() as client:
            before = run.clock.now()
            answer = client.get(f"{base}/models")
            answer.raise_for_status()
            yield checks.Check(
                "models", checks.OK, f"{base} lists {len(parse_catalogue(answer.content).models)} models"
            )
            if not key:
                # A cache may have given this one, which then tells no time; the key's answer never comes from a cache.
                yield from _clock(answer, (before + run.clock.now()) / 2)
            else:
                before = run.clock.now()
                answer = client.get(f"{base}/key", headers={"authorization": f"Bearer {key.reveal()}"})
                yield from _clock(answer, (before + run.clock.now()) / 2)
                if answer.status_code == 401:
                    yield checks.Check(
                        "key", checks.PROBLEM, "OpenRouter does not know this API key", "Make a new one."
                    )
                    return
                answer.raise_for_status()
                parse_key(answer.content)
                yield checks.Check("key", checks.OK, "OpenRouter knows this API key")
    except (httpx.HTTPError, PollError) as exc:
        said = redact(str(exc), limit=200).rstrip(".")
        yield checks.Check(
            "online", checks.PROBLEM, f"{base} cannot be used: {said}", "Check the network and base_url."
        )


def _clock(answer: httpx.Response, now: float) -> Iterator[Check]:
    """How far this machine's clock is from OpenRouter's: the day's quota turns over by theirs."""
    from monitor.cli import checks
    from monitor.openrouter.dates import sent_at

    theirs = sent_at(answer.headers)
    if theirs is None:
        return
    offset = now - theirs
    far = abs(offset)
    level = (
        checks.PROBLEM if far > CLOCK_PROBLEM_SECONDS else checks.WARNING if far > CLOCK_WARNING_SECONDS else checks.OK
    )
    side = "ahead of" if offset > 0 else "behind"
    text = f"{far:.0f} s {side} OpenRouter's" if far > 1 else "with OpenRouter's to the second"
    yield checks.Check("clock", level, text, "" if level == checks.OK else "Let the machine's clock be set by NTP.")
