"""`status --watch`: the status drawn anew in its place, until Ctrl-C.

In a terminal it takes the whole screen, as `top` does, and gives back what stood there before. In a pipe it is printed
once, and again after each change: who pipes it wants to know when something happens, not that two seconds have passed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import click

from monitor.cli.context import Invocation
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from rich.text import Text

    from monitor.cli.output import Output
    from monitor.clock import Clock

WATCH_SECONDS = 2.0

MOVING = frozenset(
    {"at", "read_at", "fetched_at", "evaluated_at", "sent_at", "pace_per_hour", "exhausted_at", "opens_at",
     "resets_at", "since", "until", "value", "use_of_day"}
)  # fmt: skip
"""Names of what changes while nothing happens: instants, and what is reckoned from them."""

Found = dict[str, Any]


def watch(run: Invocation, look: Callable[[], Found], show: Callable[[Found], None], *, as_json: bool) -> None:
    """Look every two seconds and show what is found. Ctrl-C and SIGTERM end it, as they should: without an error."""
    with _Pauses(run.clock) as pauses:
        if run.out.terminal and not as_json:
            _on_screen(run.out, look, show, pauses)
        else:
            _line_by_line(run.out, look, show, pauses, as_json)


class _Pauses:
    """The time between two looks, in which Ctrl-C and SIGTERM end the block.

    While something is drawn they wait: else a terminal would be left half drawn, on another screen, without a cursor.
    A second one does not wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asleep = self._asked = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is KeyboardInterrupt

    def sleep(self) -> None:
        try:
            self._asleep = True
            if self._asked:
                raise KeyboardInterrupt
            self._clock.sleep(WATCH_SECONDS)
        finally:
            self._asleep = False

    def _heard(self, number: int, frame: object) -> None:
        if self._asleep or self._asked:
            raise KeyboardInterrupt
        self._asked = True


def still(found: object) -> object:
    """What was found without what changes all the time."""
    if isinstance(found, Mapping):
        return {name: still(value) for name, value in found.items() if name not in MOVING}
    return [still(each) for each in found] if isinstance(found, list) else found


def _line_by_line(
    out: Output, look: Callable[[], Found], show: Callable[[Found], None], pauses: _Pauses, as_json: bool
) -> None:
    import json
    import sys

    from monitor.clock import iso

    before: object = None
    while True:
        found = look()
        if (now := still(found)) != before:
            if as_json:
                click.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
            else:
                if before is not None:
                    out.blank()
                out.line(iso(found["at"]))
                show(found)
            sys.stdout.flush()
            before = now
        pauses.sleep()


def _on_screen(out: Output, look: Callable[[], Found], show: Callable[[Found], None], pauses: _Pauses) -> None:
    from rich.live import Live

    picture = _drawn(out, lambda: show(look()))  # what is wrong from the start is an error like any other
    with Live(picture, console=out.console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(picture, refresh=True)
            pauses.sleep()
            try:
                picture = _drawn(out, lambda: show(look()))
            except MonitorError as exc:
                # A store that is being restored comes back: the last figures would be the wrong thing to leave.
                picture = _drawn(out, partial(out.line, str(exc)))


def _drawn(out: Output, draw: Callable[[], None]) -> Text:
    """What would be printed, in the terminal's present width."""
    from rich.text import Text

    with out.console.capture() as captured:
        draw()
    return Text.from_ansi(captured.get())
