"""What goes round through a relay, and what does not; `test_judge_relays` has it in its context."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous import FindingCode, FindingLevel
from entrenous.doctor.facts import EndpointFacts, LoopFacts, Way
from entrenous.doctor.judge_loop import judge_loop, relay_works

HOST = "turn.example.org"
ROUND = LoopFacts(Way.UDP, sent=50, received=50, milliseconds=20.0, large_sent=5, large_received=5, inward=True)
BLIND = replace(ROUND, inward=False, outward=None)


def codes(loop: LoopFacts, *, udp_passes: bool = True) -> list[FindingCode]:
    return [finding.code for finding in judge_loop(loop, udp_passes=udp_passes, host=HOST)]


def test_everything_goes_round() -> None:
    assert codes(ROUND) == []


@pytest.mark.parametrize("received", [0, 50])
@pytest.mark.parametrize("outward", [False, True])
def test_what_does_not_get_in_has_one_cause(received: int, outward: bool) -> None:
    shut = replace(ROUND, inward=False, outward=outward, received=received)
    assert codes(shut) == [FindingCode.RELAY_PORTS_CLOSED]
    assert codes(replace(shut, relayed_is_the_relays=False)) == [FindingCode.RELAY_WRONG_ADDRESS]


def test_what_could_not_be_tried_from_outside_blames_nobody() -> None:
    assert codes(replace(ROUND, inward=None)) == []


def test_a_network_without_udp_blames_no_port() -> None:
    assert codes(BLIND, udp_passes=False) == []


def test_a_strange_address_that_cannot_be_tried_is_told_as_such() -> None:
    (found,) = judge_loop(replace(BLIND, relayed_is_the_relays=False), udp_passes=False, host=HOST)
    assert (found.code, found.level) == (FindingCode.RELAY_WRONG_ADDRESS, FindingLevel.WARNING)
    silent = replace(BLIND, relayed_is_the_relays=False, received=0)
    (found,) = judge_loop(silent, udp_passes=False, host=HOST)
    assert (found.code, found.level) == (FindingCode.RELAY_WRONG_ADDRESS, FindingLevel.FAULT)


def test_bad_lines_may_have_it_all() -> None:
    bad = replace(ROUND, received=30, milliseconds=900.0, large_received=0)
    assert codes(bad) == [
        FindingCode.RELAY_LOSES_PACKETS,
        FindingCode.RELAY_SLOW,
        FindingCode.LARGE_PACKETS_LOST,
    ]


def test_a_relay_that_works_says_how() -> None:
    ends = [EndpointFacts("turn:a", HOST, Way.TCP, 3478, "192.0.2.1", relayed="192.0.2.1")]
    found = relay_works(replace(ROUND, way=Way.TCP), ends)
    assert "works over TCP; 50 of 50 packets came round over TCP, 20 ms there and back" in found.sentence
    assert found.details["urls"] == ["turn:a"]
    untried = relay_works(LoopFacts(Way.TCP), ends)
    assert untried.sentence == f"The relay {HOST} works over TCP."
