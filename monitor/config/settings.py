"""Settings: defaults < file < environment < flags; checked once, then frozen.

A name that is not known and a value that makes no sense are errors that name the setting and say what would be right:
a mistyped `per_day` must not leave an account unguarded. `OPENROUTER_MONITOR_<SECTION>__<NAME>` sets one from the
environment. The API key comes from `OPENROUTER_API_KEY` or a file, never from a command line, which `ps` shows.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from monitor.config import parsing as parse
from monitor.config.dotenv import KEY_NAME, with_env_file
from monitor.config.keyrings import key_from_keyring
from monitor.config.sections import (
    AlertSettings,
    AppSettings,
    BudgetSettings,
    ClientSettings,
    GuardSettings,
    MetricsSettings,
    PollSettings,
    ProxySettings,
    QuotaSettings,
    RetentionSettings,
    Section,
    setting,
)
from monitor.errors import ConfigError
from monitor.redact import Secret, redact

ENV_PREFIX = "OPENROUTER_MONITOR_"
APP_NAME = "openrouter-monitor"
_T = TypeVar("_T")

_UNREADABLE = (OSError, ValueError, RuntimeError)
"""What reading a file can raise: besides OSError other bytes or a NUL in its name (ValueError), an unknown user's home
(RuntimeError), and TOML too deep (RecursionError) or with numbers too long (ValueError)."""


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(
    {
        "guard": GuardSettings,
        "quota": QuotaSettings,
        "budget": BudgetSettings,
        "client": ClientSettings,
        "poll": PollSettings,
        "metrics": MetricsSettings,
        "retention": RetentionSettings,
        "alerts": AlertSettings,
        "proxy": ProxySettings,
    }
)


@dataclass(frozen=True)
class Settings(Section):
    """All settings. Sections may be given as mappings: `Settings(guard={"mode": "shadow"})`."""

    section = ""
    store: str = setting("", parse.text)
    base_url: str = setting("https://openrouter.ai/api/v1", parse.http_url)
    listen: str = setting("127.0.0.1:8377", parse.listen)
    app: str = setting("default", parse.app_name)
    account: str = setting("default", parse.app_name)
    api_key: Secret | None = setting(None, parse.optional(parse.secret))
    api_key_file: str | None = setting(None, parse.optional(parse.text))
    api_key_keyring: str | None = setting(None, parse.optional(parse.text))
    management_key: Secret | None = setting(None, parse.optional(parse.secret))
    management_key_file: str | None = setting(None, parse.optional(parse.text))
    guard: GuardSettings = field(default_factory=GuardSettings)
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    client: ClientSettings = field(default_factory=ClientSettings)
    routing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apps: Mapping[str, AppSettings] = field(default_factory=dict)
    poll: PollSettings = field(default_factory=PollSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, section in SECTIONS.items():
            object.__setattr__(self, name, _as_section(section, getattr(self, name), name))
        apps = _as_apps(self.apps)
        object.__setattr__(self, "apps", MappingProxyType(apps))
        object.__setattr__(self, "routing", MappingProxyType(_as_routing(self.routing)))
        total = sum(app.share for app in apps.values())
        if total > 1 + 1e-9:
            raise ConfigError(
                f"the settings apps.*.share add up to {total:g}, more than the day's whole quota.",
                hint="Make them add up to 1 or less; what no share claims is common to all apps.",
            )

    @property
    def store_path(self) -> str:
        """Where the store is: as set, else in the user's data directory."""
        return self.store or str(default_store_path())

    def key(self) -> Secret | None:
        """The API key, from the settings, the key file or the keyring. Raises ConfigError when that cannot be read."""
        found = _key(self.api_key, self.api_key_file, "api_key_file", "set OPENROUTER_API_KEY")
        if found is None and self.api_key_keyring is not None:
            return key_from_keyring(self.api_key_keyring, self.account)
        return found

    def key_to_manage(self) -> Secret | None:
        """The management key, which the daemon alone uses, to read credits and activity. Raises as `key` does."""
        named = "set management_key"
        return _key(self.management_key, self.management_key_file, "management_key_file", named)

    @classmethod
    def load(
        cls,
        config: str | os.PathLike[str] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
        env_file: str | os.PathLike[str] | None = None,
    ) -> Settings:
        """Read the settings file, then the environment, then `flags` (nested like the file), each over the last.

        `env_file` names a `.env` file to take for a part of the environment, which itself is stronger; none is read
        otherwise. Raises ConfigError when a name is unknown, a value is wrong, or a file that was named does not exist.
        """
        env = os.environ if environ is None else environ
        if env_file is not None:
            env = with_env_file(env, env_file, ENV_PREFIX)
        named = config or env.get(ENV_PREFIX + "CONFIG")
        values = _read_file(Path(named), required=True) if named else _read_file(default_config_path())
        _merge(values, _from_environment(env))
        _merge(values, dict(flags or {}))
        return cls.build(values)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from nested mappings, as a TOML file gives them. Raises ConfigError."""
        _known(values, (f.name for f in fields(cls)), "")
        return cls(**values)

    def with_changes(self, **changes: Any) -> Settings:
        """The same settings with some replaced, checked again."""
        return replace(self, **changes)


def _key(value: Secret | None, file: str | None, setting: str, instead: str) -> Secret | None:
    if value is not None or file is None:
        return value
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8").strip()
    except _UNREADABLE as exc:
        raise ConfigError(
            f"the key file {file} cannot be read: {type(exc).__name__}.",
            hint=f"Point {setting} at a readable file with one line, or {instead}.",
        ) from None
    return Secret(text) if text else None


def default_store_path() -> Path:
    """`monitor.db` in the user's data directory."""
    return _platform_dir("user_data_path") / "monitor.db"


