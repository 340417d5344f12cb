"""`demo`: a few example apps, the guard, and a simulated OpenRouter (or the real one, if a key is set)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.cli.output import Output, Styled

if TYPE_CHECKING:
    from monitor.cli.demo_scenes import Cast, Stage, Told
    from monitor.config import Settings
    from monitor.daemon import Running
    from monitor.simulator.server import Simulator

APPS = ("billing-bot", "summariser", "notebook")
SIMULATED_KEY = "sk-or-v1-of-the-demo-no-secret"
SIMULATED_MANAGEMENT_KEY = "sk-or-v1-of-the-demo-to-manage-no-secret"
LATENCY_SECONDS, CHUNK_SECONDS = 0.12, 0.03
_SIGNS = {"let through": ("✓", "bold green"), "refused": ("✗", "bold red"), "lost": ("~", "bold yellow")}


@click.command(cls=Command)
@click.option("--serve", "live", is_flag=True, help="Run the daemon with a past day and calling apps, until Ctrl-C.")
@passes_invocation
def demo(run: Invocation, live: bool) -> None:
    """Watch the guard at work for a few seconds.

    Three example apps call a simulated OpenRouter; with OPENROUTER_API_KEY set, the real one, with two free requests.
    Everything is kept in a new store, so that the other commands have something to show.

    With --serve the daemon runs as well, always against the simulator, with a day behind it: traffic that was recorded,
    if ../shared/data/traces is there, else a made-up one.
    """
    from monitor.cli.demo_books import sum_up
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
        sum_up(run, settings, simulator, APPS)
        _what_next(out, _config_file(folder, settings), settings, simulated=simulator is not None)


def _live(run: Invocation) -> None:
    """The daemon with something to watch."""
    from monitor.cli.demo_arrivals import past_day, places
    from monitor.cli.demo_live import PER_DAY, Callers, live_through, serve_until_stopped
    from monitor.cli.serve import tell as tell_where

    if run.store is not None:
        _refuse_existing(run.store)
    folder, out = Path(tempfile.mkdtemp(prefix="openrouter-monitor-demo-")), run.out
    with _simulated(run, _store(run, folder), per_day=PER_DAY, is_free_tier=False, credits_usd=10.0) as world:
        settings, simulator = world
        until = run.clock.now()
        past = past_day(places(), until)
        out.line(f"{past.told}, is put through the ledger …")
        with out.progress("the past day") as bar:
            used = live_through(past.arrivals, until, settings, simulator, bar.at)
        out.line(f"Since midnight, UTC, it used {used} of today's {PER_DAY} free requests.")
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

    options = SimulatorOptions(
        latency_seconds=LATENCY_SECONDS,
        chunk_delay_seconds=CHUNK_SECONDS,
        management_keys=frozenset({SIMULATED_MANAGEMENT_KEY}),
        **account,
    )
    with Simulator(options, clock=run.clock) as simulator:
        # The user's own settings stay out of it: the demo shows the same to everybody.
        yield (
            Settings.build(
                {
                    "store": store,
                    "base_url": simulator.base_url,
                    "api_key": SIMULATED_KEY,
                    "management_key": SIMULATED_MANAGEMENT_KEY,
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
