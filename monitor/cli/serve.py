"""`serve`: the daemon in the foreground."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.cli.output import Styled

if TYPE_CHECKING:
    from monitor.daemon import Running

WHERE = (
    ("/api/v1", "the guarded API: give it to your apps as base_url"),
    ("/", "the status page"),
    ("/api/status", "how things stand, as JSON"),
    ("/metrics", "for Prometheus"),
    ("/-/healthy", "alive"),
    ("/-/ready", "ready to judge calls"),
)

ARENA_MAX, MMAP_THRESHOLD = -8, -3
"""Numbers of glibc's `mallopt`."""


@click.command(cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Address, instead of the one that the settings name.")
@click.option("--log-json", is_flag=True, help="Log in JSON, one object a line.")
@passes_invocation
def serve(run: Invocation, listen: str | None, log_json: bool) -> None:
    """Run the daemon: the guarding proxy, polls, metrics and status.

    It listens on this machine only, unless told otherwise; then it needs proxy.token. The log goes to stderr. SIGTERM
    or Ctrl-C ends it in order, a second one at once.
    """
    from monitor.cli.logs import log_to_stderr
    from monitor.daemon import Daemon

    settings = run.settings if listen is None else run.settings.with_changes(listen=listen)
    log_to_stderr(as_json=log_json)
    share_one_heap()
    Daemon(settings, run.clock, lambda running: tell(run, running)).run()


def share_one_heap() -> bool:
    """Let the threads of this process share one heap, which gives large blocks back: by glibc's default each has one of
    its own, and keeps what the largest poll or scrape once took (measured: 68 MB instead of 59). False where it cannot.
    """
    import contextlib
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        return all(mallopt(what, value) for what, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, 128 * 1024)))
    return False


def tell(run: Invocation, running: Running) -> None:
    """What runs where."""
    out = run.out
    width = max(len(path) for path, _ in WHERE)
    out.line(Styled("openrouter-monitor", "bold"), " listens at ", Styled(running.url, "bold green"))
    for path, what in WHERE:
        out.line("  ", Styled(f"{running.url}{path.ljust(width)}", "cyan"), f"  {what}")
    out.line(f"It watches {running.base_url}; its store is {running.store}. Ctrl-C ends it.")
    sys.stdout.flush()
