"""Settings: where a value comes from, and how a wrong one is told."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import ENV_PREFIX, Settings, default_config_path, default_store_path
from monitor.errors import ConfigError
from monitor.model import Allow, Mode
from monitor.redact import Secret

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@pytest.fixture
def toml(tmp_path):
    """Write a settings file and return its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "config.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def load(config: Path | None = None, flags: dict[str, Any] | None = None, **env: str) -> Settings:
    """Load without the environment and the settings file of whoever runs the tests."""
    return Settings.load(config, environ={"OPENROUTER_MONITOR_CONFIG": os.devnull} | env, flags=flags)


def env(name: str) -> str:
    return ENV_PREFIX + name


# Where a value comes from


def test_defaults_are_safe():
    """Without any setting: enforced, free only, strict catalogue, 20 a minute, loopback, bodies not kept."""
    found = load()
    assert (found.guard.mode, found.guard.allow, found.guard.catalogue) == (Mode.ENFORCE, Allow.FREE, "strict")
    assert (found.quota.per_minute, found.quota.per_day) == (20, None)
    assert (found.listen, found.base_url) == ("127.0.0.1:8377", "https://openrouter.ai/api/v1")
    assert not found.guard.log_bodies
    assert not found.guard.zero_priced
    assert found.guard.max_price
    assert found.key() is None


def test_file_over_defaults_environment_over_file_flags_over_all(toml):
    """Each source overrides the one before, setting by setting: what it does not name stays."""
    file = toml('app = "file"\n[quota]\nper_minute = 2\nper_day = 10\n[guard]\nwait = 1')
    environ = {env("APP"): "env", env("QUOTA__PER_MINUTE"): "3"}
    found = load(file, {"quota": {"per_minute": 4}}, **environ)
    assert (found.app, found.quota.per_minute, found.quota.per_day, found.guard.wait) == ("env", 4, 10, 1.0)
    assert load(file, **environ).quota.per_minute == 3
    assert load(file).quota.per_minute == 2


@pytest.mark.parametrize(
    ("name", "text", "read", "value"),
    [
        ("STORE", "/srv/m.db", lambda s: s.store_path, "/srv/m.db"),
        ("BASE_URL", "http://127.0.0.1:9/api/v1/", lambda s: s.base_url, "http://127.0.0.1:9/api/v1"),
        ("LISTEN", "[::1]:80", lambda s: s.listen, "[::1]:80"),
        ("ACCOUNT", "team", lambda s: s.account, "team"),
        ("GUARD__MODE", "shadow", lambda s: s.guard.mode, Mode.SHADOW),
        ("GUARD__ALLOW", "any", lambda s: s.guard.allow, Allow.ANY),
        ("GUARD__MODELS", " a/*, b/c:free ,", lambda s: s.guard.models, ("a/*", "b/c:free")),
        ("GUARD__DENY", "x", lambda s: s.guard.deny, ("x",)),
        ("GUARD__ZERO_PRICED", "Yes", lambda s: s.guard.zero_priced, True),
        ("GUARD__MAX_PRICE", "off", lambda s: s.guard.max_price, False),
        ("GUARD__LOG_BODIES", "1", lambda s: s.guard.log_bodies, True),
        ("QUOTA__PER_DAY", "auto", lambda s: s.quota.per_day, None),
        ("QUOTA__PER_DAY", "0", lambda s: s.quota.per_day, 0),
        ("BUDGET__PER_DAY_USD", "1.5", lambda s: s.budget.per_day_usd, 1.5),
        ("APPS__BOT__SHARE", "0.25", lambda s: s.apps["bot"].share, 0.25),
        ("APPS__BOT__PER_DAY", "7", lambda s: s.apps["bot"].per_day, 7),
        ("APPS__BOT__TOKEN", "t0ken", lambda s: s.apps["bot"].token, Secret("t0ken")),
        ("POLL__KEY_SECONDS", "1", lambda s: s.poll.key_seconds, 1.0),
        ("RETENTION__DAYS", "0.5", lambda s: s.retention.days, 0.5),
        ("ALERTS__MAIL_TO", "a@b.example,c@d.example", lambda s: s.alerts.mail_to, ("a@b.example", "c@d.example")),
        (
            "ALERTS__APPRISE_URLS",
            "x://a,b y://c",
            lambda s: [u.reveal() for u in s.alerts.apprise_urls],
            ["x://a,b", "y://c"],
        ),
        ("PROXY__MAX_BODY_BYTES", "1024", lambda s: s.proxy.max_body_bytes, 1024),
    ],
)
def test_the_environment_sets_what_the_file_can(name, text, read, value):
    """`OPENROUTER_MONITOR_<SECTION>__<NAME>` reaches every section, apps among them, in the words people use."""
    assert read(load(**{env(name): text})) == value


