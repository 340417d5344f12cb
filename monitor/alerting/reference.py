"""The documentation of the alerts, made from the table: `python -m monitor.alerting > docs/alert-rules.md`."""

from __future__ import annotations

from monitor.alerting.rule import STAYS, Alert, Recording
from monitor.alerting.rules import alerts, groups
from monitor.alerting.thresholds import explained

_INTRODUCTION = f"""\
# Alerts

<!-- Made by `python -m monitor.alerting > docs/alert-rules.md`; a test compares. -->

`alerts/rules.yml` is for Prometheus 2.42 or newer; `openrouter-monitor alerts render` writes it for another job name,
other thresholds, some apps, other links. promtool runs the tests in `alerts/tests/`; `make mutate` makes one thing
wrong in the rules at a time, and they must notice.

* **critical**: act now, it is money, a dead key, lost data, or nobody watches. **warning**: today. **info**: to know.
* **Money is exact.** What was spent is a difference of sums, not `increase()`, which extrapolates and does not see a
  series that is born at 1. What happened while the daemon was away is told when it is back.
* **Nothing seems to be over because the daemon is.** Its figures end when it dies; alerts that are fed by them stay for
  {STAYS} (`keep_firing_for`), and Alertmanager keeps them to itself once `OpenRouterMonitorDown` fires. The price: what
  is really over is told {STAYS} late.
* **Two daemons on one store** tell the same twice. No sum adds them up: every alert keeps `instance`.
* `OpenRouterConfigReloadFailed` and `OpenRouterNotificationsFailing` are about Prometheus and Alertmanager, which must
  be scraped as the jobs `prometheus` and `alertmanager`; the daemon reads its settings only when it starts.

"""


def page() -> str:
    """The whole page, in Markdown."""
    lines = ["| Alert | Severity | For | About | Meaning |", "|---|---|--:|---|---|", *map(_row, alerts())]
    lines += ["", "## Thresholds", "", "`openrouter-monitor alerts render --set NAME=VALUE` changes one. The"]
    lines += ["dashboards draw their lines at the same figures.", ""]
    lines += ["| Threshold | Default | Unit | Meaning |", "|---|--:|---|---|"]
    lines += [f"| `{item.name}` | {item.value:g} | {item.unit} | {item.about} |" for item in explained()]
    lines += ["", "## Recorded", "", "| Recording | Meaning |", "|---|---|"]
    recordings = (rule for group in groups() for rule in group.rules if isinstance(rule, Recording))
    lines += [f"| `{rule.name}` | {rule.about} |" for rule in recordings]
    return _INTRODUCTION + "\n".join(lines) + "\n"


def _row(alert: Alert) -> str:
    name = f"[{alert.name}](../alerts/runbooks/{alert.name}.md)"
    return f"| {name} | {alert.severity} | {alert.lasts or '-'} | {alert.component} | {alert.summary} |"
