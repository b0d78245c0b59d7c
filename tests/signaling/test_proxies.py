"""Whose word about a client's address is taken."""

from __future__ import annotations

import pytest

from entrenous_signaling.proxies import TrustedProxies

PROXIES = TrustedProxies.parse(["127.0.0.1", "::1", "10.20.0.0/16"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),  # no proxy of ours: a claim, and not believed
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["192.0.2.66, 203.0.113.9"], "203.0.113.9"),  # what the client sent itself stands in front
        ("127.0.0.1", ["192.0.2.66", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9, 10.20.3.4"], "203.0.113.9"),  # two proxies of ours, one behind the other
        ("127.0.0.1", ["10.20.3.4"], "10.20.3.4"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, nonsense, 10.20.3.4"], "10.20.3.4"),
        ("127.0.0.1", [","], "127.0.0.1"),
        ("fe80::1%eth0", ["203.0.113.9"], "fe80::1"),
        ("", ["203.0.113.9"], "None"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours_counts(peer: str, forwarded: list[str], client: str) -> None:
    assert str(PROXIES.client(peer, forwarded)) == client


def test_without_trusted_proxies_the_header_is_nobodys_word() -> None:
    assert str(TrustedProxies().client("127.0.0.1", ["203.0.113.9"])) == "127.0.0.1"


@pytest.mark.parametrize(("text", "words"), [("proxy", "no address"), ("10.0.0.1/8", "no address"), ("::/0", "every")])
def test_what_are_no_proxies_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrustedProxies.parse([text])
