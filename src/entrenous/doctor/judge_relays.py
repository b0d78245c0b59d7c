"""What the facts about the relays mean. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from ..config import IcePolicy
from .facts import EndpointFacts, LoopFacts, NameProblem, RelayFacts, RelayProblem, TlsProblem, Way
from .findings import Finding, FindingCode, FindingLevel
from .judge_loop import judge_loop, relay_works
from .judge_machine import ipv6_broken
from .judge_nat import judge_nat

_UNAUTHORIZED: Final = 401
_QUOTA_REACHED: Final = 486
_NO_CAPACITY: Final = 508
_WEB_PORT: Final = 443

_UNREACHABLE = (RelayProblem.TIMEOUT, RelayProblem.REFUSED, RelayProblem.NO_ROUTE)


@dataclass(frozen=True, slots=True)
class Situation:
    """What was found before that changes what a relay's answers mean.

    Args:
        policy: which addresses a peer may learn.
        ipv6_works: this machine has a way out with IPv6, and nothing was found that speaks against it.
        server_over_ipv6: the signaling server was reached with it.
    """

    policy: IcePolicy = IcePolicy.DIRECT
    ipv6_works: bool = False
    server_over_ipv6: bool = False


def judge_relays(facts: RelayFacts, situation: Situation) -> Iterator[Finding]:
    """Whether calls that find no direct path can go through a relay."""
    if facts.absent:
        yield _no_relay(situation.policy)
        return
    if facts.credentials_problem is not None:
        yield Finding(
            FindingCode.RELAY_CREDENTIALS_MISSING,
            FindingLevel.FAULT,
            f"The server gives no relay credentials ({facts.credentials_problem.rstrip('.')}); try again, and tell its "
            "operator if it stays so.",
        )
        return
    considered = [end for end in facts.endpoints if situation.ipv6_works or not end.is_ipv6]
    working = [end for end in considered if end.works]
    level = FindingLevel.WARNING if working else FindingLevel.FAULT
    yield from _judge_urls(facts, level)
    for host in dict.fromkeys(end.host for end in considered):
        yield from _judge_relay(host, [end for end in considered if end.host == host], facts, level, situation)
    if working and facts.loop is not None:
        broken = list(judge_loop(facts.loop, udp_passes=_udp_passes(considered, facts.loop), host=working[0].host))
        yield from broken
        if not any(finding.level is FindingLevel.FAULT for finding in broken):
            yield relay_works(facts.loop, working)
    if facts.nat is not None:
        yield from judge_nat(facts.nat, situation.policy)


def server_clock_is_off(facts: RelayFacts) -> bool:
    """Whether a relay refuses credentials that have run out by our clock too: then the server's is the wrong one."""
    refused = any(end.refusal == _UNAUTHORIZED for end in facts.endpoints)
    return refused and facts.seconds_left is not None and facts.seconds_left < 0


def _no_relay(policy: IcePolicy) -> Finding:
    if policy is IcePolicy.RELAY_ONLY:
        return Finding(
            FindingCode.NO_RELAY,
            FindingLevel.FAULT,
            "The server's operator runs no relay, and your settings allow calls through a relay only; ask for one, or "
            "choose another ice_policy.",
        )
    return Finding(
        FindingCode.NO_RELAY,
        FindingLevel.WARNING,
        "The server's operator runs no relay: calls between two strict networks will not connect; ask the operator to "
        "run one (see turn-config).",
    )


def _judge_urls(facts: RelayFacts, level: FindingLevel) -> Iterator[Finding]:
    for url in facts.unusable_urls:
        yield Finding(
            FindingCode.RELAY_URL_UNUSABLE,
            level,
            f"The server names {url!r} as a relay, which is no TURN URL; its operator must correct --turn-url.",
            {"url": url},
        )
    for host, problem in facts.nameless:
        match problem:
            case NameProblem.UNKNOWN:
                why = "does not exist; the operator must correct --turn-url or the DNS entry"
            case NameProblem.SILENT:
                why = "cannot be found, because no name server answers for it; try again, then tell the operator"
            case _:
                assert_never(problem)
        yield Finding(FindingCode.RELAY_NAME_UNKNOWN, level, f"The relay's name {host} {why}.", {"host": host})


