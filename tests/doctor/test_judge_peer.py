"""What the facts about somebody to call mean."""

from __future__ import annotations

import pytest

from entrenous import FindingCode, FindingLevel, IcePolicy
from entrenous.doctor.facts import PeerFacts, PeerProblem
from entrenous.doctor.judge_peer import judge_peer

CAROL = "carol@calls.example.org"
FAULT, WARNING, OK = FindingLevel.FAULT, FindingLevel.WARNING, FindingLevel.OK


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        (PeerFacts(CAROL, is_contact=True, devices=1), FindingCode.PEER_READY, OK),
        (PeerFacts(CAROL, devices=1), FindingCode.PEER_NO_CONTACT, FAULT),
        (PeerFacts(CAROL, PeerProblem.IS_SELF), FindingCode.PEER_IS_SELF, FAULT),
        (PeerFacts(CAROL, PeerProblem.ELSEWHERE), FindingCode.PEER_ELSEWHERE, FAULT),
        (PeerFacts(CAROL, PeerProblem.UNKNOWN), FindingCode.PEER_UNKNOWN, FAULT),
        (PeerFacts(CAROL, PeerProblem.KEY_CHANGED, is_contact=True), FindingCode.PEER_KEY_CHANGED, FAULT),
        (PeerFacts(CAROL, PeerProblem.UNVERIFIABLE), FindingCode.PEER_UNVERIFIABLE, FAULT),
        (PeerFacts(CAROL, PeerProblem.NO_DEVICE), FindingCode.PEER_NO_DEVICE, FAULT),
        (PeerFacts(CAROL, PeerProblem.UNCHECKED, sentence="It is busy."), FindingCode.PEER_UNCHECKED, WARNING),
    ],
)
def test_people(facts: PeerFacts, code: FindingCode, level: FindingLevel) -> None:
    (found,) = judge_peer(facts, IcePolicy.DIRECT)
    assert (found.code, found.level) == (code, level)
    assert CAROL in found.sentence


def test_each_policy_says_what_a_contact_learns() -> None:
    sentences = set()
    for policy in IcePolicy:
        (found,) = judge_peer(PeerFacts(CAROL, is_contact=True, is_verified=True, devices=2), policy)
        assert "on 2 devices" in found.sentence
        assert "(verified)" in found.sentence
        sentences.add(found.sentence)
    assert len(sentences) == len(IcePolicy)
