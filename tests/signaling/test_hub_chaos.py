"""Anything in any order: the hub never raises, what it says always fits a frame, and nothing stays in memory."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from entrenous_signaling.hub import Hub
from entrenous_signaling.store.requests import (
    CloseRecord,
    DeleteMessages,
    OpenRecord,
    ReplacePrekeys,
    StoreMessage,
)
from entrenous_wire.messages import ErrorCode, Kind
from world.hubchaos import Chaos, Step, footprint
from world.hubworld import HubWorld, account

NUMBERS = st.integers(0, 600)
USUAL = (Step.SEND, Step.ACK, Step.LIVE, Step.RESUME, Step.LOGIN, Step.CONNECT, Step.WAIT, Step.DROP)


class HubMachine(RuleBasedStateMachine):
    """Steps as they come, after some accounts were registered."""

    def __init__(self) -> None:
        super().__init__()
        self.chaos = Chaos()

    @initialize(count=st.integers(0, 4))
    def some_are_there(self, count: int) -> None:
        for number in range(count):
            self.chaos.take(Step.CONNECT, 0, b"")
            self.chaos.take(Step.REGISTER, number, b"")

    @rule(step=st.sampled_from(Step), number=NUMBERS, raw=st.binary(max_size=40))
    def anything(self, step: Step, number: int, raw: bytes) -> None:
        self.chaos.take(step, number, raw)

    @rule(step=st.sampled_from(USUAL), number=NUMBERS)
    def what_is_usual(self, step: Step, number: int) -> None:
        self.chaos.take(step, number, b"")

    @rule(text=st.text(max_size=40), number=NUMBERS)
    def any_text(self, text: str, number: int) -> None:
        self.chaos.take(Step.RAW, number, text.encode(errors="surrogatepass"))

    @invariant()
    def holds(self) -> None:
        self.chaos.check()

    def teardown(self) -> None:
        self.chaos.settle()


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_at_random_everything_is_reached() -> None:
    chaos, lots = Chaos(), random.Random(7)
    seen: set[type] = set()
    for number in range(4):
        chaos.take(Step.CONNECT, 0, b"")
        chaos.take(Step.REGISTER, number, b"")
    rare = {Step.STORE, Step.LEAVE, Step.DROP, Step.DELETE, Step.RAW, Step.DAMAGED, Step.BINARY, Step.PING}
    for _ in range(6_000):
        step = lots.choice(
            [*(step for step in Step if step not in rare | {Step.RESTART}), Step.SEND, Step.SEND, Step.ACK]
        )
        chaos.take(step, lots.randrange(600), lots.randbytes(lots.randrange(40)))
        if lots.random() < 0.03:
            chaos.take(lots.choice(sorted(rare, key=lambda step: step.value)), lots.randrange(600), b"?")
            chaos.take(Step.STORE, lots.choice((1, 4, 4, 4)), b"")
        chaos.check()
        seen.update(map(type, chaos.world.requests))
        chaos.world.requests.clear()
    counters = chaos.world.hub.counters
    assert min(counters.registrations, counters.logins, counters.resumes, counters.delivered) > 10, counters
    assert all(counters.routed[kind] for kind in (Kind.RING, Kind.SIGNAL, Kind.ACCEPT, Kind.END)), counters
    assert {ErrorCode.TOO_MANY, ErrorCode.SESSION_GONE, ErrorCode.UNAVAILABLE} <= set(counters.refused), counters
    assert {OpenRecord, CloseRecord, StoreMessage, DeleteMessages, ReplacePrekeys} <= seen, seen
    chaos.settle()


def test_the_footprint_sees_what_stays() -> None:
    world = HubWorld()
    before = footprint(world.hub)
    world.register(account("alice"))
    assert footprint(world.hub) > before + 5
    assert isinstance(world.hub, Hub)
