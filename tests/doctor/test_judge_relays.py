"""What the facts about the relays and the NAT mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from entrenous import Finding, FindingCode, FindingLevel, IcePolicy, main_finding
from entrenous.doctor.facts import (
    EndpointFacts,
    LoopFacts,
    NameProblem,
    NatFacts,
    RelayFacts,
    RelayProblem,
    TlsProblem,
    Way,
)
from entrenous.doctor.judge_relays import Situation, judge_relays, server_clock_is_off

HOST, V4, V6 = "turn.example.org", "192.0.2.1", "2001:db8::1"
FAULT, WARNING, OK = FindingLevel.FAULT, FindingLevel.WARNING, FindingLevel.OK
PORTS = {Way.UDP: 3478, Way.TCP: 3478, Way.TLS: 443}
TIMEOUT, REFUSED = {"problem": RelayProblem.TIMEOUT}, {"problem": RelayProblem.REFUSED}
WORKS: dict[str, Any] = {"relayed": V4}

ROUND = LoopFacts(Way.UDP, sent=50, received=50, milliseconds=20.0, large_sent=5, large_received=5, inward=True)
ROUND_BY_TCP = replace(ROUND, way=Way.TCP, inward=False)
CONE = NatFacts(translated=True, same_toward_others=True, lets_strangers_in=False)


def end(way: Way, address: str = V4, **state: Any) -> EndpointFacts:
    """An endpoint that works, unless `state` says otherwise."""
    return EndpointFacts(f"turn:{way}", HOST, way, PORTS[way], address, **(state or WORKS))


def relays(
    udp: dict[str, Any] | None = None,
    tcp: dict[str, Any] | None = None,
    tls: dict[str, Any] | None = None,
    loop: LoopFacts | None = ROUND,
    **changes: Any,
) -> RelayFacts:
    """A relay with a URL of each way; those of which nothing is said work."""
    ends = (end(Way.UDP, **(udp or {})), end(Way.TCP, **(tcp or {})), end(Way.TLS, **(tls or {})))
    return RelayFacts(**{"endpoints": ends, "loop": loop, "nat": CONE, "seconds_left": 600.0, **changes})


def judged(facts: RelayFacts, **situation: Any) -> list[Finding]:
    return list(judge_relays(facts, Situation(**situation)))


def bad(findings: list[Finding]) -> list[tuple[FindingCode, FindingLevel]]:
    return [(finding.code, finding.level) for finding in findings if finding.level in (WARNING, FAULT)]


def test_a_healthy_relay() -> None:
    found = judged(relays())
    assert [finding.code for finding in found] == [FindingCode.RELAY_WORKS, FindingCode.NAT_ENDPOINT_INDEPENDENT]
    assert "UDP, TCP, TLS; 50 of 50 packets came round over UDP, 20 ms there and back" in found[0].sentence


ALONE = [
    # facts, the only finding that is not fine, its level
    (RelayFacts(absent=True), FindingCode.NO_RELAY, WARNING),
    (RelayFacts(credentials_problem="It is busy."), FindingCode.RELAY_CREDENTIALS_MISSING, FAULT),
    (relays(unusable_urls=("turn:",)), FindingCode.RELAY_URL_UNUSABLE, WARNING),
    (RelayFacts(unusable_urls=("turn:",)), FindingCode.RELAY_URL_UNUSABLE, FAULT),
    (RelayFacts(nameless=((HOST, NameProblem.UNKNOWN),)), FindingCode.RELAY_NAME_UNKNOWN, FAULT),
    (RelayFacts(nameless=((HOST, NameProblem.SILENT),)), FindingCode.RELAY_NAME_UNKNOWN, FAULT),
    (relays(nameless=(("other", NameProblem.UNKNOWN),)), FindingCode.RELAY_NAME_UNKNOWN, WARNING),
    (relays(TIMEOUT, TIMEOUT, TIMEOUT, None, nat=None), FindingCode.RELAY_DOWN, FAULT),
    (relays(REFUSED, REFUSED, REFUSED, None, nat=None), FindingCode.RELAY_DOWN, FAULT),
    (relays(TIMEOUT, loop=ROUND), FindingCode.RELAY_UDP_CLOSED, WARNING),
    (relays(REFUSED, loop=replace(ROUND_BY_TCP, inward=True)), FindingCode.RELAY_UDP_CLOSED, WARNING),
    (relays(tcp=TIMEOUT), FindingCode.RELAY_TCP_CLOSED, WARNING),
    (relays(tcp=REFUSED), FindingCode.RELAY_TCP_CLOSED, WARNING),
    (relays(tls=TIMEOUT), FindingCode.RELAY_TLS_CLOSED, WARNING),
    (relays(TIMEOUT, loop=ROUND_BY_TCP, nat=None), FindingCode.UDP_BLOCKED, WARNING),
    (relays(TIMEOUT, TIMEOUT, loop=ROUND_BY_TCP, nat=None), FindingCode.ONLY_WEB, WARNING),
    (relays(tls={"tls_problem": TlsProblem.EXPIRED}), FindingCode.RELAY_CERTIFICATE_EXPIRED, WARNING),
    (relays(tls={"tls_problem": TlsProblem.NOT_YET_VALID}), FindingCode.RELAY_CERTIFICATE_NOT_YET_VALID, WARNING),
    (relays(tls={"tls_problem": TlsProblem.WRONG_NAME}), FindingCode.RELAY_CERTIFICATE_WRONG_NAME, WARNING),
    (relays(tls={"tls_problem": TlsProblem.UNTRUSTED}), FindingCode.RELAY_CERTIFICATE_UNTRUSTED, WARNING),
    (relays(tls={"tls_problem": TlsProblem.FAILED}), FindingCode.RELAY_TLS_FAILED, WARNING),
    (relays(tls={"problem": RelayProblem.NOT_TURN}), FindingCode.RELAY_NOT_TURN, WARNING),
    (relays(loop=replace(ROUND, refusal=403)), FindingCode.RELAY_LOOP_BROKEN, WARNING),
    (relays(loop=replace(ROUND, received=0)), FindingCode.RELAY_LOOP_BROKEN, WARNING),
    (
        relays(loop=replace(ROUND, inward=False, outward=True, relayed_is_the_relays=False)),
        FindingCode.RELAY_WRONG_ADDRESS,
        FAULT,
    ),
    (relays(loop=replace(ROUND, inward=False, outward=True)), FindingCode.RELAY_PORTS_CLOSED, FAULT),
    (relays(loop=replace(ROUND, inward=False, outward=False, received=0)), FindingCode.RELAY_PORTS_CLOSED, FAULT),
    (relays(loop=replace(ROUND, received=45)), FindingCode.RELAY_LOSES_PACKETS, WARNING),
    (relays(loop=replace(ROUND, milliseconds=400.0)), FindingCode.RELAY_SLOW, WARNING),
    (relays(loop=replace(ROUND, large_received=0)), FindingCode.LARGE_PACKETS_LOST, WARNING),
    (relays(nat=replace(CONE, same_toward_others=False)), FindingCode.NAT_SYMMETRIC, WARNING),
]


@pytest.mark.parametrize(("facts", "code", "level"), ALONE, ids=lambda value: str(getattr(value, "value", "")))
def test_one_cause_is_one_finding(facts: RelayFacts, code: FindingCode, level: FindingLevel) -> None:
    assert bad(judged(facts)) == [(code, level)]


REFUSALS = [
    (401, FindingCode.RELAY_WRONG_SECRET),
    (486, FindingCode.RELAY_QUOTA),
    (508, FindingCode.RELAY_FULL),
    (403, FindingCode.RELAY_REFUSED),
]


@pytest.mark.parametrize(("refusal", "code"), REFUSALS)
def test_a_relay_that_refuses_says_why_once(refusal: int, code: FindingCode) -> None:
    refused = {"refusal": refusal}
    assert bad(judged(relays(refused, refused, refused, None, nat=None))) == [(code, FAULT)]
    assert bad(judged(relays(refused))) == [(code, WARNING)], "another way works"


def test_credentials_that_have_run_out_blame_the_clock_of_who_made_them() -> None:
    refused = {"refusal": 401}
    facts = relays(refused, refused, refused, None, nat=None, seconds_left=-3000.0)
    assert server_clock_is_off(facts)
    assert bad(judged(facts)) == [(FindingCode.SERVER_CLOCK_OFF, FAULT)]
    assert not server_clock_is_off(relays(seconds_left=-3000.0)), "the relay takes them: our clock is wrong"
    assert not server_clock_is_off(relays(refused, seconds_left=None))


def test_a_relay_only_policy_needs_a_relay() -> None:
    assert bad(judged(RelayFacts(absent=True), policy=IcePolicy.RELAY_ONLY)) == [(FindingCode.NO_RELAY, FAULT)]


def test_a_network_without_udp_may_still_show_a_wrong_address() -> None:
    blind = replace(ROUND_BY_TCP, received=0, relayed_is_the_relays=False)
    found = judged(relays(TIMEOUT, loop=blind, nat=None))
    assert main_finding(found) == next(finding for finding in found if finding.code is FindingCode.RELAY_WRONG_ADDRESS)
    broken = judged(relays(TIMEOUT, loop=replace(blind, relayed_is_the_relays=True), nat=None))
    assert (FindingCode.RELAY_LOOP_BROKEN, FAULT) in bad(broken)


def test_an_address_that_is_translated_and_leads_there_is_right() -> None:
    assert not bad(judged(relays(loop=replace(ROUND, relayed_is_the_relays=False))))


def test_a_blocked_network_promises_nothing_that_the_relay_does_not_keep() -> None:
    expired = {"tls_problem": TlsProblem.EXPIRED}
    found = judged(relays(TIMEOUT, TIMEOUT, expired, None, nat=None))
    assert bad(found) == [(FindingCode.ONLY_WEB, WARNING), (FindingCode.RELAY_CERTIFICATE_EXPIRED, FAULT)]
    assert "calls work" not in found[0].sentence


def test_a_few_losses_are_no_finding() -> None:
    assert not bad(judged(relays(loop=replace(ROUND, received=46))))


def test_ipv6_counts_where_there_is_any() -> None:
    ends = (end(Way.UDP), end(Way.UDP, V6, **TIMEOUT))
    facts = relays(endpoints=ends)
    assert not bad(judged(facts)), "there is none here, and nothing to say about it"
    assert bad(judged(facts, ipv6_works=True)) == [(FindingCode.IPV6_BROKEN, WARNING)]
    reached = judged(facts, ipv6_works=True, server_over_ipv6=True)
    assert bad(reached) == [(FindingCode.RELAY_IPV6_CLOSED, WARNING)]


def test_a_way_that_one_address_offers_is_open() -> None:
    ends = (end(Way.UDP, **TIMEOUT), end(Way.UDP, V6), end(Way.TCP))
    assert not bad(judged(relays(endpoints=ends), ipv6_works=True, server_over_ipv6=True))


def test_another_relay_that_works_makes_a_dead_one_a_warning() -> None:
    other = replace(end(Way.UDP, **TIMEOUT), host="other.example.org")
    facts = relays(endpoints=(end(Way.UDP), other))
    assert bad(judged(facts)) == [(FindingCode.RELAY_DOWN, WARNING)]


def test_nothing_is_said_about_what_could_not_be_tried() -> None:
    assert not bad(judged(relays(loop=None, nat=None)))
    assert not bad(judged(relays(nat=replace(CONE, same_toward_others=None))))