def _judge_relay(
    host: str, ends: Sequence[EndpointFacts], facts: RelayFacts, level: FindingLevel, situation: Situation
) -> Iterator[Finding]:
    """One relay with all its URLs and addresses."""
    alive = [end for end in ends if end.problem not in _UNREACHABLE]
    if not alive:
        yield _down(host, ends, level)
        return
    yield from _unreachable(host, ends, facts, level, situation)
    yield from _certificates(host, ends, level)
    for end in ends:
        if end.problem is RelayProblem.NOT_TURN:
            yield Finding(
                FindingCode.RELAY_NOT_TURN,
                level,
                f"What listens at {host} on port {end.port} is no relay; its operator must correct --turn-url or what "
                "stands in front of the relay.",
                {"url": end.url},
            )
    refusals = dict.fromkeys(end.refusal for end in ends if end.refusal is not None)
    for code in refusals:
        yield _refused(host, code, facts, level)


def _down(host: str, ends: Sequence[EndpointFacts], level: FindingLevel) -> Finding:
    if any(end.problem is RelayProblem.REFUSED for end in ends):
        what = "answers, but no relay runs there; its operator must start it"
        sentence = f"The machine of the relay {host} {what}."
    else:
        sentence = (
            f"The relay {host} does not answer in any way; try another network, then ask its operator whether it runs "
            "and its ports are open."
        )
    return Finding(FindingCode.RELAY_DOWN, level, sentence, {"urls": _urls(ends)})


def _unreachable(
    host: str, ends: Sequence[EndpointFacts], facts: RelayFacts, level: FindingLevel, situation: Situation
) -> Iterator[Finding]:
    """Ways to a relay that is alive which lead nowhere, each by its cause."""
    ipv4 = [end for end in ends if not end.is_ipv6]
    ipv6 = [end for end in ends if end.is_ipv6]
    dead = {way: _dead(ends, way) for way in Way}
    if dead[Way.UDP] and not _udp_passes(facts.endpoints, facts.loop):
        web = any(end.port == _WEB_PORT and end.problem not in _UNREACHABLE for end in ends)
        if web and dead[Way.TCP]:
            yield Finding(
                FindingCode.ONLY_WEB,
                FindingLevel.WARNING,
                f"This network lets nothing out but web traffic; {_with_what_is_left(level)} through the relay's port "
                "443, with more delay than elsewhere: try another network for better ones.",
                {"urls": _urls([*dead[Way.UDP], *dead[Way.TCP]])},
            )
            dead[Way.TCP] = []
        else:
            yield Finding(
                FindingCode.UDP_BLOCKED,
                FindingLevel.WARNING,
                f"This network lets no UDP out; {_with_what_is_left(level)} through the relay over TCP, with more "
                "delay than elsewhere: allow UDP in the firewall, or try another network.",
                {"urls": _urls(dead[Way.UDP])},
            )
        dead[Way.UDP] = []
    for way, code in _CLOSED.items():
        if dead[way]:
            ports = ", ".join(dict.fromkeys(str(end.port) for end in dead[way]))
            yield Finding(
                code,
                level,
                f"The relay {host} cannot be reached over {way.value} (port {ports}), though it can otherwise; its "
                "operator must open that port, or stop naming it.",
                {"urls": _urls(dead[way])},
            )
    lost = [end for end in ipv6 if end.problem in _UNREACHABLE]
    if lost and len(lost) == len(ipv6) and any(end.answers for end in ipv4):
        if situation.server_over_ipv6:
            yield Finding(
                FindingCode.RELAY_IPV6_CLOSED,
                FindingLevel.WARNING,
                f"The relay {host} has an IPv6 address that does not answer; its operator must let the relay listen on "
                "it, open the firewall, or take the address out of the DNS.",
                {"urls": _urls(lost)},
            )
        else:
            yield ipv6_broken(f"nothing comes back from {host} over it", {"urls": _urls(lost)})


