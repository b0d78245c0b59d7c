"""Relays that work, refuse, or are not there, with a real coturn on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from entrenous.doctor import look_relays, tls
from entrenous.doctor.facts import NameProblem, RelayFacts, RelayProblem, Way
from entrenous.doctor.look_relays import look_at_relays, seconds_left
from entrenous_wire.messages import Turn
from lab.relay import HAS_COTURN, PASSWORD, USER, Relay, running_relay

pytestmark = pytest.mark.skipif(not HAS_COTURN, reason="coturn's turnserver is not installed")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with running_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_relays, "ALLOCATE_SECONDS", 1.0)
    monkeypatch.setattr(look_relays, "VOICE_SECONDS", 0.002)


async def look(*urls: str, **changes: Any) -> RelayFacts:
    turn = Turn(**{"request": 1, "urls": list(urls), "username": USER, "password": PASSWORD, "ttl": 600, **changes})
    return await look_at_relays(turn, tls.trusting(None), time.time(), lambda text: None)


async def test_everything_goes_round(relay: Relay) -> None:
    url = f"turn:127.0.0.1:{relay.port}"
    facts = await look(url, f"{url}?transport=tcp")
    assert [(end.way, end.works) for end in facts.endpoints] == [(Way.UDP, True), (Way.TCP, True)]
    assert facts.loop is not None
    assert facts.loop.way is Way.UDP
    assert (facts.loop.received, facts.loop.large_received) == (facts.loop.sent, facts.loop.large_sent)
    assert facts.loop.milliseconds is not None
    assert (facts.loop.inward, facts.loop.outward, facts.loop.relayed_is_the_relays) == (True, True, True)
    assert facts.nat is not None
    assert (facts.nat.translated, facts.nat.same_toward_others, facts.nat.lets_strangers_in) == (False, True, True)
    assert facts.nat.local == facts.nat.mapped


async def test_tcp_will_do_where_there_is_no_udp(relay: Relay) -> None:
    facts = await look(f"turn:127.0.0.1:{relay.port}?transport=tcp", "turn:127.0.0.1:1?transport=udp")
    assert [end.problem for end in facts.endpoints] == [None, RelayProblem.REFUSED]
    assert facts.loop is not None
    assert (facts.loop.way, facts.loop.received) == (Way.TCP, facts.loop.sent)
    assert facts.nat is None, "nobody said how UDP looks from outside"


async def test_refusals_are_told_with_their_code(relay: Relay) -> None:
    facts = await look(f"turn:127.0.0.1:{relay.port}", password="wrong")
    assert [end.refusal for end in facts.endpoints] == [401]
    assert facts.loop is None


async def test_urls_that_cannot_be_used() -> None:
    facts = await look("turn:", "turn:relay.invalid:3478")
    assert facts.unusable_urls == ("turn:",)
    assert [host for host, _ in facts.nameless] == ["relay.invalid"]
    assert facts.nameless[0][1] in NameProblem
    assert not facts.endpoints


@pytest.mark.parametrize(
    ("username", "expected"), [("1600:abc", 600.0), ("400:abc", -600.0), ("user", None), ("٣:abc", None)]
)
def test_credentials_say_how_long_they_hold(username: str, expected: float | None) -> None:
    turn = Turn(request=1, urls=[], username=username, password="", ttl=600)
    assert seconds_left(turn, 1000.0) == expected
