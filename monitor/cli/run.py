"""`run`: a command whose SDKs call the proxy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from monitor.cli.context import Command, Invocation, passes_invocation
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.config import Settings

ANSWER_SECONDS = 5.0
ANSWER_LIMIT = 64 * 1024

HERE = "127.0.0.1,localhost,::1"


@click.command(cls=Command, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--app", help="Who asks, for limits, shares and the log. Instead of the one that the settings name.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
@passes_invocation
def run(run: Invocation, app: str | None, command: tuple[str, ...]) -> None:
    """Run a command with its SDKs pointed at the daemon's proxy.

    For this one command the base URLs and keys of OpenAI's, OpenRouter's and Anthropic's SDKs are set in the
    environment; the API key stays with the daemon, which must be running. The exit code is the command's.
    """
    settings = run.settings if app is None else run.settings.with_changes(app=app)
    root = daemon_of(settings)
    environment = {**os.environ, **variables(settings, root, os.environ)}
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as exc:
        raise MonitorError(f"{command[0]} cannot be started: {exc.strerror}.") from None


def variables(settings: Settings, root: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What is set for the command: where the usual SDKs call, and what names the app in place of a key."""
    base_url, key = f"{root}/api/v1", key_of(settings)
    found = {
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_BASE": base_url,
        "OPENAI_API_KEY": key,
        "OPENROUTER_BASE_URL": base_url,
        "OPENROUTER_API_BASE": base_url,
        "OPENROUTER_API_KEY": key,
        "ANTHROPIC_BASE_URL": f"{root}/api",
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_AUTH_TOKEN": key,
    }
    for name in ("NO_PROXY", "no_proxy"):
        # What goes to this machine must not be sent to the environment's proxy, which does not know it.
        found[name] = ",".join(part for part in (environ.get(name), HERE) if part)
    if settings.proxy.tls_cert is not None:
        trusted = os.path.abspath(os.path.expanduser(settings.proxy.tls_cert))
        found["NODE_EXTRA_CA_CERTS"] = trusted
    return found


def key_of(settings: Settings) -> str:
    """What the daemon takes for this app's key: its token, or its name with the token of the proxy, if there is one."""
    known = settings.apps.get(settings.app)
    if known is not None and known.token is not None:
        return known.token.reveal()
    token = settings.proxy.token
    return f"app:{settings.app}" if token is None else f"app:{settings.app}:{token.reveal()}"


def daemon_of(settings: Settings) -> str:
    """Where the daemon answers. Raises MonitorError when it does not."""
    import http.client
    import ssl

    from monitor.config.addresses import is_wildcard, split

    host, port = split(settings.listen)
    if is_wildcard(host):
        host = "127.0.0.1"
    tls = settings.proxy.tls_cert is not None
    shown = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    connection: http.client.HTTPConnection
    if tls:
        # Only whether it is there is asked, and nothing is told: its certificate may name any host.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    hint = "Start it with `openrouter-monitor serve`, or name its address in the setting listen. Nothing was started."
    try:
        connection.request("GET", "/-/healthy")
        answer = connection.getresponse()
        said = answer.read(ANSWER_LIMIT)
    except (OSError, http.client.HTTPException) as exc:
        what = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        raise MonitorError(f"no daemon answers at {shown}: {what}.", hint=hint) from None
    finally:
        connection.close()
    if answer.status != 200 or b'"healthy"' not in said:
        raise MonitorError(f"what answers at {shown} is no daemon of openrouter-monitor.", hint=hint)
    return shown
