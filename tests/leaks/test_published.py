"""What is published is what there is: the operator's guide lists every table, field, label and answer, and no other."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import msgspec

from entrenous_signaling.control_messages import AccountRemoved, CertificateReloaded, DrainBegun, Status
from entrenous_signaling.logs import LOGGED
from entrenous_signaling.metrics import METRICS
from entrenous_signaling.store import schema

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "signaling" / "README.md").read_text()
KNOWS = GUIDE.split("\n## What the server knows\n")[1].split("\n## ")[0]
SHORT = (ROOT / "README.md").read_text().split("\n### What the server knows\n")[1].split("\n## ")[0]


def part(title: str) -> str:
    """A part of the section, by its heading."""
    return KNOWS.split(f"\n### {title}\n")[1].split("\n### ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of its tables, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line][1:]


def words(text: str) -> tuple[str, ...]:
    """What stands in it as code."""
    return tuple(re.findall(r"`([^`]+)`", text))


def test_every_table_and_column_is_published() -> None:
    published: dict[str, dict[str, tuple[str, ...]]] = {}
    for file, table, columns, why in rows(part("On disk")):
        if file:
            (name,) = words(file)
            tables = published[name.removesuffix(".sqlite3")] = {}
        (name,) = words(table)
        tables[name] = words(columns)
        assert why
    assert published == schema.KEPT


def test_every_event_and_field_of_the_log_is_published() -> None:
    published = {words(event): (level, words(fields)) for event, level, fields in rows(part("In the log"))}
    assert published == {
        (event.value[0],): (logging.getLevelName(event.value[1]).lower(), tuple(field.value for field in fields))
        for event, fields in LOGGED.items()
    }


def test_every_metric_and_label_is_published() -> None:
    text = part("As metrics, answers and exports")
    published = {words(metric)[0]: {words(label)[0]: words(values)} for metric, label, values in rows(text)}
    plain = words(text.split("\nand these without:\n")[1].split("\n\n")[0])
    assert published | {name: {} for name in plain} == {
        name: {label: tuple(str(value.value) for value in values) for label, values in metric.labels.items()}
        for name, metric in METRICS.items()
    }
    assert not set(plain) & set(published)


def test_every_field_of_an_answer_is_published() -> None:
    text = part("As metrics, answers and exports")
    for answer in (Status, AccountRemoved, DrainBegun, CertificateReloaded):
        assert {field.name for field in msgspec.structs.fields(answer)} <= set(words(text))


def test_the_short_form_names_every_table_and_says_where_the_rest_is() -> None:
    for tables in schema.KEPT.values():
        for table in tables.keys() - {"alembic_version"}:
            assert f"`{table}`" in SHORT
    assert "(signaling/README.md#what-the-server-knows)" in SHORT
