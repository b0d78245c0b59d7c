"""What the operator decides about the relay is checked, with sentences that say what to do."""

from __future__ import annotations

from typing import Any

import pytest

from entrenous_signaling.turn_settings import TurnSettings, peer_ranges

RIGHT: dict[str, Any] = {"host": "turn.example.org", "addresses": ("192.0.2.20", "2001:db8::20")}


def test_right_settings_pass_and_an_empty_table_is_right_for_a_server_without_relay() -> None:
    TurnSettings(**RIGHT).check_for_relay()
    TurnSettings().check()
    assert TurnSettings().urls == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": ""}, "turn.host is missing"),
        ({"host": "Turn.example.org"}, "turn.host"),
        ({"host": "turn.example.org:3478"}, "without port"),
        ({"host": "turn_example"}, "turn.host"),
        ({"realm": "a realm"}, "turn.realm"),
        ({"user": "root; true"}, "turn.user"),
        ({"tls_cert": "/a"}, "go together"),
        ({"tls_cert": "/a", "tls_key": "b"}, "absolute path"),
        ({"tls_cert": "/a b", "tls_key": "/b"}, "absolute path"),
        ({"tls_cert": "/a\nno-auth", "tls_key": "/b"}, "absolute path"),
        ({"addresses": ()}, "turn.addresses is missing"),
        ({"addresses": ("turn.example.org",)}, "no IP address"),
        ({"addresses": ("2001:db8:0::20",)}, "shortest form"),
        ({"addresses": ("0.0.0.0",)}, "cannot be reached"),
        ({"addresses": ("::",)}, "cannot be reached"),
        ({"addresses": ("127.0.0.1",)}, "cannot be reached"),
        ({"addresses": ("fe80::1",)}, "cannot be reached"),
        ({"addresses": ("224.0.0.1",)}, "cannot be reached"),
        ({"addresses": ("192.0.2.20", "192.0.2.20")}, "twice"),
        ({"public_addresses": ("203.0.113.1",)}, "one address for each"),
        ({"public_addresses": ("2001:db8::1", "203.0.113.1")}, "same kind"),
        ({"min_port": 1000, "max_port": 3000}, "at least 1024"),
        ({"min_port": 50001, "max_port": 50000}, "turn.max_port"),
        ({"port": 443}, "must differ"),
        ({"port": 50000}, "among the relay ports"),
        ({"tls_port": 50000}, "among the relay ports"),
        ({"total_quota": 2001}, "number of relay ports, 2000"),
        ({"total_bytes_per_second": 1}, "nobody could allocate"),
        ({"total_bytes_per_second": 9, "session_bytes_per_second": 0}, "needs"),
        ({"denied_peers": ("10.0.0.1/8",)}, "no network"),
        ({"allowed_peers": ("10.0.0.0-10.1.0.0",)}, "no network"),
        ({"allowed_peers": ("0.0.0.0/0",)}, "every address"),
        ({"denied_peers": ("::/0",)}, "every address"),
        ({"denied_peers": ("::/8",)}, "IPv4 in another form"),
        ({"allowed_peers": ("::ffff:10.0.0.0/104",)}, "IPv4 in another form"),
        ({"allowed_peers": ("64:ff9b::/96",)}, "IPv4 in another form"),
        ({"allowed_peers": ("127.0.0.1/32",)}, "loopback"),
        ({"allowed_peers": ("0.0.0.0/1",)}, "loopback"),
    ],
)
def test_wrong_settings_are_named_with_what_to_do(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TurnSettings(**{**RIGHT, **changes}).check_for_relay()


@pytest.mark.parametrize(
    ("host", "written"), [("turn.example.org",) * 2, ("192.0.2.20",) * 2, ("2001:db8::20", "[2001:db8::20]")]
)
def test_the_urls_follow_from_the_host(host: str, written: str) -> None:
    plain = (f"turn:{written}:3478?transport=udp", f"turn:{written}:3478?transport=tcp")
    assert TurnSettings(host=host).urls == plain
    with_tls = TurnSettings(host=host, tls_cert="/c", tls_key="/k", tls_port=5349)
    assert with_tls.urls == (*plain, f"turns:{written}:5349?transport=tcp")


def test_addresses_go_with_what_the_world_sees_of_them() -> None:
    plain = TurnSettings(**RIGHT).endpoints()
    assert [tuple(map(str, pair)) for pair in plain] == [("192.0.2.20",) * 2, ("2001:db8::20",) * 2]
    moved = TurnSettings(**RIGHT, public_addresses=("203.0.113.1", "2001:db8::20"))
    moved.check_for_relay()
    assert [str(public) for _, public in moved.endpoints()] == ["203.0.113.1", "2001:db8::20"]


def test_networks_are_ranges() -> None:
    ranges = [tuple(map(str, pair)) for pair in peer_ranges(("10.0.0.0/9", "2001:db8::/126", "192.0.2.7"))]
    assert ranges == [("10.0.0.0", "10.127.255.255"), ("2001:db8::", "2001:db8::3"), ("192.0.2.7", "192.0.2.7")]
