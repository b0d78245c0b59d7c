"""What the facts about the signaling server mean."""

from __future__ import annotations

from typing import Any

import pytest

from entrenous import FindingCode, FindingLevel
from entrenous.doctor.facts import Attempt, LoginFacts, NameProblem, ReachProblem, ServerFacts, TlsProblem
from entrenous.doctor.judge_server import judge_clock, judge_login, judge_server, spoken
from entrenous_wire.messages import ErrorCode, RegistrationPolicy

HOST = "calls.example.org"
FAULT, WARNING, OK = FindingLevel.FAULT, FindingLevel.WARNING, FindingLevel.OK
TIMEOUT = Attempt("192.0.2.1", ReachProblem.TIMEOUT)
REFUSED = Attempt("192.0.2.1", ReachProblem.REFUSED)
NO_ROUTE = Attempt("2001:db8::1", ReachProblem.NO_ROUTE)
REACHED = Attempt("192.0.2.1")
REACHED_6 = Attempt("2001:db8::1")
SILENT_6 = Attempt("2001:db8::1", ReachProblem.TIMEOUT)


def server(**changes: Any) -> ServerFacts:
    """A healthy server, except for `changes`."""
    healthy = {
        "attempts": (REACHED,),
        "clock_ahead": 0.2,
        "status": 101,
        "server_name": HOST,
        "speaks_our_version": True,
        "registration": RegistrationPolicy.OPEN,
    }
    return ServerFacts(HOST, **{**healthy, **changes})


def codes(facts: ServerFacts, account_host: str | None = HOST) -> list[FindingCode]:
    return [finding.code for finding in judge_server(facts, account_host)]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (ServerFacts(HOST, name_problem=NameProblem.SILENT), FindingCode.DNS_SILENT),
        (ServerFacts(HOST, name_problem=NameProblem.UNKNOWN), FindingCode.SERVER_NAME_UNKNOWN),
        (ServerFacts(HOST, attempts=(TIMEOUT,)), FindingCode.SERVER_UNREACHABLE),
        (ServerFacts(HOST, attempts=(TIMEOUT, NO_ROUTE)), FindingCode.SERVER_UNREACHABLE),
        (ServerFacts(HOST, attempts=(REFUSED, SILENT_6)), FindingCode.SERVER_DOWN),
        (ServerFacts(HOST, attempts=(TIMEOUT,), portal=True), FindingCode.CAPTIVE_PORTAL),
        (server(tls_problem=TlsProblem.UNTRUSTED, portal=True), FindingCode.CAPTIVE_PORTAL),
        (server(tls_problem=TlsProblem.EXPIRED), FindingCode.SERVER_CERTIFICATE_EXPIRED),
        (server(tls_problem=TlsProblem.NOT_YET_VALID), FindingCode.SERVER_CERTIFICATE_NOT_YET_VALID),
        (server(tls_problem=TlsProblem.WRONG_NAME), FindingCode.SERVER_CERTIFICATE_WRONG_NAME),
        (server(tls_problem=TlsProblem.UNTRUSTED), FindingCode.SERVER_CERTIFICATE_UNTRUSTED),
        (server(tls_problem=TlsProblem.FAILED), FindingCode.SERVER_TLS_FAILED),
        (server(status=None), FindingCode.SERVER_SILENT),
        (server(status=503, says_full=True), FindingCode.SERVER_FULL),
        (server(status=503), FindingCode.SERVER_DOWN),
        (server(status=502), FindingCode.SERVER_DOWN),
        (server(status=404), FindingCode.NOT_ENTRENOUS),
        (server(status=200), FindingCode.NOT_ENTRENOUS),
        (server(server_name=None), FindingCode.NOT_ENTRENOUS),
        (server(speaks_our_version=False), FindingCode.SERVER_VERSION),
        (server(server_name="other.example.org"), FindingCode.SERVER_OTHER_NAME),
    ],
)
def test_what_stops_the_way_is_the_only_finding(facts: ServerFacts, code: FindingCode) -> None:
    (found,) = judge_server(facts, HOST)
    assert (found.code, found.level) == (code, FAULT)


def test_a_healthy_server() -> None:
    (found,) = judge_server(server(), HOST)
    assert (found.code, found.level, found.details) == (FindingCode.SERVER_REACHED, OK, {"registration": "open"})


def test_one_address_that_answers_is_enough() -> None:
    assert codes(server(attempts=(TIMEOUT, REACHED))) == [FindingCode.SERVER_REACHED]


def test_ipv6_that_leads_nowhere_is_told_beside() -> None:
    assert codes(server(attempts=(SILENT_6, REACHED))) == [FindingCode.IPV6_BROKEN, FindingCode.SERVER_REACHED]
    assert codes(server(attempts=(NO_ROUTE, REACHED))) == [FindingCode.SERVER_REACHED], "there is no IPv6 here"
    assert codes(server(attempts=(REACHED_6, TIMEOUT))) == [FindingCode.SERVER_REACHED], "IPv6 works"


