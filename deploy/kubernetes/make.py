"""Makes the manifests that carry other files of the project: `python deploy/kubernetes/make.py`; a test compares.

The rules as a PrometheusRule, and each dashboard as a ConfigMap that Grafana's sidecar reads. Standard library only.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
MADE = "# Made by deploy/kubernetes/make.py.\n"
LABEL = "app.kubernetes.io/name: openrouter-monitor"


def indented(text: str, by: int) -> str:
    """The lines of a block, further in; empty ones stay empty."""
    return "".join(" " * by + line if line.strip() else line for line in text.splitlines(keepends=True))


def prometheus_rule() -> str:
    """The rules file as it is, one level down."""
    rules = (PROJECT / "alerts" / "rules.yml").read_text(encoding="utf-8")
    head = f"""\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: openrouter-monitor
  labels: {{{LABEL}}}
spec:
"""
    return MADE + head + indented(rules, 2)


def config_maps() -> str:
    """A ConfigMap for each dashboard: together they would be too large for one."""
    return MADE + "---\n".join(
        f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {file.stem}-dashboard
  labels: {{{LABEL}, grafana_dashboard: "1"}}
  annotations: {{grafana_folder: OpenRouter}}
data:
  {file.name}: |
{indented(file.read_text(encoding="utf-8"), 4)}"""
        for file in sorted((PROJECT / "dashboards").glob("*.json"))
    )


FILES = {"prometheusrule.yaml": prometheus_rule, "dashboards.yaml": config_maps}

if __name__ == "__main__":
    for name, make in FILES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