def test_an_empty_variable_is_no_setting():
    """`OPENROUTER_MONITOR_APP=` leaves the default, as an unset variable does."""
    assert load(**{env("APP"): "", env("QUOTA__PER_MINUTE"): "", env("NO_SUCH"): ""}).app == "default"


def test_foreign_variables_are_left_alone():
    """Only our own prefix is read."""
    assert load(OPENROUTER_MODEL="x", MONITOR_APP="y").app == "default"


def test_the_file_is_found_by_its_variable(toml):
    """`OPENROUTER_MONITOR_CONFIG` names the file; an explicit path goes first."""
    path = toml('app = "named"')
    assert Settings.load(environ={env("CONFIG"): str(path)}).app == "named"
    assert Settings.load(path, environ={env("CONFIG"): "/no/such/file"}).app == "named"


def test_a_missing_file_matters_only_when_it_was_named(tmp_path):
    """No settings file is fine; one that was asked for and is not there is an error that names it."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist.*config init"):
        Settings.load(tmp_path / "nowhere.toml", environ={})
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        Settings.load(environ={env("CONFIG"): str(tmp_path / "nowhere.toml")})


def test_the_usual_places():
    """Without settings, store and file are in the user's own directories, under our name."""
    assert default_store_path().name == "monitor.db"
    assert default_config_path().name == "config.toml"
    assert "openrouter-monitor" in str(default_store_path().parent)
    assert load().store_path == str(default_store_path())


def test_sections_may_be_given_in_code():
    """`Settings(guard={…})` and a ready section are the same."""
    assert Settings(guard={"mode": "off"}).guard == Settings(guard=Settings(guard={"mode": "off"}).guard).guard


def test_settings_are_frozen_and_change_by_copy():
    """Nobody can alter what was checked; a copy with changes is checked again."""
    found = Settings(app="one", apps={"bot": {"share": 0.5}})
    with pytest.raises(FrozenInstanceError):
        found.app = "two"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.apps["bot"] = found.apps["bot"]  # type: ignore[index]
    changed = found.with_changes(app="two")
    assert (found.app, changed.app, changed.apps) == ("one", "two", found.apps)
    with pytest.raises(ConfigError, match="app"):
        found.with_changes(app="no spaces here")


# What is wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ap = 1", r"unknown setting ap\. Did you mean app\?"),
        ("[guard]\nalow = 1", r"unknown setting guard\.alow\. Did you mean guard\.allow\?"),
        ("[quota]\nper_dya = 1", r"unknown setting quota\.per_dya\. Did you mean quota\.per_day\?"),
        ("[apps.bot]\nshares = 1", r"unknown setting apps\.bot\.shares\. Did you mean apps\.bot\.share\?"),
        ("[poll]\nzzz = 1", r"unknown setting poll\.zzz\. Known here: activity_seconds, endpoints_seconds, key_s"),
        ("[gaurd]\nmode = 'off'", r"unknown setting gaurd\. Did you mean guard\?"),
    ],
)
def test_an_unknown_name_is_told_with_what_was_meant(toml, text, says):
    """A misspelled setting never passes in silence."""
    with pytest.raises(ConfigError, match=says):
        load(toml(text))


def test_an_unknown_variable_is_told_too():
    """A misspelled variable of our prefix is an error like a misspelled line of the file."""
    with pytest.raises(ConfigError, match=r"unknown setting guard\.moed\. Did you mean guard\.mode\?"):
        load(**{env("GUARD__MOED"): "off"})
    with pytest.raises(ConfigError, match=r"unknown setting guard_mode"):
        load(**{env("GUARD_MODE"): "off"})