@pytest.mark.parametrize("policy", list(RegistrationPolicy))
def test_registration_matters_to_who_has_no_account(policy: RegistrationPolicy) -> None:
    closed = policy is RegistrationPolicy.CLOSED
    wanted = FindingCode.REGISTRATION_CLOSED if closed else FindingCode.SERVER_REACHED
    assert [found.code for found in judge_server(server(registration=policy), None, registering=True)] == [wanted]
    assert codes(server(registration=policy), None) == [FindingCode.SERVER_REACHED], "it only does not open"
    assert codes(server(registration=policy), HOST) == [FindingCode.SERVER_REACHED]


def test_without_an_account_any_name_will_do() -> None:
    assert codes(server(server_name="other.example.org"), None) == [FindingCode.SERVER_REACHED]


@pytest.mark.parametrize(
    ("problem", "ahead", "holds", "code"),
    [
        (TlsProblem.NOT_YET_VALID, -3600.0, True, FindingCode.CLOCK_OFF),
        (TlsProblem.EXPIRED, 8_640_000.0, True, FindingCode.CLOCK_OFF),
        (TlsProblem.EXPIRED, 3600.0, False, FindingCode.SERVER_CERTIFICATE_EXPIRED),
        (TlsProblem.EXPIRED, 5.0, True, FindingCode.SERVER_CERTIFICATE_EXPIRED),
        (TlsProblem.EXPIRED, None, False, FindingCode.SERVER_CERTIFICATE_EXPIRED),
        (TlsProblem.WRONG_NAME, 3600.0, True, FindingCode.SERVER_CERTIFICATE_WRONG_NAME),
    ],
)
def test_a_certificate_out_of_time_may_be_the_clocks_fault(
    problem: TlsProblem, ahead: float | None, holds: bool, code: FindingCode
) -> None:
    facts = server(tls_problem=problem, clock_ahead=ahead, certificate_holds_by_its_date=holds)
    assert codes(facts) == [code]


@pytest.mark.parametrize(
    ("ahead", "code", "level"),
    [
        (0.0, FindingCode.CLOCK_RIGHT, OK),
        (-9.0, FindingCode.CLOCK_RIGHT, OK),
        (11.0, FindingCode.CLOCK_OFF, WARNING),
        (-11.0, FindingCode.CLOCK_OFF, WARNING),
        (31.0, FindingCode.CLOCK_OFF, FAULT),
        (-3600.0, FindingCode.CLOCK_OFF, FAULT),
    ],
)
def test_clocks(ahead: float, code: FindingCode, level: FindingLevel) -> None:
    found = judge_clock(server(clock_ahead=ahead))
    assert found is not None
    assert (found.code, found.level) == (code, level)
    if code is FindingCode.CLOCK_OFF:
        assert (" ahead of " in found.sentence) is (ahead > 0)


def test_no_date_is_no_finding() -> None:
    assert judge_clock(server(clock_ahead=None)) is None
    assert judge_clock(server(clock_ahead=3600.0, tls_problem=TlsProblem.UNTRUSTED)) is None, "nobody believes it"


def test_durations_are_spoken() -> None:
    assert [spoken(seconds) for seconds in (12, 100, 3600, 7200, 86_400 * 100)] == [
        "12 seconds",
        "2 minutes",
        "60 minutes",
        "2 hours",
        "100 days",
    ]


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        (LoginFacts(), FindingCode.LOGGED_IN, OK),
        (LoginFacts(failed=True, sentence="It did not answer."), FindingCode.LOGIN_FAILED, FAULT),
        (LoginFacts(ErrorCode.UNKNOWN_USER), FindingCode.ACCOUNT_UNKNOWN, FAULT),
        (LoginFacts(ErrorCode.BAD_SIGNATURE), FindingCode.DEVICE_REFUSED, FAULT),
        (LoginFacts(ErrorCode.TOO_MANY), FindingCode.RATE_LIMITED, FAULT),
        (LoginFacts(ErrorCode.UNAVAILABLE), FindingCode.SERVER_FAILING, FAULT),
        (LoginFacts("something-newer", sentence="No."), FindingCode.LOGIN_FAILED, FAULT),
    ],
)
def test_logins(facts: LoginFacts, code: FindingCode, level: FindingLevel) -> None:
    (found,) = judge_login(facts, clock_is_off=False)
    assert (found.code, found.level) == (code, level)


@pytest.mark.parametrize("clock_is_off", [False, True])
def test_a_refused_device_looks_at_its_clock_first(clock_is_off: bool) -> None:
    (found,) = judge_login(LoginFacts(ErrorCode.BAD_SIGNATURE, sentence="It has expired."), clock_is_off)
    assert ("set the clock first" in found.sentence) is clock_is_off
