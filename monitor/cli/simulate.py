"""`simulate`: a local OpenRouter in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.cli.output import Styled

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8399, show_default=True, help="Port; 0 for any free one."
)
@click.option("--per-day", type=click.IntRange(min=0), default=50, show_default=True, help="Free requests a UTC day.")
@click.option("--per-minute", type=click.IntRange(min=0), default=20, show_default=True, help="And a minute.")
@click.option("--catalogue", type=FILE, help="A recorded answer of /models, as JSON or .json.gz.")
@click.option("--scenario", type=FILE, help="Faults to strike with, as JSON or TOML.")
@passes_invocation
def simulate(
    run: Invocation,
    host: str,
    port: int,
    per_day: int,
    per_minute: int,
    catalogue: Path | None,
    scenario: Path | None,
) -> None:
    """Run a local OpenRouter to try things on.

    It answers models, key and every inference endpoint, keeps quotas and books, and takes any API key. Ctrl-C ends it.
    """
    from monitor.simulator.options import SimulatorOptions
    from monitor.simulator.server import serve

    options = SimulatorOptions(per_day=per_day, per_minute=per_minute, catalogue=catalogue, scenario=scenario)
    serve(options, host, port, lambda url: _tell(run, url))


def _tell(run: Invocation, url: str) -> None:
    out = run.out
    out.line("A simulated OpenRouter listens at ", Styled(url, "bold green"))
    out.line("Its books:                ", f"{url.removesuffix('/api/v1')}/_sim/books")
    out.line("Let guarded apps use it:  ", Styled(f"export OPENROUTER_MONITOR_BASE_URL={url}", "cyan"))
    out.line("                          ", Styled("export OPENROUTER_API_KEY=sk-or-v1-anything", "cyan"))
    out.line("and give the same address to the SDK as base_url. Ctrl-C ends it.")
    sys.stdout.flush()