@pytest.mark.parametrize(
    ("text", "names", "says"),
    [
        ("app = 5", "app", "expected a name"),
        ("app = ''", "app", "expected a name"),
        ("account = 'a b'", "account", "expected a name"),
        (f"app = '{'a' * 65}'", "app", "1 to 64"),
        ("store = 5", "store", "expected text"),
        ("base_url = 'ftp://x'", "base_url", "https://openrouter.ai/api/v1"),
        ("base_url = 'https://u:p@x/'", "base_url", "credentials"),
        ("base_url = 'https://x/?a=1'", "base_url", "query"),
        ("base_url = 'https://['", "base_url", "."),
        ("base_url = 'https://x:99999/'", "base_url", "."),
        ("listen = '8377'", "listen", "HOST:PORT"),
        ("listen = '127.0.0.1:65536'", "listen", "HOST:PORT"),
        ("listen = '127.0.0.1:²'", "listen", "."),
        ("guard = 5", "guard", "table"),
        ("apps = 5", "apps", "table"),
        ("apps = 'bot'", "apps", "table"),
        ("apps = [['bot', 1]]", "apps", "table"),
        ("apps.bot = 5", r"apps\.bot", "table"),
        ("[apps.'a b']\nshare = 0", "apps", "expected a name"),
        ("[guard]\nmode = 'loud'", r"guard\.mode", "enforce, shadow, off"),
        ("[guard]\nmode = []", r"guard\.mode", "enforce, shadow, off"),
        ("[guard]\nallow = 'paid'", r"guard\.allow", "free, listed, any"),
        ("[guard]\ncatalogue = 'no'", r"guard\.catalogue", "strict, suffix"),
        ("[guard]\ncatalogue_max_age = 59.9", r"guard\.catalogue_max_age", "59.9 is less than 60"),
        ("[guard]\nwait = -0.1", r"guard\.wait", "less than 0"),
        ("[guard]\nwait = nan", r"guard\.wait", "expected a number"),
        ("[guard]\nwait = inf", r"guard\.wait", "expected a number"),
        ("[guard]\nwait = true", r"guard\.wait", "expected a number"),
        (f"[guard]\nwait = {10**400}", r"guard\.wait", "expected a number"),
        ("[guard]\nmodels = [1]", r"guard\.models", "list of texts"),
        ("[guard]\nmodels = 1", r"guard\.models", "list of texts"),
        ("[guard]\nzero_priced = 'maybe'", r"guard\.zero_priced", "true or false"),
        ("[guard]\nzero_priced = 1", r"guard\.zero_priced", "true or false"),
        ("[quota]\nper_minute = 0", r"quota\.per_minute", "0 is less than 1"),
        ("[quota]\nper_minute = 1.5", r"quota\.per_minute", "whole number"),
        ("[quota]\nper_minute = 'many'", r"quota\.per_minute", "whole number"),
        (f"[quota]\nper_minute = -{10**400}", r"quota\.per_minute", "less than 1"),
        ("[quota]\nper_day = -1", r"quota\.per_day", "less than 0"),
        ("[quota]\nper_day = 'all'", r"quota\.per_day", "whole number"),
        ("[budget]\nper_day_usd = -1", r"budget\.per_day_usd", "less than 0"),
        ("[apps.bot]\nshare = 1.1", r"apps\.bot\.share", "1.1 is more than 1"),
        ("[apps.bot]\nper_day = -1", r"apps\.bot\.per_day", "less than 0"),
        ("[apps.bot]\ntoken = ''", r"apps\.bot\.token", "non-empty"),
        ("[poll]\nkey_seconds = 0", r"poll\.key_seconds", "less than 1"),
        ("[retention]\nmax_rows = 999", r"retention\.max_rows", "less than 1000"),
        ("[alerts]\nevaluate_seconds = 0", r"alerts\.evaluate_seconds", "less than 1"),
        ("[alerts]\nmail_to = {}", r"alerts\.mail_to", "list of texts"),
        ("[alerts]\napprise_urls = [5]", r"alerts\.apprise_urls", "text"),
        ("[proxy]\nmax_body_bytes = 1023", r"proxy\.max_body_bytes", "less than 1024"),
        ("[proxy]\ndrain_seconds = 'x'", r"proxy\.drain_seconds", "expected a number"),
        ("api_key = ''", "api_key", "non-empty"),
    ],
)
def test_a_wrong_value_is_told_with_its_name_and_what_would_be_right(toml, text, names, says):
    """Whatever the section and the kind of mistake."""
    with pytest.raises(ConfigError, match=f"(?s)setting {names}.*{says}"):
        load(toml(text))


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.5}, {"a": 1.0}, {"a": 0.1, "b": 0.2, "c": 0.7}, {}])
def test_shares_may_add_up_to_the_whole(shares):
    """Exactly one is allowed, whatever the digits that floats lose."""
    assert Settings(apps={name: {"share": share} for name, share in shares.items()})


