"""What the kind of NAT means for calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrenous import FindingCode, FindingLevel, IcePolicy
from entrenous.doctor.facts import NatFacts
from entrenous.doctor.judge_nat import judge_nat

WARNING, OK = FindingLevel.WARNING, FindingLevel.OK
CONE = NatFacts(translated=True, same_toward_others=True, lets_strangers_in=False)

NATS = [
    (NatFacts(translated=False, same_toward_others=True), IcePolicy.DIRECT, FindingCode.NAT_NONE, OK),
    (NatFacts(translated=False), IcePolicy.RELAY_ONLY, FindingCode.NAT_NONE, OK),
    (CONE, IcePolicy.DIRECT, FindingCode.NAT_ENDPOINT_INDEPENDENT, OK),
    (CONE, IcePolicy.RELAY_ONLY, FindingCode.NAT_ENDPOINT_INDEPENDENT, OK),
    (replace(CONE, same_toward_others=False), IcePolicy.DIRECT, FindingCode.NAT_SYMMETRIC, WARNING),
    (
        replace(CONE, same_toward_others=False),
        IcePolicy.RELAY_ONLY,
        FindingCode.NAT_SYMMETRIC,
        FindingLevel.NOTE,
    ),
]


@pytest.mark.parametrize(("nat", "policy", "code", "level"), NATS)
def test_nats(nat: NatFacts, policy: IcePolicy, code: FindingCode, level: FindingLevel) -> None:
    (found,) = judge_nat(nat, policy)
    assert (found.code, found.level) == (code, level)
    if code is not FindingCode.NAT_SYMMETRIC:
        assert ("as your settings ask" in found.sentence) is (policy is IcePolicy.RELAY_ONLY)


def test_nothing_is_said_where_the_second_look_failed() -> None:
    assert not list(judge_nat(replace(CONE, same_toward_others=None), IcePolicy.DIRECT))


@pytest.mark.parametrize("strangers", [False, True, None])
def test_who_gets_in_unasked_is_said(strangers: bool | None) -> None:
    (found,) = judge_nat(replace(CONE, lets_strangers_in=strangers), IcePolicy.DIRECT)
    assert found.details["lets_strangers_in"] is strangers
    assert ("everybody in" in found.sentence) is (strangers is True)
