"""The dashboard and the alerts in deploy/ ask for metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.metric_reference import DocumentedMetric, documented_metrics

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ALERTS: Final = DEPLOY / "prometheus" / "creditdesk-alerts.yml"
RUNBOOKS: Final = DEPLOY.parent / "docs" / "how-to" / "runbooks.md"
DASHBOARD: Final = DEPLOY / "grafana" / "creditdesk.json"
OF_PROMETHEUS: Final = {"instance", "job", "le"}
"""Labels that a scrape and a histogram add."""


@pytest.fixture(scope="module")
def metrics() -> list[DocumentedMetric]:
    return documented_metrics()


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*shown, *(alert["expr"] for alert in alerts())]


def test_every_metric_in_a_query_exists(metrics: list[DocumentedMetric]) -> None:
    known = {series for metric in metrics for series in metric.series}
    used = {name for expression in expressions() for name in re.findall(r"\bcreditdesk_\w+", expression)}
    assert used - known == set()
    assert len(used) > 20


def test_every_label_in_a_query_exists(metrics: list[DocumentedMetric]) -> None:
    labels = {series: set(metric.labels) for metric in metrics for series in metric.series}
    for expression in expressions():
        names = set(re.findall(r"\bcreditdesk_\w+", expression))
        allowed = OF_PROMETHEUS.union(*(labels[name] for name in names))
        selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
        grouped = {word for listed in re.findall(r"by \(([^)]*)\)", expression) for word in re.split(r",\s*", listed)}
        assert (selected | grouped) - allowed == set(), expression


def test_every_metric_is_on_the_dashboard_or_in_an_alert(metrics: list[DocumentedMetric]) -> None:
    used = {name for expression in expressions() for name in re.findall(r"\bcreditdesk_\w+", expression)}
    unused = {metric.name for metric in metrics if not metric.series & used}
    assert unused <= {
        "creditdesk_schema_version",
        "creditdesk_job_last_start_timestamp_seconds",
        "creditdesk_log_lines_dropped_total",
    }


def test_every_alert_has_a_runbook_that_a_test_practises() -> None:
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", RUNBOOKS.read_text("utf-8"), re.MULTILINE))
    assert [alert["alert"] for alert in alerts() if alert["alert"] not in sections] == []
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    for name, text in sections.items():
        practised = text.partition("Practised by")[2]
        named = re.findall(r"`(test_\w+)`", practised)
        scripts = re.findall(r"`(deploy/[\w/.-]+)`", practised)
        assert named or scripts, name
        assert [each for each in named if f"def {each}(" not in tests] == [], name
        assert [each for each in scripts if not (DEPLOY.parent / each).exists()] == [], name


def test_promtool_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed on this machine")
    command = [promtool, "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
