"""What the facts about the signaling server mean: the way there, the clock, the login. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from entrenous_wire.messages import ErrorCode, RegistrationPolicy

from .facts import LoginFacts, NameProblem, ReachProblem, ServerFacts, TlsProblem
from .findings import Finding, FindingCode, FindingLevel
from .judge_machine import ipv6_broken, one_sentence

CLOCK_FAULT_SECONDS: Final = 30.0
"""What the handshake of a call allows: rings from further in the future are refused."""

CLOCK_WARNING_SECONDS: Final = 10.0

_DOWN_BEHIND_PROXY = (502, 503, 504)


def judge_server(facts: ServerFacts, account_host: str | None, *, registering: bool = False) -> Iterator[Finding]:
    """How far the way to the server leads, ending with the first thing that stops it; the clock is judged by itself.

    Args:
        facts: about it.
        account_host: the server in the address of the account; None where no account opens.
        registering: there is none to open, so the next step is to register.
    """
    host = facts.host
    stop = _before_tls(facts) or _tls(facts)
    if stop is not None:
        yield stop
        return
    if (broken := _family(facts)) is not None:
        yield broken
    stop = _http(facts) or _greeting(facts, account_host)
    if stop is not None:
        yield stop
        return
    if registering and facts.registration is RegistrationPolicy.CLOSED:
        yield Finding(
            FindingCode.REGISTRATION_CLOSED,
            FindingLevel.FAULT,
            f"{host} takes no registrations; ask its operator for an account, or choose another server.",
        )
        return
    yield Finding(
        FindingCode.SERVER_REACHED,
        FindingLevel.OK,
        f"{host} is reached and greets.",
        {"registration": None if facts.registration is None else facts.registration.value},
    )


def _before_tls(facts: ServerFacts) -> Finding | None:
    host = facts.host
    if facts.portal:
        return Finding(
            FindingCode.CAPTIVE_PORTAL,
            FindingLevel.FAULT,
            f"This network answers in the place of {host} with a page of its own; log in to the network in a web "
            "browser, then try again.",
        )
    match facts.name_problem:
        case NameProblem.SILENT:
            return Finding(
                FindingCode.DNS_SILENT,
                FindingLevel.FAULT,
                f"No name server answers, so {host} cannot be found; look at the DNS setting of this machine or "
                "router, or try another network.",
            )
        case NameProblem.UNKNOWN:
            return Finding(
                FindingCode.SERVER_NAME_UNKNOWN,
                FindingLevel.FAULT,
                f"The name {host} does not exist; look for a typing mistake in the address, or ask its operator.",
            )
        case None:
            pass
        case _:
            assert_never(facts.name_problem)
    problems = {attempt.problem for attempt in facts.attempts}
    if None in problems:
        return None
    if ReachProblem.REFUSED in problems:
        return Finding(
            FindingCode.SERVER_DOWN,
            FindingLevel.FAULT,
            f"The machine of {host} answers, but no server runs there; look at the port in the address, or ask its "
            "operator to start it.",
        )
    return Finding(
        FindingCode.SERVER_UNREACHABLE,
        FindingLevel.FAULT,
        f"{host} does not answer at all; the machine is off, or a firewall lets nothing through: try another network, "
        "then ask its operator.",
    )


def _tls(facts: ServerFacts) -> Finding | None:
    host = facts.host
    off = facts.clock_ahead is not None and abs(facts.clock_ahead) > CLOCK_FAULT_SECONDS
    match facts.tls_problem:
        case None:
            return None
        case TlsProblem.EXPIRED | TlsProblem.NOT_YET_VALID if off and facts.certificate_holds_by_its_date:
            return _clock_off(facts, "and its certificate seems out of time")
        case TlsProblem.EXPIRED:
            return Finding(
                FindingCode.SERVER_CERTIFICATE_EXPIRED,
                FindingLevel.FAULT,
                f"The certificate of {host} has run out; its operator must renew it.",
            )
        case TlsProblem.NOT_YET_VALID:
            return Finding(
                FindingCode.SERVER_CERTIFICATE_NOT_YET_VALID,
                FindingLevel.FAULT,
                f"The certificate of {host} is not valid yet; look at the date of this machine, else its operator must "
                "wait or have it issued anew.",
            )
        case TlsProblem.WRONG_NAME:
            return Finding(
                FindingCode.SERVER_CERTIFICATE_WRONG_NAME,
                FindingLevel.FAULT,
                f"The certificate at {host} is for another name; look for a typing mistake in the address, else its "
                "operator must have one issued for this name.",
            )
        case TlsProblem.UNTRUSTED:
            return Finding(
                FindingCode.SERVER_CERTIFICATE_UNTRUSTED,
                FindingLevel.FAULT,
                f"The certificate of {host} comes from an authority that this machine does not trust; if it is the "
                "operator's own, name its file with --ca-file, else somebody may be listening in.",
            )
        case TlsProblem.FAILED:
            return Finding(
                FindingCode.SERVER_TLS_FAILED,
                FindingLevel.FAULT,
                f"{host} is reached, but TLS does not come about; what listens there speaks something else, or a "
                "firewall interferes: look at the port, and try another network.",
            )
        case _:
            assert_never(facts.tls_problem)


def judge_clock(facts: ServerFacts) -> Finding | None:
    """Whether this machine and the server agree on the time; None where a trusted server did not say."""
    ahead = facts.clock_ahead
    if ahead is None or facts.tls_problem is not None:
        return None
    if abs(ahead) > CLOCK_WARNING_SECONDS:
        return _clock_off(facts, "and calls are refused as stale when clocks differ by more than half a minute")
    return Finding(
        FindingCode.CLOCK_RIGHT,
        FindingLevel.OK,
        "The clock agrees with that of the server.",
        {"ahead_seconds": round(ahead, 1)},
    )


def _clock_off(facts: ServerFacts, consequence: str) -> Finding:
    ahead = facts.clock_ahead or 0.0
    way = "ahead of" if ahead > 0 else "behind"
    level = FindingLevel.FAULT if abs(ahead) > CLOCK_FAULT_SECONDS else FindingLevel.WARNING
    return Finding(
        FindingCode.CLOCK_OFF,
        level,
        f"The clock of this machine is {spoken(abs(ahead))} {way} that of {facts.host}, {consequence}; switch "
        "automatic time on, and if yours is right tell the operator.",
        {"ahead_seconds": round(ahead, 1)},
    )


def spoken(seconds: float) -> str:
    """A duration in the largest unit that fits."""
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _family(facts: ServerFacts) -> Finding | None:
    """Whether the server is reached by IPv4 alone though it has an IPv6 address, and this machine a way there."""
    ipv6 = [attempt.problem for attempt in facts.attempts if attempt.is_ipv6]
    ipv4 = [attempt.problem for attempt in facts.attempts if not attempt.is_ipv6]
    if ipv6 and None in ipv4 and all(problem is ReachProblem.TIMEOUT for problem in ipv6):
        return ipv6_broken(f"nothing comes back from {facts.host} over it", {})
    return None


def _http(facts: ServerFacts) -> Finding | None:
    host = facts.host
    status = facts.status
    if status is None:
        return Finding(
            FindingCode.SERVER_SILENT,
            FindingLevel.FAULT,
            f"{host} takes the connection and then says nothing that makes sense; look at the port in the address, or "
            "ask its operator whether the server is overloaded.",
        )
    if status == 101:
        return None
    details = {"status": status}
    if facts.says_full:
        return Finding(
            FindingCode.SERVER_FULL,
            FindingLevel.FAULT,
            f"{host} is full, or just shutting down; try again in a minute, and tell its operator if it stays so.",
            details,
        )
    if status in _DOWN_BEHIND_PROXY:
        return Finding(
            FindingCode.SERVER_DOWN,
            FindingLevel.FAULT,
            f"A proxy at {host} says that no server runs behind it (HTTP {status}); its operator must start it.",
            details,
        )
    return Finding(
        FindingCode.NOT_ENTRENOUS,
        FindingLevel.FAULT,
        f"{host} is a web server and no entrenous server (HTTP {status}); look at the host and port in the address.",
        details,
    )


def _greeting(facts: ServerFacts, account_host: str | None) -> Finding | None:
    host = facts.host
    if facts.server_name is None:
        return Finding(
            FindingCode.NOT_ENTRENOUS,
            FindingLevel.FAULT,
            f"{host} takes WebSockets but does not greet like an entrenous server; look at the host and port in the "
            "address.",
        )
    if not facts.speaks_our_version:
        return Finding(
            FindingCode.SERVER_VERSION,
            FindingLevel.FAULT,
            f"{host} speaks another version of the protocol; update this program, or ask its operator to update.",
        )
    if account_host is not None and facts.server_name != account_host:
        return Finding(
            FindingCode.SERVER_OTHER_NAME,
            FindingLevel.FAULT,
            f"The server at {host} calls itself by another name than {account_host} in your address; look at --server "
            "and node.toml, or ask its operator for the name it was started with.",
        )
    return None


def judge_login(facts: LoginFacts, clock_is_off: bool) -> Iterator[Finding]:
    """Whether the server lets this device in.

    Args:
        facts: about the login.
        clock_is_off: the clock was found wrong, which may be why.
    """
    if facts.failed:
        yield Finding(
            FindingCode.LOGIN_FAILED,
            FindingLevel.FAULT,
            f"The server greets, but the login does not come to its end ({facts.sentence.rstrip('.')}); try again, and "
            "tell its operator if it stays so.",
        )
        return
    match facts.refusal:
        case None:
            yield Finding(FindingCode.LOGGED_IN, FindingLevel.OK, "The server lets this device in.")
        case ErrorCode.UNKNOWN_USER:
            yield Finding(
                FindingCode.ACCOUNT_UNKNOWN,
                FindingLevel.FAULT,
                "The server does not know this account; it was removed, or the server lost its data: ask its operator, "
                "or register anew.",
            )
        case ErrorCode.BAD_SIGNATURE:
            step = (
                "set the clock first"
                if clock_is_off
                else "ask its operator whether it was revoked, or who has the name"
            )
            yield Finding(
                FindingCode.DEVICE_REFUSED,
                FindingLevel.FAULT,
                f"The server refuses this device ({facts.sentence.rstrip('.')}); {step}.",
            )
        case ErrorCode.TOO_MANY:
            yield Finding(
                FindingCode.RATE_LIMITED,
                FindingLevel.FAULT,
                f"The server takes no more of this account for now ({facts.sentence.rstrip('.')}); wait a minute, and "
                "look whether another program uses the account.",
            )
        case ErrorCode.UNAVAILABLE:
            yield Finding(
                FindingCode.SERVER_FAILING,
                FindingLevel.FAULT,
                "The server cannot read or store what it must; its operator must look at its disk and database.",
            )
        case _:
            yield Finding(
                FindingCode.LOGIN_FAILED, FindingLevel.FAULT, one_sentence(f"The server refuses: {facts.sentence}")
            )
