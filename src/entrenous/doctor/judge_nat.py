"""What the kind of NAT means for calls. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator

from ..config import IcePolicy
from .facts import NatFacts
from .findings import Finding, FindingCode, FindingLevel


def judge_nat(nat: NatFacts, policy: IcePolicy) -> Iterator[Finding]:
    """Whether calls will go direct. That the relay works is known: it is the one that saw the NAT."""
    details: dict[str, object] = {"lets_strangers_in": nat.lets_strangers_in}
    always = policy is IcePolicy.RELAY_ONLY
    if not nat.translated:
        yield Finding(
            FindingCode.NAT_NONE,
            FindingLevel.OK,
            "This machine has an address of its own, without a NAT: "
            + ("calls take the relay, as your settings ask." if always else "calls go direct where the other can."),
            details,
        )
    elif nat.same_toward_others:
        who = "everybody in" if nat.lets_strangers_in else "in only whom we sent to"
        yield Finding(
            FindingCode.NAT_ENDPOINT_INDEPENDENT,
            FindingLevel.OK,
            f"The NAT here keeps one address toward all and lets {who}: "
            + ("calls take the relay, as your settings ask." if always else "calls go direct with most people."),
            details,
        )
    elif nat.same_toward_others is False:
        level = FindingLevel.NOTE if always else FindingLevel.WARNING
        yield Finding(
            FindingCode.NAT_SYMMETRIC,
            level,
            "The NAT here shows another address toward everybody (symmetric): most calls need the relay; for direct "
            "ones switch UPnP or a full-cone NAT on in the router, or use another network.",
            details,
        )
