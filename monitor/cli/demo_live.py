"""`demo --serve`: a day that has passed, the daemon, and example apps that call now and then, until Ctrl-C."""

from __future__ import annotations

import logging
import random
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from monitor.clock import Clock
from monitor.config import Settings
from monitor.simulator.server import Simulator
from monitor.store import open_store

if TYPE_CHECKING:
    from monitor.cli.demo_arrivals import Arrival
    from monitor.cli.demo_scenes import Stage, Told
    from monitor.daemon import Running

PER_DAY = 1000
"""As of an account that has bought credits once: a day of 50 requests would be too short to look at."""

PAUSE_SECONDS = (3.0, 9.0)
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is left of today's quota?"}],
    "max_tokens": 60,
}

Tell = Callable[[str, str, "Told"], None]


def live_through(
    arrivals: Sequence[Arrival], until: float, settings: Settings, simulator: Simulator, tick: Callable[..., None]
) -> int:
    """Put the day before `until` into the store, and let the simulated OpenRouter know what it used of today.

    Returns that. `tick` is told what part of it is done, from 0 to 1.
    """
    from monitor.cli.demo_past import replay
    from monitor.openrouter.catalogue import parse_catalogue
    from monitor.runtime import fetching, plain_client

    with plain_client() as client:
        answer = fetching(client)(f"{settings.base_url}/models?output_modalities=all", {})
    store = open_store(settings.store_path)
    try:
        used = replay(store, settings, parse_catalogue(answer.body).models, until, PER_DAY, arrivals, tick)
    finally:
        store.close()
    simulator.set_used(used)
    return used


class Callers:
    """The example apps, each calling now and then from a thread of its own, until `stop`."""

    def __init__(self, stage: Stage, simulator: Simulator, tell: Tell) -> None:
        self._stage, self._simulator, self._tell = stage, simulator, tell
        self._stopped = threading.Event()
        self._chance = random.Random(7)
        self._thread = threading.Thread(target=self._call_on, name="demo-apps", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _call_on(self) -> None:
        while not self._stopped.wait(self._chance.uniform(*PAUSE_SECONDS)):
            app = self._chance.choice(list(self._stage.clients))
            what, told = self._one(app)
            if not self._stopped.is_set():
                self._tell(app, what, told)

    def _one(self, app: str) -> tuple[str, Told]:
        stage, luck = self._stage, self._chance.random()
        cast = stage.cast
        if luck < 0.08:
            return "a model that bills", stage.chat(app, model=cast.paid, **QUESTION)
        if luck < 0.13:
            self._simulator.faults.add({"match": {"times": 1}, "do": "upstream_429"})
            told = stage.chat(app, model=cast.unlucky, **QUESTION)
            self._simulator.faults.clear()
            return "a provider that may be busy", told
        if luck < 0.45:
            return "a streamed answer", stage.stream(app, model=cast.free, **QUESTION)
        return "a question to a free model", stage.chat(app, model=cast.free, **QUESTION)


def serve_until_stopped(settings: Settings, clock: Clock, ready: Callable[[Running], None]) -> None:
    """Run the daemon where the settings say, or on any free port when that one is taken."""
    from monitor.cli.logs import log_to_stderr
    from monitor.daemon import Daemon

    if _is_taken(settings.listen):
        settings = settings.with_changes(listen="127.0.0.1:0")
    log_to_stderr(level=logging.WARNING)  # the calls are told of on the same screen
    Daemon(settings, clock, ready).run()


def _is_taken(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    try:
        with socket.create_server((host, int(port))):
            return False
    except OSError:
        return True
