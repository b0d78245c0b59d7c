"""The configuration file that `init` writes: every key, what it means, its default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.config_file import meanings, render
from entrenous_signaling.limits import Rate

BEHIND_A_HASH = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


def keys(table: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, type[msgspec.Struct], str]]:
    """Every key of a table and of those in it: its whole name, the class that has it, its own name."""
    for field in msgspec.structs.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, msgspec.Struct) and not isinstance(value, Rate):
            yield from keys(value, f"{prefix}{field.name}.")
        yield f"{prefix}{field.name}", type(table), field.name


def look_up(values: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values


def test_every_key_stands_there_with_its_default() -> None:
    text = render({})
    assert msgspec.convert(tomllib.loads(text), ServerConfig) == ServerConfig()
    written = tomllib.loads(BEHIND_A_HASH.sub("", text))
    assert msgspec.convert(written, ServerConfig) == ServerConfig()
    for name, _, _ in keys(ServerConfig()):
        look_up(written, name)


@pytest.mark.parametrize(("name", "kind", "own"), list(keys(ServerConfig())))
def test_every_key_is_explained(name: str, kind: type[msgspec.Struct], own: str) -> None:
    meaning = meanings(kind)[own]
    lines = [line.removeprefix("# ") for line in render({}).splitlines() if line.startswith("# ")]
    assert len(meaning) > 15
    assert meaning[1:] in " ".join(lines), f"{name} is not explained"


def test_what_is_set_is_read_back_and_its_default_said() -> None:
    values: dict[str, Any] = {
        "name": 'calls.example.org "x" \\ é \x7f',
        "turn_urls": ("turn:a", "turn:b"),
        "insecure_loopback": True,
        "grace_seconds": 1.5,
        "turn": {"host": "turn.example.org", "port": 3479},
        "limits": {"relay_rate": Rate(per_second=1e-05, burst=3.0)},
    }
    text = render(values)
    read = msgspec.convert(tomllib.loads(text), ServerConfig)
    assert read == msgspec.convert(values, ServerConfig)
    assert "\n# Default: 3478\nport = 3479\n" in text


def test_keys_and_values_that_no_configuration_has_are_mistakes_of_the_caller() -> None:
    with pytest.raises(KeyError, match="speed"):
        render({"turn": {"speed": 1}})
    with pytest.raises(TypeError):
        render({"name": object()})
