"""The error tree: what the docstring draws is what there is."""

from __future__ import annotations

import inspect
import re

from entrenous import errors


def drawn_tree() -> dict[str, str | None]:
    """Name → name of the parent, read off the drawing in the module's docstring."""
    assert errors.__doc__ is not None
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^    (?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: |$)", line)
        if match is None:
            continue
        depth = len(match["bars"]) // 4
        path[depth:] = [match["name"]]
        parents[match["name"]] = path[depth - 1] if depth else None
    return parents


def test_the_drawing_is_the_truth() -> None:
    classes = {
        name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    drawn = drawn_tree()
    assert set(drawn) == set(classes)
    for name, parent in drawn.items():
        expected = classes[parent] if parent else Exception
        assert classes[name].__base__ is expected, f"{name} stands in the wrong place of the drawing"


def test_refusals_carry_what_a_caller_can_act_on() -> None:
    refused = errors.RequestRefused("name-taken", "bob is taken.", retry_after=2.0)
    assert (refused.code, str(refused), refused.retry_after) == ("name-taken", "bob is taken.", 2.0)
    assert errors.TransportError("path", "no path").stage == "path"
    assert errors.CallEnded("busy", "they are busy").reason == "busy"
