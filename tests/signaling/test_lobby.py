"""How a connection becomes a session, under simulated time."""

from __future__ import annotations

import msgspec
import pytest

from entrenous_signaling.addresses import OFFENCE_ARRIVALS, Origin
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.lobby import STRANGER_REFUSALS
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import ReadAccount
from entrenous_wire.messages import (
    Ack,
    Error,
    ErrorCode,
    FetchDevices,
    FromNode,
    Live,
    Publish,
    RegistrationPolicy,
    Resume,
    TurnRequest,
    Welcome,
)
from world.hubworld import ALICE, BOB, SERVER, HubWorld, account, refused
from world.wirenode import Account


def test_registration_logs_in_and_a_later_login_does_too() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    node, welcome = world.login(ALICE)
    assert welcome.address == f"alice@{SERVER}"
    assert not welcome.resumed
    assert node.heard == []


@pytest.mark.parametrize(
    "message",
    [
        Ack(seq=1),
        ALICE.send(1, BOB),
        TurnRequest(request=1),
        FetchDevices(request=1, address=BOB.address),
        Publish(request=1, prekeys=[ALICE.prekey]),
        Live(calls=[]),
    ],
)
def test_nothing_but_a_way_in_is_allowed_before_login(message: FromNode) -> None:
    node, _ = HubWorld().connect()
    assert refused(node.say(message)) is ErrorCode.OUT_OF_ORDER


def test_a_second_login_on_a_connection_is_out_of_order() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    node, hello = world.connect()
    node.say(ALICE.login(hello)).hear(Welcome)
    assert refused(node.say(ALICE.login(hello))) is ErrorCode.OUT_OF_ORDER


def test_a_login_that_is_being_checked_is_waited_for() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    world.store_waits = True
    node, hello = world.connect()
    node.say(ALICE.login(hello), TurnRequest(request=1))
    assert refused(node) is ErrorCode.OUT_OF_ORDER
    world.answer_store()
    node.hear(Welcome)


def test_a_nonce_is_good_for_one_attempt() -> None:
    world = HubWorld()
    node, hello = world.connect()
    assert refused(node.say(ALICE.login(hello))) is ErrorCode.UNKNOWN_USER
    assert refused(node.say(ALICE.register(hello))) is ErrorCode.NONCE_USED


def test_a_login_recorded_on_another_connection_does_not_verify() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    _, hello = world.connect()
    recorded = ALICE.login(hello)
    thief, _ = world.connect()
    assert refused(thief.say(recorded)) is ErrorCode.BAD_SIGNATURE


def test_every_altered_byte_of_a_login_is_refused() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    for field in ("certificate", "signature"):
        for index in range(0, 64, 7):
            node, hello = world.connect()
            login = ALICE.login(hello)
            value = bytearray(getattr(login, field))
            value[index] ^= 1
            node.say(msgspec.structs.replace(login, **{field: bytes(value)}))
            assert refused(node) is ErrorCode.BAD_SIGNATURE
            node.drop()


def test_who_does_not_log_in_in_time_is_sent_away() -> None:
    world = HubWorld()
    node, _ = world.connect()
    world.advance(4.9)
    assert node.closed is None
    world.advance(0.2)
    assert refused(node) is ErrorCode.OUT_OF_ORDER
    assert node.closed is CloseCode.POLICY
    assert world.hub.connections == 0


def test_who_was_refused_has_as_much_time_once_more_and_not_for_ever() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    node, hello = world.connect()
    world.advance(world.settings.login_seconds - 1)
    assert refused(node.say(account("nobody").login(hello))) is ErrorCode.UNKNOWN_USER
    world.advance(world.settings.login_seconds - 1)
    assert node.closed is None
    world.advance(1)
    assert node.closed is CloseCode.POLICY


def test_no_session_outlasts_the_certificate_of_its_device() -> None:
    world = HubWorld()
    node, welcome = world.welcomed(Account("alice", SERVER, not_after=int(world.now) + 20))
    node.drop()
    world.advance(10)
    node, _ = world.connect()
    token = node.say(Resume(token=welcome.token, last_seq=0)).hear(Welcome).token
    node.drop()
    world.advance(10)
    node, _ = world.connect()
    assert refused(node.say(Resume(token=token, last_seq=0))) is ErrorCode.SESSION_GONE


def test_a_name_belongs_to_its_identity_key() -> None:
    world = HubWorld()
    world.register(ALICE)
    node, hello = world.connect()
    assert refused(node.say(account("alice", identity="other").register(hello))) is ErrorCode.NAME_TAKEN
    again, hello = world.connect()
    again.say(account("alice", "00000000000000cc").register(hello)).hear(Welcome)
    assert len(world.store.devices["alice"]) == 2


def test_a_certified_device_comes_in_by_login_and_there_are_at_most_eight() -> None:
    world = HubWorld()
    world.register(BOB)
    for index in range(1, 8):
        world.login(account("bob", f"{index:016x}"))
    node, hello = world.connect()
    assert refused(node.say(account("bob", "00000000000000ff").login(hello))) is ErrorCode.TOO_MANY


def test_who_is_being_let_in_while_the_account_is_deleted_stays_outside() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    world.store_waits = True
    node, hello = world.connect()
    node.say(ALICE.login(hello))
    ticket, request = world.waiting.pop()
    assert request == ReadAccount("alice")
    read_before = world.store.apply(request)
    world.store_waits = False
    world.run(world.hub.remove_account("alice", lambda removed, sessions: None, world.now))
    assert node.closed is CloseCode.DELETED
    world.run(world.hub.stored(ticket, read_before, world.now))
    assert (world.hub.sessions, world.hub.connections, node.heard) == (0, 0, [])


