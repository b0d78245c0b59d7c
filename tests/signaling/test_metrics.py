"""The metrics page."""

from __future__ import annotations

from entrenous_signaling.metrics import HubCollector, render
from entrenous_wire.messages import ErrorCode, Kind
from world.hubworld import HubWorld, account

ALICE, BOB = account("alice"), account("bob")


def test_what_happened_is_counted() -> None:
    world = HubWorld()
    alice = world.register(ALICE)
    world.register(BOB)
    alice.say(ALICE.send(1, BOB, Kind.RING), ALICE.send(1, BOB, Kind.RING))
    page = render(world.hub).decode()
    for line in (
        "entrenous_connections 2.0",
        "entrenous_registrations_total 2.0",
        "entrenous_queued_messages 1.0",
        'entrenous_routed_total{kind="ring"} 1.0',
        "entrenous_repeated_total 1.0",
        'entrenous_refused_total{code="offline"} 0.0',
        "entrenous_degraded 0.0",
    ):
        assert line in page.splitlines()


def test_labels_are_enums_of_the_protocol_and_nothing_else() -> None:
    allowed = {"kind": {kind.value for kind in Kind}, "code": {code.value for code in ErrorCode}}
    for metric in HubCollector(HubWorld().hub).collect():
        for sample in metric.samples:
            for label, value in sample.labels.items():
                assert value in allowed[label]