def _with_what_is_left(level: FindingLevel) -> str:
    """What the ways that are not blocked are good for; `level` is a fault where none of them works either."""
    return "calls work" if level is FindingLevel.WARNING else "calls could only go"


_CLOSED = {
    Way.UDP: FindingCode.RELAY_UDP_CLOSED,
    Way.TCP: FindingCode.RELAY_TCP_CLOSED,
    Way.TLS: FindingCode.RELAY_TLS_CLOSED,
}


def _dead(ends: Sequence[EndpointFacts], way: Way) -> list[EndpointFacts]:
    """The endpoints of a way that cannot be reached, unless one of the same URL can: then it is the family's fault."""
    alive = {end.url for end in ends if end.way is way and end.problem not in _UNREACHABLE}
    return [end for end in ends if end.way is way and end.problem in _UNREACHABLE and end.url not in alive]


def _udp_passes(ends: Sequence[EndpointFacts], loop: LoopFacts | None) -> bool:
    """Whether anything shows that UDP gets out of this network and something of it comes back."""
    for end in ends:
        if end.way is Way.UDP and (end.answers or end.problem is RelayProblem.REFUSED):
            return True
    return loop is not None and (loop.inward is True or loop.outward is True)


def _certificates(host: str, ends: Sequence[EndpointFacts], level: FindingLevel) -> Iterator[Finding]:
    problems = dict.fromkeys(end.tls_problem for end in ends if end.tls_problem is not None)
    for problem in problems:
        match problem:
            case TlsProblem.EXPIRED:
                code = FindingCode.RELAY_CERTIFICATE_EXPIRED
                what = "has run out; its operator must renew it and let the relay load it"
            case TlsProblem.NOT_YET_VALID:
                code = FindingCode.RELAY_CERTIFICATE_NOT_YET_VALID
                what = "is not valid yet; look at the date of this machine, else its operator must have it issued anew"
            case TlsProblem.WRONG_NAME:
                code = FindingCode.RELAY_CERTIFICATE_WRONG_NAME
                what = "is for another name; its operator must have one issued for the name in --turn-url"
            case TlsProblem.UNTRUSTED:
                code = FindingCode.RELAY_CERTIFICATE_UNTRUSTED
                what = (
                    "comes from an authority that this machine does not trust; its operator must send the whole chain"
                )
            case TlsProblem.FAILED:
                code = FindingCode.RELAY_TLS_FAILED
                what = "was never seen, because TLS does not come about; its operator must look at the TLS port"
            case _:
                assert_never(problem)
        yield Finding(code, level, f"The certificate of the relay {host} {what}.", {"urls": _urls(ends)})


def _refused(host: str, code: int, facts: RelayFacts, level: FindingLevel) -> Finding:
    details: dict[str, object] = {"refusal": code}
    if code == _UNAUTHORIZED and server_clock_is_off(facts):
        return Finding(
            FindingCode.SERVER_CLOCK_OFF,
            level,
            "The signaling server hands out relay credentials that have run out already, because its clock is wrong; "
            "its operator must switch automatic time on.",
            details,
        )
    if code == _UNAUTHORIZED:
        return Finding(
            FindingCode.RELAY_WRONG_SECRET,
            level,
            f"The relay {host} refuses the server's credentials; its operator must give both the same secret "
            "(static-auth-secret), and set the relay's clock.",
            details,
        )
    if code == _QUOTA_REACHED:
        return Finding(
            FindingCode.RELAY_QUOTA,
            level,
            f"The relay {host} has as many calls as it may have; try again later, and ask its operator to raise "
            "total-quota, user-quota or bps-capacity.",
            details,
        )
    if code == _NO_CAPACITY:
        return Finding(
            FindingCode.RELAY_FULL,
            level,
            f"The relay {host} has no free port left; try again later, and ask its operator to widen min-port and "
            "max-port.",
            details,
        )
    return Finding(
        FindingCode.RELAY_REFUSED,
        level,
        f"The relay {host} refuses to relay (code {code}); its operator must look at its configuration.",
        details,
    )


def _urls(ends: Sequence[EndpointFacts]) -> list[str]:
    return list(dict.fromkeys(end.url for end in ends))