def test_a_device_certified_by_an_earlier_owner_of_the_name_is_not_added() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    world.store_waits = True
    node, hello = world.connect()
    node.say(account("alice", "00000000000000cc").login(hello))
    ticket, request = world.waiting.pop()
    world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    world.store.identities["alice"] = bytes(32)
    world.answer_store()
    assert refused(node) is ErrorCode.UNKNOWN_USER
    assert list(world.store.devices["alice"]) == [ALICE.device]


@pytest.mark.parametrize("policy", RegistrationPolicy)
def test_the_policy_says_who_may_register(policy: RegistrationPolicy) -> None:
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), registration=policy))
    node, hello = world.connect()
    node.say(ALICE.register(hello))
    match policy:
        case RegistrationPolicy.OPEN:
            node.hear(Welcome)
        case RegistrationPolicy.INVITE:
            assert refused(node) is ErrorCode.BAD_INVITE
        case RegistrationPolicy.CLOSED:
            assert refused(node) is ErrorCode.REGISTRATION_CLOSED


def test_a_store_that_fails_is_said_and_nothing_is_taken() -> None:
    world = HubWorld()
    world.store_fails = True
    node, hello = world.connect()
    node.say(ALICE.register(hello))
    error = node.hear(Error)
    assert (error.code, error.retry_after) == (ErrorCode.UNAVAILABLE, 1.0)
    assert world.hub.degraded
    world.store_fails = False
    world.register(ALICE)
    assert not world.hub.degraded


# --- where connections come from ---


def origin(world: HubWorld) -> Origin:
    bounds = Bounds(
        address_registration_rate=Rate(per_second=0.5, burst=1.0),
        address_login_failures=Rate(per_second=0.25, burst=2.0),
    )
    return Origin(bounds, world.now)


def test_an_address_that_fails_too_often_is_not_looked_at_until_it_has_rested() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    where = origin(world)
    stranger = account("nobody")
    for _ in range(2):
        node, hello = world.connect(where)
        assert refused(node.say(stranger.login(hello))) is ErrorCode.UNKNOWN_USER
    for say in (ALICE.login, ALICE.register):
        node, hello = world.connect(where)
        error = node.say(say(hello)).hear(Error)
        assert (error.code, error.retry_after) == (ErrorCode.TOO_MANY, 4.0)
    assert world.login(ALICE)  # from elsewhere
    world.advance(4)
    node, hello = world.connect(where)
    node.say(ALICE.login(hello)).hear(Welcome)


def test_wrong_keys_names_and_invites_count_as_failures_and_lost_sessions_do_not() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    where = origin(world)
    for _ in range(20):
        node, hello = world.connect(where)
        assert refused(node.say(Resume(token=bytes(32), last_seq=0))) is ErrorCode.SESSION_GONE
        node.say(ALICE.login(hello)).hear(Welcome)
    _, recorded = world.connect()
    node, _ = world.connect(where)
    assert refused(node.say(ALICE.login(recorded))) is ErrorCode.BAD_SIGNATURE
    node, hello = world.connect(where)
    assert refused(node.say(account("alice", identity="another").register(hello))) is ErrorCode.NAME_TAKEN
    node, hello = world.connect(where)
    assert refused(node.say(ALICE.login(hello))) is ErrorCode.TOO_MANY


def test_an_address_registers_no_more_than_its_rate_and_takes_nothing_from_others() -> None:
    bounds = Bounds(registration_rate=Rate(per_second=1.0, burst=2.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    where = origin(world)
    node, hello = world.connect(where)
    node.say(ALICE.register(hello)).hear(Welcome)
    for number in range(5):
        node, hello = world.connect(where)
        error = node.say(account(f"greedy{number}").register(hello)).hear(Error)
        assert (error.code, error.retry_after) == (ErrorCode.TOO_MANY, 2.0)
    world.register(BOB)


def test_a_crowd_of_newcomers_costs_an_address_none_of_its_own() -> None:
    bounds = Bounds(registration_rate=Rate(per_second=1.0, burst=1.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    where = origin(world)
    world.register(BOB)
    node, hello = world.connect(where)
    error = node.say(ALICE.register(hello)).hear(Error)
    assert (error.code, error.retry_after) == (ErrorCode.TOO_MANY, 1.0)
    world.advance(1.0)
    node.say(ALICE.register(hello)).hear(Welcome)


def test_a_stranger_that_says_much_and_does_not_log_in_is_cut() -> None:
    world = HubWorld()
    node, _ = world.connect()
    for _ in range(STRANGER_REFUSALS):
        assert node.closed is None
        node.say(Resume(token=bytes(32), last_seq=0))
    assert node.closed is CloseCode.POLICY


def test_a_connection_that_is_closed_for_what_was_said_on_it_counts_as_many() -> None:
    world = HubWorld()
    network = Origin(Bounds(address_connection_rate=Rate(per_second=1.0, burst=OFFENCE_ARRIVALS)), world.now)
    node, _ = world.connect(network)
    for _ in range(STRANGER_REFUSALS - 1):
        node.say(Resume(token=bytes(32), last_seq=0))
    assert network.connect(world.now) == 0.0
    node.say(Resume(token=bytes(32), last_seq=0))
    assert node.closed is CloseCode.POLICY
    assert network.connect(world.now) == pytest.approx(2.0), "for the one that was taken, and the next"
