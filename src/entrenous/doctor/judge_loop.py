"""What goes round through a relay, and what does not. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from .facts import EndpointFacts, LoopFacts, Way
from .findings import Finding, FindingCode, FindingLevel

LOSS_WARNING: Final = 0.08
"""Above this, speech suffers in spite of what is done about losses. Of 50 packets on a line that loses two in a hundred
there and back, so many are lost once in three hundred examinations.
"""

SLOW_MILLISECONDS: Final = 300.0
"""To the relay and back; two callers who are that far from it interrupt each other."""


def judge_loop(loop: LoopFacts, *, udp_passes: bool, host: str) -> Iterator[Finding]:
    """What does not go round, or badly.

    Args:
        loop: what was tried.
        udp_passes: the network here lets UDP out and back in, so that what does not arrive is the relay's doing.
        host: of the relay.
    """
    if loop.refusal is not None:
        yield Finding(
            FindingCode.RELAY_LOOP_BROKEN,
            FindingLevel.WARNING,
            f"The relay {host} refuses to send to itself or to this network (code {loop.refusal}), so two callers who "
            "both need it cannot meet; its operator must look at denied-peer-ip.",
            {"refusal": loop.refusal},
        )
        return
    blind = not udp_passes and not loop.received
    if not loop.relayed_is_the_relays and ((udp_passes and loop.inward is False) or blind):
        yield Finding(
            FindingCode.RELAY_WRONG_ADDRESS,
            FindingLevel.FAULT,
            f"The relay {host} hands out an address that does not lead to it; its operator must correct external-ip "
            "(or relay-ip).",
        )
        return
    if not loop.relayed_is_the_relays and not udp_passes:
        yield Finding(
            FindingCode.RELAY_WRONG_ADDRESS,
            FindingLevel.WARNING,
            f"The relay {host} hands out an address that its name does not have, and whether it leads there cannot be "
            "tried without UDP; try from another network, or ask its operator for external-ip.",
        )
    if udp_passes and loop.inward is False:
        yield Finding(
            FindingCode.RELAY_PORTS_CLOSED,
            FindingLevel.FAULT,
            f"The relay {host} answers, but nothing reaches the ports it relays with; its operator must open UDP "
            "min-port to max-port in the firewall.",
            {"outward": loop.outward},
        )
        return
    if not loop.received:
        yield Finding(
            FindingCode.RELAY_LOOP_BROKEN,
            FindingLevel.FAULT if blind else FindingLevel.WARNING,
            f"Nothing goes from the relay {host} to itself, so two callers who both need it cannot meet; its operator "
            "must let it reach its own external address.",
        )
        return
    yield from _judge_quality(loop, host)


def _judge_quality(loop: LoopFacts, host: str) -> Iterator[Finding]:
    lost = 1 - loop.received / loop.sent
    if lost > LOSS_WARNING:
        yield Finding(
            FindingCode.RELAY_LOSES_PACKETS,
            FindingLevel.WARNING,
            f"{lost:.0%} of the packets are lost on the way to the relay {host} and back; go nearer to the Wi-Fi or "
            "take a cable, and look what else uses the line.",
            _figures(loop),
        )
    if loop.milliseconds is not None and loop.milliseconds > SLOW_MILLISECONDS:
        yield Finding(
            FindingCode.RELAY_SLOW,
            FindingLevel.WARNING,
            f"The relay {host} is {loop.milliseconds:.0f} ms away there and back, so people will interrupt each other; "
            "look what else uses the line, or use a server nearer to you.",
            _figures(loop),
        )
    if loop.large_sent and not loop.large_received:
        yield Finding(
            FindingCode.LARGE_PACKETS_LOST,
            FindingLevel.WARNING,
            "Small packets arrive and large ones do not, so pictures will not; lower the MTU of the VPN or router.",
            _figures(loop),
        )


def relay_works(loop: LoopFacts, working: Sequence[EndpointFacts]) -> Finding:
    """What there is to say about a relay that relays: its ways, and the figures of what went round."""
    ways = ", ".join(way.value for way in Way if any(end.way is way for end in working))
    took = "" if loop.milliseconds is None else f", {loop.milliseconds:.0f} ms there and back"
    through = f"; {loop.received} of {loop.sent} packets came round over {loop.way.value}{took}" if loop.sent else ""
    return Finding(
        FindingCode.RELAY_WORKS,
        FindingLevel.OK,
        f"The relay {working[0].host} works over {ways}{through}.",
        {"urls": list(dict.fromkeys(end.url for end in working)), **_figures(loop)},
    )


def _figures(loop: LoopFacts) -> dict[str, object]:
    return {
        "sent": loop.sent,
        "received": loop.received,
        "milliseconds": None if loop.milliseconds is None else round(loop.milliseconds, 1),
        "large_sent": loop.large_sent,
        "large_received": loop.large_received,
    }
