"""What the facts about somebody to call mean. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from ..config import IcePolicy
from .facts import PeerFacts, PeerProblem
from .findings import Finding, FindingCode, FindingLevel
from .judge_machine import counted


def judge_peer(facts: PeerFacts, policy: IcePolicy) -> Iterator[Finding]:
    """Whether a call would reach them.

    Args:
        facts: about them.
        policy: which addresses of ours a peer may learn.
    """
    who = facts.address
    details: dict[str, object] = {"peer": who, "contact": facts.is_contact, "verified": facts.is_verified}
    match facts.problem:
        case None:
            yield from _reachable(facts, policy, details)
        case PeerProblem.IS_SELF:
            yield Finding(
                FindingCode.PEER_IS_SELF, FindingLevel.FAULT, f"{who} is your own address; name somebody else.", details
            )
        case PeerProblem.ELSEWHERE:
            yield Finding(
                FindingCode.PEER_ELSEWHERE,
                FindingLevel.FAULT,
                f"{who} is at another server than you, and servers do not pass calls on to each other; one of you "
                "needs an account at the other's.",
                details,
            )
        case PeerProblem.UNKNOWN:
            yield Finding(
                FindingCode.PEER_UNKNOWN,
                FindingLevel.FAULT,
                f"The server knows nobody called {who}; look for a typing mistake, or ask them for their card.",
                details,
            )
        case PeerProblem.KEY_CHANGED:
            yield Finding(
                FindingCode.PEER_KEY_CHANGED,
                FindingLevel.FAULT,
                f"{who} shows another key than the one you know; ask them about it by another way, and then: entrenous "
                f"contacts accept-new-key {who}",
                details,
            )
        case PeerProblem.UNVERIFIABLE:
            yield Finding(
                FindingCode.PEER_UNVERIFIABLE,
                FindingLevel.FAULT,
                f"The server shows no device of {who} whose keys verify; look at your clock, then ask them to come "
                "online, and tell the operator if it stays so.",
                details,
            )
        case PeerProblem.NO_DEVICE:
            yield Finding(
                FindingCode.PEER_NO_DEVICE,
                FindingLevel.FAULT,
                f"{who} has no device that can be called now; they must come online once to renew their keys.",
                details,
            )
        case PeerProblem.UNCHECKED:
            why = f" ({facts.sentence.rstrip('.')})" if facts.sentence else ""
            yield Finding(
                FindingCode.PEER_UNCHECKED,
                FindingLevel.WARNING,
                f"Whether {who} can be called could not be checked{why}; repair what is named above, then try again.",
                details,
            )
        case _:
            assert_never(facts.problem)


def _reachable(facts: PeerFacts, policy: IcePolicy, details: dict[str, object]) -> Iterator[Finding]:
    who, devices = facts.address, counted(facts.devices, "device")
    if not facts.is_contact:
        yield Finding(
            FindingCode.PEER_NO_CONTACT,
            FindingLevel.FAULT,
            f"{who} exists ({devices}), but is not among your contacts; add them first: entrenous contacts add {who}",
            details,
        )
        return
    match policy:
        case IcePolicy.DIRECT:
            how = "as a contact they may learn your address while it rings, so that the call begins faster"
        case IcePolicy.RELAY_UNTIL_ACCEPT:
            how = "they learn your address only once the call is accepted"
        case IcePolicy.RELAY_ONLY:
            how = "they never learn your address, since all calls take the relay"
        case _:
            assert_never(policy)
    key = "verified" if facts.is_verified else "not compared yet"
    yield Finding(
        FindingCode.PEER_READY,
        FindingLevel.OK,
        f"{who} can be called on {devices}, with the key you know ({key}); {how}.",
        details,
    )