def test_shares_beyond_the_whole_are_an_error():
    """More than everything cannot be promised."""
    with pytest.raises(ConfigError, match=r"add up to 1\.01.*1 or less"):
        Settings(apps={"a": {"share": 0.5}, "b": {"share": 0.51}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("app = ", "not valid TOML"),
        ("app = 'a'\napp = 'b'", "not valid TOML"),
        (b"app = '\xff'", "cannot be read"),
        ("a = " + "[" * 5000, "cannot be read"),
        ("a = " + "1" * 5000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(toml, text, says):
    """Broken TOML, another encoding, absurd nesting and absurd numbers are one line with the file's name."""
    with pytest.raises(ConfigError, match=rf"config\.toml.*{says}"):
        load(toml(text))


@pytest.mark.parametrize("path", ["/", "~nosuchuser/config.toml", "a\0b", "x" * 5000])
def test_a_path_that_cannot_be_a_file_is_named(path):
    """A directory, an unknown user's home, a NUL, a name too long."""
    with pytest.raises(ConfigError, match="settings file"):
        Settings.load(path, environ={})


def test_contradicting_variables_are_an_error():
    """A section cannot be a value and a table at once, in whichever order they stand."""
    with pytest.raises(ConfigError):
        load(**{env("GUARD"): "off", env("GUARD__MODE"): "off"})
    with pytest.raises(ConfigError):
        load(**{env("GUARD__MODE"): "off", env("GUARD"): "off"})


# Secrets


def test_the_key_comes_from_openrouters_own_variable():
    """`OPENROUTER_API_KEY` is what SDKs use; our own variable, if set, goes first."""
    assert load(OPENROUTER_API_KEY=KEY).key() == Secret(KEY)
    assert load(OPENROUTER_API_KEY=KEY, **{env("API_KEY"): "other-key"}).key() == Secret("other-key")


def test_the_key_may_be_in_a_file(tmp_path):
    """The file's one line, without the spaces around it; an empty file is no key; the variable goes first."""
    path = tmp_path / "key"
    path.write_text(f"  {KEY}\n")
    assert load(**{env("API_KEY_FILE"): str(path)}).key() == Secret(KEY)
    assert load(OPENROUTER_API_KEY="from-env", **{env("API_KEY_FILE"): str(path)}).key() == Secret("from-env")
    path.write_text("\n")
    assert load(**{env("API_KEY_FILE"): str(path)}).key() is None


@pytest.mark.parametrize("path", ["/no/such/key", "/", "~nosuchuser/key", "a\0b"])
def test_a_key_file_that_cannot_be_read_is_named(path):
    """One line with the file's name and what to do."""
    with pytest.raises(ConfigError, match=r"key file .* cannot be read.*OPENROUTER_API_KEY"):
        Settings(api_key_file=path).key()


def test_a_key_file_of_other_bytes_is_an_error_without_them(tmp_path):
    """What is in the file is never shown."""
    path = tmp_path / "key"
    path.write_bytes(KEY.encode() + b"\xff\xfe")
    with pytest.raises(ConfigError) as told:
        Settings(api_key_file=str(path)).key()
    assert KEY not in str(told.value)


def test_the_management_key_is_a_key_of_its_own(tmp_path):
    """It comes as the API key does, from the settings or a file, and never stands in for it."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    by_file = load(**{env("MANAGEMENT_KEY_FILE"): str(path)})
    assert (by_file.key_to_manage(), by_file.key()) == (Secret(KEY), None)
    assert load(**{env("MANAGEMENT_KEY"): KEY}).key_to_manage() == Secret(KEY)
    assert load(OPENROUTER_API_KEY=KEY).key_to_manage() is None
    with pytest.raises(ConfigError, match="management_key_file"):
        Settings(management_key_file="/no/such/key").key_to_manage()


def full_of_secrets() -> Settings:
    return Settings(
        api_key=KEY,
        management_key=KEY,
        apps={"bot": {"token": KEY}},
        alerts={"webhook_url": f"https://x/{KEY}", "smtp_url": f"smtp://u:{KEY}@x", "apprise_urls": [f"x://{KEY}"]},
        proxy={"token": KEY},
    )


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, lambda s: repr(vars(s))])
def test_settings_never_show_a_secret(show):
    """Not by any way of printing them."""
    assert KEY not in show(full_of_secrets())


def test_a_secret_shows_itself_only_when_asked():
    """`reveal` gives it; printing, formatting, JSON and pickling do not."""
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>40}", str([secret])):
        assert KEY not in shown
    with pytest.raises(TypeError):
        json.dumps(secret)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        copy.copy(secret)
    with pytest.raises(TypeError):
        pickle.dumps(full_of_secrets())


def test_secrets_compare_by_value():
    """Two of the same value are one; none equals a plain text."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != "a"
    assert bool(Secret("a"))
    assert not Secret("")


@pytest.mark.parametrize(
    "text",
    [
        f"guard.mode = '{KEY}'",
        f"app = '{KEY} '",
        f"listen = '{KEY}'",
        f"[quota]\nper_day = '{KEY}'",
        f"[guard]\nmodels = ['{KEY}', 1]",
        f"base_url = 'https://u:{KEY}@x'",
        f"'{KEY}' = 1",
        f"[apps.bot]\n'{KEY}' = 1",
        f"apps.bot = '{KEY}'",
        f"api_key = ['{KEY}']",
        f"app = {KEY}",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated_by_the_error(toml, text):
    """People paste keys into the wrong line; the error names the line, not the key."""
    with pytest.raises(ConfigError) as told:
        load(toml(text))
    assert KEY[:20] not in str(told.value)
    assert KEY[:20] not in repr(told.value)
    assert told.value.__cause__ is None


# Junk


def settings_or_error(make: Callable[[], Settings]) -> None:
    """Anything but settings, or a ConfigError of one line, is a failure."""
    told = ""
    try:
        assert isinstance(make(), Settings)
    except ConfigError as exc:
        told = str(exc)
    assert "\n" not in told


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**400, 10**401) | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = [*Settings.__dataclass_fields__]
INNER = sorted(
    {
        n
        for s in ("guard", "quota", "budget", "poll", "metrics", "retention", "alerts", "proxy")
        for n in type(getattr(Settings(), s)).__dataclass_fields__
    }
    | {"share", "token", "priority"}
)


@given(st.dictionaries(st.sampled_from(NAMES), JUNK | st.dictionaries(st.sampled_from(INNER), JUNK), max_size=4))
def test_junk_values_raise_config_errors_only(values):
    """Whatever stands in a settings file, the answer is settings or a ConfigError."""
    settings_or_error(lambda: Settings.build(values))


@given(st.dictionaries(st.text(max_size=5) | st.integers(), JUNK, max_size=3))
def test_junk_names_raise_config_errors_only(values):
    """The same for names."""
    if values:
        with pytest.raises(ConfigError):
            Settings.build({"~" + str(name): value for name, value in values.items()} | values)


@given(
    st.dictionaries(
        st.sampled_from([*NAMES, *(f"{s}__{n}" for s in ("guard", "quota", "apps__bot", "apps") for n in INNER)]),
        st.text(max_size=20),
        max_size=4,
    )
)
def test_junk_variables_raise_config_errors_only(values):
    """The same for environment variables."""
    settings_or_error(lambda: load(**{env(name.upper()): value for name, value in values.items()}))


@given(
    st.binary(max_size=60) | st.text(alphabet="[]{}=.,'\"#\nabcguard_modeapps0123456789-", max_size=60).map(str.encode)
)
def test_junk_files_raise_config_errors_only(tmp_path_factory, text):
    """The same for the bytes of a file."""
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_bytes(text)
    settings_or_error(lambda: load(path))
