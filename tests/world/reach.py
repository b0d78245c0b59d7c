"""What an object leads to: everything that it, and whatever it holds, could still tell somebody."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from msgspec import Struct


def reachable(root: object, *without: object) -> Iterator[tuple[str, str | bytes]]:
    """Every text and every bytes that an object leads to, each with one way to it.

    The ways lead through containers, attributes, slots, fields of structs, and what functions have closed over; not
    through classes, modules and their globals, which are the program's and not the object's.

    Args:
        root: the object.
        without: objects through which no way may lead.
    """
    seen = {id(item) for item in without}
    held: list[object] = []  # so that no id is used twice meanwhile
    waiting: list[tuple[str, object]] = [("", root)]
    while waiting:
        way, item = waiting.pop()
        if isinstance(item, str | bytes | bytearray):
            yield way, bytes(item) if isinstance(item, bytearray) else item
        elif id(item) not in seen and not isinstance(item, int | float | Enum | type | ModuleType | None):
            seen.add(id(item))
            held.append(item)
            waiting.extend((f"{way}{step}", inner) for step, inner in _steps(item))


def _steps(item: Any) -> Iterator[tuple[str, object]]:
    if isinstance(item, dict):
        for number, (key, value) in enumerate(item.items()):
            yield f" key {number}", key
            yield f"[{number}]", value
    elif isinstance(item, FunctionType):
        for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
            yield f" closure {name}", cell.cell_contents
        yield " defaults", item.__defaults__
    elif isinstance(item, MethodType | BuiltinFunctionType):
        yield ".__self__", item.__self__
    elif isinstance(item, partial):
        yield " partial", (item.func, item.args, item.keywords)
    else:
        if hasattr(item, "__iter__") and hasattr(item, "__len__"):
            yield from ((f"[{number}]", inner) for number, inner in enumerate(item))
        yield from ((f".{name}", value) for name, value in _attributes(item))


def _attributes(item: Any) -> Iterator[tuple[str, object]]:
    yield from getattr(item, "__dict__", {}).items()
    names = set(item.__struct_fields__) if isinstance(item, Struct) else set()
    for kind in type(item).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    for name in sorted(names):
        mangled = f"_{type(item).__name__}{name}" if name.startswith("__") and not name.endswith("__") else name
        if hasattr(item, mangled):
            yield name, getattr(item, mangled)
