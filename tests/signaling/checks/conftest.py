"""What several checks go through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from entrenous_signaling.checks import lookup


@pytest.fixture
def endless_lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No name is ever looked up, and that is waited for shortly; the threads that look end with the test."""
    over = threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        over.wait(60.0)
        return []

    monkeypatch.setattr(lookup, "LOOKUP_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    yield
    over.set()
