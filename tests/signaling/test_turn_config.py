"""The rendered configuration itself; `relay/` beside this file shows it to a real coturn."""

from __future__ import annotations

import random
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from entrenous_signaling.turn_config import DENIED_IPV4, DENIED_IPV6, SECRETS_LEFT_OUT, render, render_firewall
from entrenous_signaling.turn_settings import TurnSettings

SETTINGS = TurnSettings(
    host="turn.example.org", addresses=("192.0.2.20", "2001:db8::20"), tls_cert="/etc/c.pem", tls_key="/etc/k.pem"
)
IPAddress = IPv4Address | IPv6Address


def directives(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def values(text: str, name: str) -> list[str]:
    return [value for known, value in directives(text) if known == name]


def test_every_directive_stands_under_a_reason_and_none_has_a_comment_behind_it() -> None:
    text = render(SETTINGS, ["a-secret-for-this-test-only"])
    before = ""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert "#" not in line
            assert before.startswith("#") or before.partition("=")[0] == line.partition("=")[0], line
        before = line


def test_secrets_stand_in_the_file_in_their_order_or_are_left_out_of_what_is_shown() -> None:
    assert values(render(SETTINGS, ["one", "two"]), "static-auth-secret") == ["one", "two"]
    shown = render(SETTINGS)
    assert values(shown, "static-auth-secret") == []
    assert SECRETS_LEFT_OUT in shown
    assert shown == render(SETTINGS, ["one"]).replace("static-auth-secret=one", SECRETS_LEFT_OUT)


def test_nothing_that_writes_or_shows_addresses_is_turned_on() -> None:
    names = {name for name, _ in directives(render(SETTINGS, ["one"]))}
    assert not names & {"verbose", "Verbose", "log-binding", "syslog", "web-admin", "redis-statsdb", "prometheus"}
    assert not names & {"allow-loopback-peers", "server-relay", "no-auth", "cli-password"}
    assert {"no-cli", "no-stdout-log", "no-tcp-relay", "no-multicast-peers", "no-dtls", "use-auth-secret"} <= names


def test_what_the_operator_sets_is_in_it() -> None:
    text = render(
        TurnSettings(
            host="turn.example.org",
            realm="example.org",
            addresses=("10.0.0.5", "2001:db8::20"),
            public_addresses=("192.0.2.20", "2001:db8::20"),
            port=3479,
            tls_port=5349,
            tls_cert="/c",
            tls_key="/k",
            min_port=2000,
            max_port=2099,
            user_quota=7,
            total_quota=99,
            session_bytes_per_second=11,
            total_bytes_per_second=22,
            allowed_peers=("10.2.0.0/16",),
            denied_peers=("198.51.100.7",),
            user="relay",
        )
    )
    have = directives(text)
    for pair in (
        *(("listening-ip", "10.0.0.5"), ("relay-ip", "10.0.0.5"), ("listening-ip", "2001:db8::20")),
        *(("external-ip", "192.0.2.20/10.0.0.5"), ("realm", "example.org"), ("listening-port", "3479")),
        *(("tls-listening-port", "5349"), ("cert", "/c"), ("pkey", "/k"), ("min-port", "2000"), ("max-port", "2099")),
        *(("user-quota", "7"), ("total-quota", "99"), ("max-bps", "11"), ("bps-capacity", "22")),
        *(("allowed-peer-ip", "10.2.0.0-10.2.255.255"), ("denied-peer-ip", "198.51.100.7")),
        *(("allowed-peer-ip", "192.0.2.20"), ("proc-user", "relay"), ("proc-group", "relay")),
    ):
        assert pair in have
    assert len(values(text, "external-ip")) == 1


def test_callers_may_move_unless_the_operator_says_otherwise() -> None:
    names = [name for name, _ in directives(render(TurnSettings(host="r", addresses=("192.0.2.20",))))]
    assert {"mobility", "no-software-attribute"} <= set(names)
    settings = TurnSettings(host="r", addresses=("192.0.2.20",), mobility=False)
    assert "mobility" not in [name for name, _ in directives(render(settings))]


def test_without_a_certificate_there_is_no_tls() -> None:
    names = {name for name, _ in directives(render(TurnSettings(host="r", addresses=("192.0.2.20",))))}
    assert "no-tls" in names
    assert not names & {"cert", "pkey", "tls-listening-port"}


def test_wrong_settings_are_refused() -> None:
    for make in (render, render_firewall):
        with pytest.raises(ValueError, match="turn.addresses"):
            make(TurnSettings(host="turn.example.org"))


def denied_by_order(address: IPAddress, ranges: list[tuple[IPAddress, IPAddress]]) -> bool:
    return any(int(first) <= int(address) <= int(last) for first, last in ranges if first.version == address.version)


def denied_by_bytes(address: IPAddress, ranges: list[tuple[IPAddress, IPAddress]]) -> bool:
    """As coturn 4.6.1 compares IPv6 addresses: no byte above the other's."""
    return any(
        all(a <= b <= c for a, b, c in zip(first.packed, address.packed, last.packed, strict=True))
        for first, last in ranges
        if first.version == address.version
    )


@pytest.mark.parametrize("denied", [denied_by_order, denied_by_bytes])
def test_all_ipv6_but_global_unicast_is_denied_whichever_way_ranges_are_compared(denied: object) -> None:
    assert callable(denied)
    ranges = []
    for value in values(render(SETTINGS), "denied-peer-ip"):
        first, _, last = value.partition("-")
        ranges.append((ip_address(first), ip_address(last or first)))
        # coturn takes a range that begins at :: for one that holds every IPv4 address.
        assert first != "::"
    draw = random.Random(1)
    special = [ip_network(network) for network, _ in DENIED_IPV6]
    sparse = [1 << bit for bit in range(125)] + [draw.getrandbits(8) << 8 * draw.randrange(15) for _ in range(200)]
    for number in [
        *sparse,
        *(draw.getrandbits(128) for _ in range(2000)),
        *(draw.getrandbits(125) for _ in range(500)),
    ]:
        address = IPv6Address(number)
        if number == 0:
            continue  # refused by coturn itself
        unicast = address in ip_network("2000::/3") and not any(address in network for network in special)
        assert denied(address, ranges) is not unicast, address
    for network, _ in (*DENIED_IPV4, *DENIED_IPV6):
        known = ip_network(network)
        inside = [known.network_address + draw.randrange(known.num_addresses) for _ in range(20)]
        for address in (known.network_address, known.broadcast_address, *inside):
            assert int(address) == 0 or denied(address, ranges), address


def test_every_network_that_python_knows_as_private_is_denied() -> None:
    """The registry as another implementation has it."""
    denied = [ip_network(network) for network, _ in DENIED_IPV4]
    draw = random.Random(2)
    for number in (draw.getrandbits(32) for _ in range(20_000)):
        address = IPv4Address(number)
        if not address.is_global or address.is_multicast:
            assert any(address in network for network in denied), address


def test_the_firewall_rules_follow_the_settings() -> None:
    text = render_firewall(
        TurnSettings(
            host="turn.example.org",
            addresses=("10.0.0.5",),
            public_addresses=("192.0.2.20",),
            min_port=2000,
            max_port=2099,
            total_quota=100,
            user="relay",
            allowed_peers=("10.2.0.0/16",),
            denied_peers=("9.9.9.9",),
        )
    )
    assert 'meta skuid != "relay" accept' in text
    assert "udp sport != 2000-2099 accept" in text
    assert "ip daddr { 10.0.0.5/32, 10.2.0.0/16, 192.0.2.20/32 } accept" in text
    (drop,) = re.findall(r"ip daddr \{ (.*) \} counter drop", text)
    assert "9.9.9.9/32" in drop
    assert text.index("10.0.0.5/32") < text.index("9.9.9.9/32")