def default_config_path() -> Path:
    """`config.toml` in the user's configuration directory; it need not exist."""
    return _platform_dir("user_config_path") / "config.toml"


def _platform_dir(which: str) -> Path:
    import platformdirs  # noqa: PLC0415 - only when no path was given: most processes never need it

    path: Path = getattr(platformdirs, which)(APP_NAME, appauthor=False)
    return path


def _as_apps(apps: Any) -> dict[str, AppSettings]:
    if not isinstance(apps, Mapping):
        raise ConfigError("the setting apps is wrong: expected a table of apps, each a table of settings.")
    found = {}
    for name, value in apps.items():
        try:
            parse.app_name(name)
        except ValueError as exc:
            raise ConfigError(f"the setting apps is wrong: {exc}.") from None
        try:
            found[name] = _as_section(AppSettings, value, f"apps.{name}")
        except ConfigError as exc:
            raise ConfigError(exc.message.replace("apps.*.", f"apps.{name}."), hint=exc.hint) from None
    return found


def _as_routing(table: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, Mapping):
        raise ConfigError("the setting routing is wrong: expected a table of tasks, each a list of models.")
    found = {}
    for task, models in table.items():
        try:
            found[parse.task_name(task)] = parse.strings(models)
        except ValueError as exc:
            raise ConfigError(f"the setting routing.{redact(str(task), limit=40)} is wrong: {exc}.") from None
    return found


def _as_section(section: type[_T], value: Any, name: str) -> _T:
    if isinstance(value, section):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"the setting {name} is wrong: expected a table of settings.")
    assert is_dataclass(section)
    _known(value, (f.name for f in fields(section)), f"{name}.")
    return section(**value)


def _known(values: Mapping[str, Any], names: Iterable[str], prefix: str) -> None:
    allowed = list(names)
    for name in values:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f"Did you mean {prefix}{near[0]}?" if near else f"Known here: {', '.join(sorted(allowed))}."
            raise ConfigError(f"unknown setting {prefix}{redact(str(name), limit=60)}.", hint=hint)


def _read_file(path: Path, *, required: bool = False) -> dict[str, Any]:
    try:
        return tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigError(
                f"the settings file {path} does not exist.", hint="Make one with `openrouter-monitor config init`."
            ) from None
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"the settings file {path} is not valid TOML: {exc}.") from None
    except _UNREADABLE as exc:
        raise ConfigError(f"the settings file {path} cannot be read: {type(exc).__name__}.") from None


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in env.items():
        if name.startswith(ENV_PREFIX) and name != ENV_PREFIX + "CONFIG" and value != "":
            path = name[len(ENV_PREFIX) :].lower().split("__")
            place = found
            for part in path[:-1]:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    raise ConfigError(f"the environment variable {name} contradicts another of the same section.")
            place[path[-1]] = value
    if key := env.get(KEY_NAME):
        found.setdefault("api_key", key)
    return found


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    for name, value in over.items():
        if isinstance(value, Mapping) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = dict(value) if isinstance(value, Mapping) else value
