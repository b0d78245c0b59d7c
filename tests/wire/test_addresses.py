"""Addresses: what is one, what is none, and one spelling for each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous_wire.addresses import Address, canonical_host

USERS = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=64)
LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
HOSTS = st.one_of(
    NAMES,
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))


@given(USERS, HOSTS, PORTS)
def test_what_is_written_is_read_back(user: str, host: str, port: str) -> None:
    text = f"{user}@{host}{port}"
    address = Address.parse(text)
    assert str(address) == text
    assert Address.parse(str(address)) == address
    assert address.port == (int(port[1:]) if port else 443)


@given(st.text(max_size=400))
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError as error:
        assert str(error).endswith(".")
    else:
        assert Address.parse(str(address)) == address


@given(st.from_regex(r"[a-z0-9.@:\[\]-]{1,40}", fullmatch=True))
def test_near_addresses_have_one_spelling(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert canonical_host(address.host) == address.host


@pytest.mark.parametrize(
    ("text", "hostname", "port"),
    [
        ("bob@calls.example.org", "calls.example.org", 443),
        ("b.o-b_1@localhost:8443", "localhost", 8443),
        ("bob@192.0.2.7:1", "192.0.2.7", 1),
        ("bob@[2001:db8::7]", "2001:db8::7", 443),
        ("bob@[::1]:65535", "::1", 65535),
    ],
)
def test_host_and_port_are_taken_apart(text: str, hostname: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.hostname, address.port, str(address)) == (hostname, port, text)


def test_the_host_may_be_typed_in_capitals_and_an_ipv6_address_at_length() -> None:
    assert str(Address.parse("bob@Calls.Example.ORG")) == "bob@calls.example.org"
    assert str(Address.parse("bob@[2001:DB8:0:0:0:0:0:7]:9")) == "bob@[2001:db8::7]:9"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "@host",
        "bob@",
        "Bob@host",
        "bob smith@host",
        "bob@host@host",
        "bob@ho st",
        "bob@host\n",
        "bob@-host",
        "bob@host-.org",
        "bob@a..b",
        "bob@host.",
        "bob@host:0",
        "bob@host:080",
        "bob@host:65536",
        "bob@host:",
        "bob@1.2.3",
        "bob@1.2.3.256",
        "bob@01.2.3.4",
        "bob@2001:db8::7",
        "bob@[::1",
        "bob@[1.2.3.4]",
        "bob@[fe80::1%eth0]",
        "bób@host",
        "bob@hóst",
        "b" * 65 + "@host",
        "bob@" + "a" * 64 + ".org",
        "bob@" + ".".join(["a" * 63] * 5),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        Address.parse(text)


def test_an_address_is_made_in_its_one_spelling_only() -> None:
    with pytest.raises(ValueError, match="lower case"):
        Address("bob", "HOST")
    with pytest.raises(ValueError, match="username"):
        Address("BOB", "host")
