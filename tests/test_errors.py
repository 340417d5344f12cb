"""The error tree."""

from __future__ import annotations

import re

import pytest

from monitor import errors


def classes() -> dict[str, type[Exception]]:
    return {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def drawn() -> dict[str, str | None]:
    """Each class of the docstring's drawing, and the one that it hangs from."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│├└─ ]*)([A-Z]\w+)(\s{2}|$)", line)
        if found:
            depth, name = len(found[1]), found[2]
            while above and above[-1][0] >= depth:
                above.pop()
            parents[name] = above[-1][1] if above else None
            above.append((depth, name))
    return parents


def test_the_drawing_is_the_tree():
    """Every class is drawn, under its base, and nothing else is."""
    actual = {
        name: next((base.__name__ for base in kind.__bases__ if base.__name__ in classes()), None)
        for name, kind in classes().items()
    }
    assert drawn() == actual


def test_everything_is_a_monitor_error():
    """One `except` catches all of ours."""
    assert all(issubclass(kind, errors.MonitorError) for kind in classes().values())


def test_a_wrong_setting_is_a_value_error_too():
    """Code that knows nothing of us can catch it."""
    assert issubclass(errors.ConfigError, ValueError)


@pytest.mark.parametrize("kind", [k for k in classes().values() if not issubclass(k, errors.GuardRefused)])
def test_an_error_says_what_to_do(kind):
    """`str` is message and hint, on one line; without a hint only the message."""
    assert str(kind("It broke.", hint="Mend it.")) == "It broke. Mend it."
    assert str(kind("It broke.")) == "It broke."
    assert (kind("It broke.", hint="Mend it.").message, kind("x", hint="y").hint) == ("It broke.", "y")


@pytest.mark.parametrize("kind", [k for k in classes().values() if issubclass(k, errors.GuardRefused)])
def test_a_refusal_has_its_reason(kind):
    """And the instant at which waiting would help."""
    refused = kind("No.", reason="day_limit", hint="Wait.", resets_at=5.0)
    assert (refused.reason, refused.resets_at, str(refused)) == ("day_limit", 5.0, "No. Wait.")
    assert kind("No.", reason="paused").resets_at is None
