"""How this machine is connected."""

from __future__ import annotations

import socket

import pytest

from entrenous.doctor import look_network
from entrenous.doctor.facts import NetworkFacts
from entrenous.doctor.look_network import is_global, look_at_network


@pytest.mark.parametrize(
    ("address", "expected"),
    [("2001:db8::1", True), ("fe80::1", False), ("fd12:3456::1", False), ("2a00:1450::5", True)],
)
def test_which_ipv6_addresses_are_meant_for_the_internet(address: str, expected: bool) -> None:
    assert is_global(address) is expected


def test_addresses_and_ways_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def source_for(host: str, family: int) -> str | None:
        return "192.168.1.2" if family == socket.AF_INET else None

    addresses = ["192.168.1.2", "fd12::1", "2001:db8::5"]
    monkeypatch.setattr(look_network, "host_addresses", lambda *, loopback_only: addresses)
    monkeypatch.setattr(look_network, "source_for", source_for)
    assert look_at_network() == NetworkFacts(True, True, True, False)
    del addresses[0], addresses[1]
    assert look_at_network() == NetworkFacts(False, True, False, False)


def test_this_machine_can_be_looked_at() -> None:
    assert isinstance(look_at_network(), NetworkFacts)
