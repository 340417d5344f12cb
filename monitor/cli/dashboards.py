"""`dashboards`: what Grafana can show, and the files that make it do so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.context import JSON, Group, Invocation, passes_invocation
from monitor.cli.output import Column
from monitor.words import count

if TYPE_CHECKING:
    from monitor.grafana.choices import Choices


@click.group(cls=Group)
def dashboards() -> None:
    """List the dashboards, or write them for Grafana.

    The same options make the same dashboards in both.
    """


_OPTIONS = (
    click.option("--job", default="openrouter-monitor", show_default=True, help="The daemon's job in Prometheus."),
    click.option("--datasource", default="default", show_default=True, metavar="NAME",
                 help="Grafana's name or uid of the Prometheus to open with; a viewer can choose another."),
    click.option("--app", "apps", multiple=True, help="Show only this app's calls (may be repeated)."),
    click.option("--set", "changes", multiple=True, metavar="NAME=VALUE",
                 help="Another threshold (may be repeated): quota_warning=0.7. `alerts list --thresholds` names them."),
)  # fmt: skip


def dashboard_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what dashboards are written for."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dashboards.command(name="list")
@dashboard_options
@JSON
@passes_invocation
def list_dashboards(run: Invocation, as_json: bool, **given: Any) -> None:
    """What Grafana can show.

    With --json each dashboard has uid, title, description, variables and panels: the titles of its panels.
    """
    from monitor.grafana.render import dashboards as make

    made = [_told(dashboard) for dashboard in make(_choices(**given)).values()]
    if as_json:
        run.out.json(made)
        return
    run.out.table(
        [Column("uid"), Column("title"), Column("panels", right=True), Column("about", fold=True)],
        [[each["uid"], each["title"], len(each["panels"]), each["description"]] for each in made],
    )


@dashboards.command()
@dashboard_options
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default="dashboards", show_default=True,
              metavar="FOLDER", help="Where to write them; made if need be.")  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; exit code 1 when a file there would change.")
@JSON
@passes_invocation
def render(run: Invocation, output: Path, check: bool, as_json: bool, **given: Any) -> None:
    """Write the dashboards as JSON files, which Grafana imports or is provisioned with.

    Files of the same names are overwritten. With --json each has uid, title and file; with --check only those that
    differ are told.
    """
    from monitor.grafana.render import differing, write

    written = list((differing if check else write)(output, _choices(**given)))
    if as_json:
        run.out.json([{"uid": made["uid"], "title": made["title"], "file": str(file)} for file, made in written])
    else:
        for file, _ in written:
            run.out.line(str(file))
        how = "differs" if len(written) == 1 else "differ"
        run.out.note(f"{count(len(written), 'file')} {how}." if check else f"Wrote {count(len(written), 'dashboard')}.")
    if check and written:
        click.get_current_context().exit(1)


def _told(dashboard: dict[str, Any]) -> dict[str, Any]:
    return {
        "uid": dashboard["uid"],
        "title": dashboard["title"],
        "description": dashboard["description"],
        "variables": [variable["name"] for variable in dashboard["templating"]["list"]],
        "panels": [panel["title"] for panel in dashboard["panels"] if panel["type"] != "row"],
    }


def _choices(changes: tuple[str, ...], **named: Any) -> Choices:
    """Raises ConfigError."""
    from monitor.alerting.thresholds import changed
    from monitor.grafana.choices import Choices

    return Choices(thresholds=changed(changes), **named)
