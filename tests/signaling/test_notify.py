"""What the service manager hears, at a real socket."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous_signaling.notify import Notifier, ServiceState


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        yield listener


def test_states_are_datagrams(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    for state in ServiceState:
        notifier.tell(state)
    assert [manager.recv(100) for _ in ServiceState] == [b"READY=1", b"STOPPING=1", b"WATCHDOG=1"]


def test_a_name_without_a_file_begins_with_an_at() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0entrenous-notify-{os.getpid()}")
        listener.settimeout(60)
        Notifier({"NOTIFY_SOCKET": f"@entrenous-notify-{os.getpid()}"}).tell(ServiceState.READY)
        assert listener.recv(100) == b"READY=1"


def test_a_manager_that_does_not_listen_is_not_waited_for(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})

    def tell() -> None:
        for _ in range(5_000):  # more than any system keeps for a socket
            notifier.tell(ServiceState.WATCHDOG)

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(60)
    assert not telling.is_alive()


def test_nobody_and_a_manager_that_is_gone_are_no_trouble(tmp_path: Path) -> None:
    Notifier({}).tell(ServiceState.READY)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(ServiceState.READY)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "@x"}, None),
        ({"WATCHDOG_USEC": "30000000"}, None),
    ],
)
def test_how_often_a_sign_of_life_is_expected(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds
