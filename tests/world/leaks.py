"""What a node tells its peer of its addresses, seen before it is sealed."""

from __future__ import annotations

from collections.abc import Callable

from entrenous.crypto import messages


def report_descriptions(report: Callable[[str], None]) -> None:
    """From now on, hand over every description and candidate of this process as it is sealed."""
    encode = messages.encode

    def reporting_encode(message: messages.InnerMessage) -> bytes:
        match message:
            case messages.LegOffer() | messages.LegAnswer():
                report(message.description)
            case messages.Accept(offer=messages.LegOffer() as offer):
                report(offer.description)
            case messages.Candidate(candidate=str() as candidate):
                report(candidate)
            case _:
                pass
        return encode(message)

    messages.encode = reporting_encode
