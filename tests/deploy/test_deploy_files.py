"""What starts a stack: each file is what its own tool wants, and they agree with each other and with the project."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alerting.rule import Options
from monitor.config import Settings
from tests.fakes.processes import ROOT
from tests.fakes.programs import need

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNIT = DEPLOY / "systemd" / "openrouter-monitor.service"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
JOBS = {Options().job, Options().prometheus_job, Options().alertmanager_job}


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)


def tool(name: str) -> Path:
    """A program that came with the tests' packages."""
    return Path(sys.executable).parent / name


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def passes(told: subprocess.CompletedProcess[str]) -> bool:
    assert told.returncode == 0, told.stdout + told.stderr
    return True


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, of a program that is here."""
    file = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    file.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    return file


def test_systemd_understands_the_unit(unit: Path) -> None:
    """Without a warning."""
    told = run(need("systemd-analyze"), "verify", "--man=no", unit)
    assert (told.returncode, told.stderr) == (0, "")


def test_the_unit_is_as_tight_as_it_says(unit: Path) -> None:
    """The exposure that systemd finds is the one that the unit's head states."""
    told = run(need("systemd-analyze"), "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)
    stated = re.search(r"gives it ([0-9.]+)", UNIT.read_text(encoding="utf-8"))
    assert found is not None
    assert stated is not None
    assert found.group(1) == stated.group(1)
    assert float(found.group(1)) <= 1.5


def test_the_settings_that_are_handed_over_exist(tmp_path: Path) -> None:
    """A mistyped variable would stop the daemon at its start."""
    unit = re.findall(r"(?m)^Environment=(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"))
    docker = re.findall(r"(OPENROUTER_MONITOR_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    pod = documents("openrouter-monitor.yaml")[1]["spec"]["template"]["spec"]["containers"][0]
    named = [name for name, _ in unit] + [name for name, _ in docker] + list(SERVICES["monitor"]["environment"])
    named += [each["name"] for each in pod["env"]]
    assert len(named) >= 8
    values = {name: "127.0.0.1:8377" if name.endswith("LISTEN") else "x" for name in named}
    (tmp_path / "config.toml").touch()
    Settings.load(tmp_path / "config.toml", environ=values)


def test_the_dockerfile_is_clean() -> None:
    """By hadolint, and what it copies is there and let through by .dockerignore."""
    assert passes(run(tool("hadolint"), DEPLOY / "Dockerfile"))
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text) for name in line.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    assert all((ROOT / name).exists() and f"!{name}" in kept for name in copied)


def test_compose_is_what_its_schema_wants() -> None:
    """By compose's own schema."""
    assert passes(run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"))


def test_what_compose_mounts_is_there() -> None:
    """Files and folders of the project, secrets and volumes."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source, _, _ = mount.partition(":")
            there = (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, f"{name} mounts {mount}"
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
    context = DEPLOY / SERVICES["monitor"]["build"]["context"]
    assert (context / SERVICES["monitor"]["build"]["dockerfile"]).exists()


def test_compose_opens_nothing_to_the_network() -> None:
    """Every port is this machine's own, and every variable that it wants is in the example."""
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service["ports"])
    wanted = set(re.findall(r"(?:environment: |\$\{)(OPENROUTER\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    example = (DEPLOY / ".env.example").read_text(encoding="utf-8")
    assert wanted == set(re.findall(r"(?m)^(\w+)=$", example))


def test_prometheus_takes_its_configuration() -> None:
    """And its jobs are those that the rules know."""
    file = DEPLOY / "prometheus" / "prometheus.yml"
    assert passes(run(need("promtool"), "check", "config", "--syntax-only", file))
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert {job["job_name"] for job in config["scrape_configs"]} == JOBS
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert targets[Options().job] == ["monitor:8377"]
    assert "monitor" in SERVICES


def test_alertmanager_takes_its_configuration() -> None:
    """By amtool."""
    assert passes(run(need("amtool"), "check-config", DEPLOY / "alertmanager" / "alertmanager.yml"))


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    """The data source's host is a service, and the dashboards lie where they are looked for."""
    base = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((base / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((base / "dashboards" / "openrouter.yaml").read_text("utf-8"))["providers"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["url"] == "http://prometheus:9090"
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert mounts["../dashboards"] == provider["options"]["path"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (ROOT / "dashboards" / home.name).exists()


@pytest.mark.parametrize("name", ["openrouter-monitor.yaml", "dashboards.yaml"])
def test_kubernetes_takes_the_manifests(name: str) -> None:
    """By the schema of its own objects, with no field that it does not know."""
    assert passes(run(tool("kubernetes-validate"), "--strict", KUBERNETES / name))


def test_the_manifests_agree() -> None:
    """Selectors find the pod and the service, whose name is Prometheus' job; ports, secrets and volumes are there."""
    claim, deployment, service = documents("openrouter-monitor.yaml")
    (monitor,) = documents("servicemonitor.yaml")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert monitor["spec"]["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert service["metadata"]["name"] == Options().job
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] == container["ports"][0]["name"]
    given = {env["valueFrom"]["secretKeyRef"]["key"] for env in container["env"]}
    assert endpoint["authorization"]["credentials"]["key"] in given
    assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in pod["spec"]["volumes"]}
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_manifests_carry_the_projects_rules_and_dashboards() -> None:
    """Else: `python deploy/kubernetes/make.py`."""
    for name, make in runpy.run_path(str(KUBERNETES / "make.py"))["FILES"].items():
        assert (KUBERNETES / name).read_text(encoding="utf-8") == make(), name
    (rule,) = documents("prometheusrule.yaml")
    assert rule["spec"] == yaml.safe_load((ROOT / "alerts" / "rules.yml").read_text(encoding="utf-8"))
    carried = {name: text for each in documents("dashboards.yaml") for name, text in each["data"].items()}
    assert carried == {file.name: file.read_text("utf-8") for file in (ROOT / "dashboards").glob("*.json")}
    assert all(json.loads(text)["uid"] for text in carried.values())
