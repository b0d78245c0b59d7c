"""Looking host names up."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from entrenous.doctor import names
from entrenous.doctor.facts import NameProblem
from entrenous.doctor.names import NameUnresolved, few_of_each, is_ip_address, resolve


async def test_an_address_is_its_own() -> None:
    assert await resolve("192.0.2.1") == ["192.0.2.1"]
    assert await resolve("2001:db8::1") == ["2001:db8::1"]


async def test_this_machine_is_found() -> None:
    assert "127.0.0.1" in await resolve("localhost")


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (socket.EAI_AGAIN, NameProblem.SILENT),
        (socket.EAI_SYSTEM, NameProblem.SILENT),
        (socket.EAI_NONAME, NameProblem.UNKNOWN),
        (socket.EAI_NODATA, NameProblem.UNKNOWN),
    ],
)
async def test_what_name_servers_say(monkeypatch: pytest.MonkeyPatch, number: int, problem: NameProblem) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(NameUnresolved) as failed:
        await resolve("calls.example.org")
    assert failed.value.problem is problem


async def test_nobody_waits_for_a_silent_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(names, "_look_up", lambda host: over.wait())
    monkeypatch.setattr(names, "RESOLVE_SECONDS", 0.01)
    began = time.monotonic()
    try:
        with pytest.raises(NameUnresolved) as failed:
            await resolve("calls.example.org")
        assert failed.value.problem is NameProblem.SILENT
        assert time.monotonic() - began < names.MAX_ADDRESSES * 5, "it was waited for"
    finally:
        over.set()


async def test_a_name_that_cannot_be_one_is_unknown() -> None:
    with pytest.raises(NameUnresolved) as failed:
        await resolve("a" * 70 + ".example.org")
    assert failed.value.problem is NameProblem.UNKNOWN


def test_a_few_addresses_of_each_family_are_enough() -> None:
    many = ["2001:db8::1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::2", "2001:db8::3"]
    assert few_of_each(many) == ["2001:db8::1", "192.0.2.1", "192.0.2.2", "2001:db8::2"]


@pytest.mark.parametrize(("host", "is_one"), [("192.0.2.1", True), ("::1", True), ("calls.example.org", False)])
def test_addresses_are_told_from_names(host: str, is_one: bool) -> None:
    assert is_ip_address(host) is is_one
