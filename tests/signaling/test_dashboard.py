"""The Grafana dashboard asks for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.metrics import METRICS, Shape

FILE = Path(__file__).parent.parent.parent / "signaling" / "grafana-dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())

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
