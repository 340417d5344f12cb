"""`demo`: a few example apps, the guard, and a simulated OpenRouter (or the real one, if a key is set)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.cli.output import Column, Output, Styled

if TYPE_CHECKING:
    from monitor.cli.demo_scenes import Cast, Stage, Told
    from monitor.config import Settings
    from monitor.daemon import Running
    from monitor.simulator.server import Simulator

APPS = ("billing-bot", "summariser", "notebook")
SIMULATED_KEY = "sk-or-v1-of-the-demo-no-secret"
LATENCY_SECONDS, CHUNK_SECONDS = 0.12, 0.03
LOG_ROWS = 200
_SIGNS = {"let through": ("✓", "bold green"), "refused": ("✗", "bold red"), "lost": ("~", "bold yellow")}


@click.command(cls=Command)
@click.option("--serve", "live", is_flag=True, help="Run the daemon with a past day and calling apps, until Ctrl-C.")
@passes_invocation
def demo(run: Invocation, live: bool) -> None:
    """Watch the guard at work for a few seconds.

    Three example apps call a simulated OpenRouter; with OPENROUTER_API_KEY set, the real one, with two free requests.
    Everything is kept in a new store, so that the other commands have something to show.

    With --serve the daemon runs as well, always against the simulator, with a made-up day behind it.
    """
    from monitor.cli.demo_scenes import scenes

    if live:
        _live(run)
        return
    if run.store is not None and not os.environ.get("OPENROUTER_API_KEY"):
        _refuse_existing(run.store)
    folder = Path(tempfile.mkdtemp(prefix="openrouter-monitor-demo-"))
    out = run.out
    with _world(run, folder) as (settings, simulator):
        _welcome(out, settings, simulator)
        with _stage(run, settings, simulator) as stage:
            for scene in scenes(simulated=simulator is not None):
                if scene.fault is not None and simulator is not None:
                    simulator.faults.add(scene.fault)
                for told in scene.play(stage):
                    _tell(out, scene.app, scene.what, told)
                if simulator is not None:
                    simulator.faults.clear()
        _sum_up(run, settings, simulator)
        _what_next(out, _config_file(folder, settings), settings, simulated=simulator is not None)


def _live(run: Invocation) -> None:
    """The daemon with something to watch."""
    from monitor.cli.demo_live import PER_DAY, Callers, live_through_yesterday, serve_until_stopped
    from monitor.cli.serve import tell as tell_where

    if run.store is not None:
        _refuse_existing(run.store)
    folder, out = Path(tempfile.mkdtemp(prefix="openrouter-monitor-demo-")), run.out
    with _simulated(run, _store(run, folder), per_day=PER_DAY, is_free_tier=False) as (settings, simulator):
        out.line("A day that has passed is put through the ledger …")
        used = live_through_yesterday(settings, simulator, run.clock)
        out.line(f"Its calls used {used} of today's {PER_DAY} free requests.")
        with _stage(run, settings, simulator) as stage, contextlib.ExitStack() as ending:
            callers = Callers(stage, simulator, lambda app, what, told: _tell(out, app, what, told))

            def ready(running: Running) -> None:
                tell_where(run, running)
                out.line("In another terminal: ", Styled(f"export OPENROUTER_MONITOR_CONFIG={config}", "cyan"))
                out.line(f"                     {Styled('openrouter-monitor status', 'cyan')}")
                out.blank()
                callers.start()
                ending.callback(callers.stop)

            config = _config_file(folder, settings)
            serve_until_stopped(settings, run.clock, ready)


@contextlib.contextmanager
def _world(run: Invocation, folder: Path) -> Iterator[tuple[Settings, Simulator | None]]:
    """Settings and, unless there is a key for the real one, a simulated OpenRouter."""
    from monitor.config import GuardSettings

    store = _store(run, folder)
    if os.environ.get("OPENROUTER_API_KEY"):
        run.store = store
        # The guard as it is by default, whatever the user's settings allow: some of what the demo asks for would bill.
        yield run.settings.with_changes(guard=GuardSettings()), None
        return
    with _simulated(run, store) as world:
        yield world


@contextlib.contextmanager
def _simulated(run: Invocation, store: str, **account: Any) -> Iterator[tuple[Settings, Simulator]]:
    """A simulated OpenRouter with such an account, and settings for it."""
    from monitor.config import Settings
    from monitor.simulator.options import SimulatorOptions
    from monitor.simulator.server import Simulator

    options = SimulatorOptions(latency_seconds=LATENCY_SECONDS, chunk_delay_seconds=CHUNK_SECONDS, **account)
    with Simulator(options, clock=run.clock) as simulator:
        # The user's own settings stay out of it: the demo shows the same to everybody.
        yield (
            Settings.build(
                {
                    "store": store,
                    "base_url": simulator.base_url,
                    "api_key": SIMULATED_KEY,
                    "account": "demo",
                    "apps": {"billing-bot": {"share": 0.4}},
                }
            ),
            simulator,
        )


def _store(run: Invocation, folder: Path) -> str:
    return str(Path(run.store or folder / "monitor.db").expanduser().absolute())


def _refuse_existing(store: str) -> None:
    from monitor.errors import MonitorError

    if os.path.lexists(os.path.expanduser(store)):
        raise MonitorError(
            f"{store} exists already.", hint="The demo's made-up calls do not belong in it: name a new file."
        )


@contextlib.contextmanager
def _stage(run: Invocation, settings: Settings, simulator: Simulator | None) -> Iterator[Stage]:
    from monitor.cli.demo_scenes import Stage
    from monitor.errors import ConfigError
    from monitor.runtime import refresh_now
    from monitor.transport.clients import guarded_client

    key = settings.key()
    if key is None:
        raise ConfigError("OPENROUTER_API_KEY is empty.", hint="Set it, or unset it to use the simulator.")
    refresh_now(settings, run.clock)
    with contextlib.ExitStack() as stack:
        # A proxy of the environment could not reach this machine's simulator.
        options: dict[str, Any] = {"timeout": 30.0, "trust_env": simulator is None}
        clients = {app: stack.enter_context(guarded_client(app, settings, **options)) for app in APPS}
        yield Stage(clients, settings.base_url, key.reveal(), _cast(settings), run.clock)


def _cast(settings: Settings) -> Cast:
    """Models of the catalogue to play with: two free ones, and one that bills."""
    from monitor.cli.demo_scenes import Cast
    from monitor.errors import PollError
    from monitor.model import ModelFacts, PriceClass
    from monitor.store.sqlite.reader import Reader

    with Reader(settings.store_path) as reader, reader.moment() as reports:
        known = [facts for facts, present in reports.all_facts().values() if present]

    def text_only(facts: ModelFacts) -> bool:
        return facts.output_modalities == ("text",) and "text" in facts.input_modalities

    free = sorted(f.id for f in known if f.price is PriceClass.FREE and text_only(f) and f.id.endswith(":free"))
    paid = {facts.id for facts in known if facts.price is PriceClass.PAID}
    twins = [name for name in free if name.removesuffix(":free") in paid]
    if not twins or not paid:
        raise PollError("The catalogue lists no free model with a paid twin.", hint="Run `openrouter-monitor models`.")
    best = next((name for name in twins if "llama-3.3" in name), twins[0])
    other = next((name for name in free if name != best), best)
    return Cast(best, other, best.removesuffix(":free"))


def _welcome(out: Output, settings: Settings, simulator: Simulator | None) -> None:
    where = "a simulated OpenRouter" if simulator is not None else "OpenRouter"
    out.line(Styled("openrouter-monitor demo", "bold"), f": {', '.join(APPS)} share one account at {where}.")
    out.line(Styled(f"{settings.base_url}   store {settings.store_path}", "dim"))
    out.blank()


def _tell(out: Output, app: str, what: str, told: Told) -> None:
    sign, style = _SIGNS[told.verdict]
    verdict = f"{sign} {told.verdict}" if out.terminal else told.verdict
    times = f" ({told.times} of them)" if told.times > 1 else ""
    reason = f"  {told.reason}" if told.reason else ""
    out.line(
        Styled(verdict.ljust(13), style), "  ", Styled(app.ljust(11), "bold"), f"  {what}{times}", Styled(reason, style)
    )
    out.indented(15, Styled(told.text, "dim"))


def _sum_up(run: Invocation, settings: Settings, simulator: Simulator | None) -> None:
    from monitor.cli import calls
    from monitor.clock import day_of
    from monitor.status import gather
    from monitor.store.protocol import ALL_APPS
    from monitor.store.sqlite.browse import Walk
    from monitor.store.sqlite.reader import Reader

    out, now = run.out, run.clock.now()
    with Reader(settings.store_path) as reader:
        with reader.moment() as reports:
            totals, refusals = reports.totals(), reports.refusals()
            attempts, uncounted = reports.day_windows(settings.account, day_of(now)).get(ALL_APPS, (0, 0))
        status = gather(reader, settings, now)
        rows = _one_of_each(Walk(reader, limit=LOG_ROWS))
    out.heading("By app")
    left = {app: sum(t.attempts for t in totals if t.app == app) for app in APPS}
    fine = {app: sum(t.attempts for t in totals if t.app == app and t.outcome == "success") for app in APPS}
    held = {app: {r: n for (a, r, shadow), n in refusals.items() if a == app and not shadow} for app in APPS}
    columns = [
        Column("app"),
        Column("left", right=True),
        Column("succeeded", right=True),
        Column("refused", right=True),
    ]
    out.table(
        [*columns, Column("why", fold=True)],
        [[Styled(app, "bold"), left[app], fine[app], sum(held[app].values()), _reasons(held[app])] for app in APPS],
    )
    out.heading("The log, newest first, one row of each kind")
    calls.show(out, rows, now)
    if simulator is not None:
        _compare(out, simulator, sum(left.values()), attempts - uncounted, status)
    day, minute = status["day"], status["minute"]
    left_today, left_now = (f"{window['left']} of {window['limit']}" for window in (day, minute))
    out.blank()
    out.line(f"Free requests left: {left_today} today, {left_now} this minute.")


def _one_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of each app, outcome and reason."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["app"], row["outcome"], row["reason"], row["stream"], row["error"]), row)
    return list(found.values())


def _reasons(held: dict[str, int]) -> str | None:
    return ", ".join(f"{reason} {n}" if n > 1 else reason for reason, n in held.items()) or None


def _compare(out: Output, simulator: Simulator, left: int, counted: int, status: dict[str, Any]) -> None:
    """Our books beside the simulator's, which knows nothing of ours."""
    books = simulator.books
    rows: list[tuple[str, str, str]] = [
        ("requests that arrived", str(left), str(books.requests)),
        ("free requests counted", str(counted), str(books.counted)),
        ("billed", f"${status['spend']['month_usd']:.2f}", f"${books.cost_usd:.2f}"),
        ("over quota", "0", str(books.overshoots)),
    ]
    out.heading("The books, ours beside OpenRouter's")
    out.table(
        [Column("what"), Column("ours", right=True), Column("theirs", right=True)],
        [[what, ours, Styled(theirs, "green" if ours == theirs else "bold red")] for what, ours, theirs in rows],
    )


def _config_file(folder: Path, settings: Settings) -> Path:
    """Settings for the commands to try next, so that each need not be told everything."""
    lines = [f"store = {json.dumps(settings.store_path)}", f"base_url = {json.dumps(settings.base_url)}"]
    lines.append(f"account = {json.dumps(settings.account)}")
    for name, app in settings.apps.items():
        lines += ["", f"[apps.{json.dumps(name)}]", f"share = {app.share}"]
    file = folder / "config.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _what_next(out: Output, config: Path, settings: Settings, *, simulated: bool) -> None:
    out.heading("Look around")
    tries = (
        ("status", "how things stand"),
        ("calls --outcome refused", "what was held back"),
        ("models --free", "what may be called"),
        ("doctor", "whether all is well here"),
    )
    width = max(len(command) for command, _ in tries)
    out.line(Styled(f"export OPENROUTER_MONITOR_CONFIG={config}", "cyan"))
    for command, what in tries:
        out.line(Styled(f"openrouter-monitor {command.ljust(width)}", "cyan"), f"   {what}")
    if simulated:
        out.line(
            "With OPENROUTER_API_KEY set, the demo asks the real OpenRouter: two free requests, and nothing billed."
        )
