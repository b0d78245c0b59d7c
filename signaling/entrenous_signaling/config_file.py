"""Writes a complete configuration file: every key with its meaning and its default.

The keys and defaults are the fields of `ServerConfig` and its tables, the meanings are what their docstrings say of
them: so neither can be missing or out of date. `# ` begins what is to be read; `#` alone stands before a key that keeps
its default.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import Struct

from .config import ServerConfig
from .limits import Rate

_WIDTH: Final = 100
_ENTRY: Final = re.compile(r"    ([a-z][a-z0-9_, ]*): (.*)")
_HEAD: Final = """\
The configuration of an entrenous signaling server. Every key stands here with its meaning; a key behind a # has the
value that is shown, and taking the # away sets another one. `entrenous-signaling check` says whether all of it fits."""

Values = Mapping[str, Any]
"""Keys that are set; a table is another mapping."""


def render(values: Values) -> str:
    """The text of a configuration file.

    Args:
        values: the keys that are set; all others are shown with their defaults.

    Raises:
        TypeError: a value is of a kind that no key has.
        KeyError: a key is none of the configuration.
    """
    return "\n".join([*_comment(_HEAD), "", *_table(ServerConfig(), values, "")]).rstrip() + "\n"


def meanings(kind: type[Struct]) -> dict[str, str]:
    """What each field of a table means, by name: what the `Args` of its class (and of those it extends) say.

    Fields that are told together have the same text. It is empty when the program runs without docstrings.
    """
    said: dict[str, str] = {}
    for part in reversed(kind.__mro__):
        if not issubclass(part, Struct) or part is Struct:
            continue
        _, _, arguments = inspect.cleandoc(vars(part).get("__doc__") or "").partition("Args:\n")
        names: list[str] = []
        for line in arguments.splitlines():
            if entry := _ENTRY.fullmatch(line):
                names = [name.strip() for name in entry[1].split(",")]
                said |= dict.fromkeys(names, entry[2])
            elif line.strip():
                said |= {name: f"{said[name]} {line.strip()}" for name in names}
    return said


def _table(table: Struct, values: Values, prefix: str) -> Iterator[str]:
    """The plain keys of a table, then the tables in it."""
    fields = {field.name: getattr(table, field.name) for field in msgspec.structs.fields(table)}
    if unknown := values.keys() - fields.keys():
        raise KeyError(f"the configuration has no {', '.join(sorted(unknown))}")
    said = meanings(type(table))
    last = None
    for name, default in fields.items():
        if _is_table(default):
            continue
        if (meaning := said.get(name)) != last:
            yield ""
            yield from _comment(meaning or "")
            last = meaning
        if name in values:
            yield f"# Default: {_literal(default)}"
            yield f"{name} = {_literal(values[name])}"
        else:
            yield f"#{name} = {_literal(default)}"
    for name, default in fields.items():
        if _is_table(default):
            yield from ("", "")
            yield from _comment(said.get(name, ""))
            yield f"[{prefix}{name}]"
            yield from _table(default, values.get(name, {}), f"{prefix}{name}.")


def _is_table(value: object) -> bool:
    """Whether a field is written as a table of its own; a rate fits into a line."""
    return isinstance(value, Struct) and not isinstance(value, Rate)


def _comment(text: str) -> list[str]:
    sentence = text[:1].upper() + text[1:]
    return [f"# {line}" for line in textwrap.wrap(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _literal(value: object) -> str:
    """A value as TOML writes it."""
    match value:
        case Enum():
            return _literal(value.value)
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple() | list():
            return f"[{', '.join(map(_literal, value))}]"
        case Rate():
            return f"{{ per_second = {_literal(value.per_second)}, burst = {_literal(value.burst)} }}"
        case _:
            raise TypeError(f"{type(value).__name__} is no kind of value that the configuration has")
