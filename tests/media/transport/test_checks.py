"""The self-test finds what the libraries lack and says so."""

from __future__ import annotations

import pytest
from aiortc import rtcsctptransport

from entrenous.media.transport import checks


def test_the_installed_libraries_have_everything() -> None:
    assert checks.missing_names() == []
    checks.check_libraries()


def test_a_missing_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rtcsctptransport.RTCSctpTransport, "_t3_expired")
    with pytest.raises(ImportError, match=r"aiortc .*RTCSctpTransport\._t3_expired"):
        checks.check_libraries()


def test_a_missing_attribute_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ATTRIBUTES", ((rtcsctptransport.RTCSctpTransport, ("_no_such_thing",)),))
    assert checks.missing_names() == ["RTCSctpTransport._no_such_thing"]
