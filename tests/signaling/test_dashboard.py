"""The Grafana dashboard and the alerts ask for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.metrics import METRICS, Shape

FOLDER = Path(__file__).parents[2] / "signaling"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
ALERTS = FOLDER / "prometheus-alerts.yaml"
OF_PROMETHEUS = {"instance", "job"}
"""Labels that say which server."""

ENDINGS = {
    Shape.GAUGE: ("",),
    Shape.COUNTER: ("_total",),
    Shape.HISTOGRAM: ("_bucket", "_count", "_sum"),
}
SERIES = {
    f"{name}{ending}": {*published.labels, *(("le",) if ending == "_bucket" else ())}
    for name, published in METRICS.items()
    for ending in ENDINGS[published.shape]
}
"""What Prometheus has → its labels, besides those that say which server."""


def expressions() -> Iterator[tuple[str, str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def asked_for(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:entrenous|process)_\w+", expression))


@pytest.mark.parametrize(("title", "expression", "legend"), list(expressions()))
def test_an_expression_names_what_there_is(title: str, expression: str, legend: str) -> None:
    (name,) = asked_for(expression)
    assert name in SERIES, f"{title}: there is no {name}"
    assert f'{name}{{instance=~"$instance"}}' in expression, "it is of the servers that were chosen"
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    shown = set(re.findall(r"{{(\w+)}}", legend))
    assert grouped | shown <= SERIES[name] | {"instance"}
    assert shown <= grouped or "by" not in expression.split(), "what is shown was not added up"
    assert expression.count("(") == expression.count(")")
    published = METRICS[re.sub(r"_(total|bucket|sum|count)$", "", name)]
    assert ("rate(" in expression) is (published.shape is not Shape.GAUGE), "of what only grows, the rate"


def test_every_metric_is_shown() -> None:
    shown = {name for _, expression, _ in expressions() for name in asked_for(expression)}
    missing = [
        name
        for name, published in METRICS.items()
        if not any(f"{name}{ending}" in shown for ending in ENDINGS[published.shape])
    ]
    assert missing == []


def test_all_servers_are_those_of_this_kind() -> None:
    """Other programs on the same Prometheus have `process_` metrics too."""
    (servers,) = (variable for variable in DASHBOARD["templating"]["list"] if variable["name"] == "instance")
    assert servers["includeAll"]
    assert "allValue" not in servers, "without it, all of those that the query finds are meant"
    (name,) = asked_for(servers["query"]["query"])
    assert name.startswith("entrenous_")
    assert name in SERIES


@pytest.mark.parametrize("expression", re.findall(r"^ +expr: (.*)$", ALERTS.read_text(), re.MULTILINE))
def test_an_alert_asks_for_what_there_is(expression: str) -> None:
    (name,) = asked_for(expression)
    assert name in SERIES, f"there is no {name}"
    labels = {label.strip() for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in group.split(",")}
    chosen = set(re.findall(r"[{,](\w+)=", expression))
    assert labels | chosen <= SERIES[name] | OF_PROMETHEUS


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_understands_the_alerts() -> None:
    done = subprocess.run(["promtool", "check", "rules", ALERTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells
