"""The hub as scripts: what is said to it and what it answers, under simulated time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.outputs import CloseCode
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.turn import Relay
from entrenous_wire.codec import encode
from entrenous_wire.messages import (
    Ack,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    FromNode,
    Kind,
    Leave,
    Live,
    LiveCall,
    Message,
    Publish,
    Published,
    Resume,
    Turn,
    TurnRequest,
    Welcome,
)
from world.hubworld import ALICE, BOB, BOB_PHONE, CALL, EVE, SERVER, HubWorld, refused, two


def test_devices_are_those_that_can_be_rung() -> None:
    world, alice, _ = two()
    world.login(BOB_PHONE)  # without a prekey yet
    alice.say(FetchDevices(request=7, address=BOB.address))
    devices = alice.hear(Devices)
    assert (devices.request, devices.identity_key) == (7, bytes(BOB.identity_key.verify_key))
    assert [entry.certificate for entry in devices.devices] == [BOB.certificate]
    world.now = float(BOB.not_after)
    alice.say(FetchDevices(request=8, address=BOB.address))
    assert alice.hear(Devices).devices == []


def test_prekeys_are_replaced_when_the_device_signed_them() -> None:
    world, _, bob = two()
    bob.say(Publish(request=3, prekeys=[BOB.prekey])).hear(Published)
    assert refused(bob.say(Publish(request=4, prekeys=[ALICE.prekey]))) is ErrorCode.BAD_SIGNATURE
    world.store_fails = True
    error = bob.say(Publish(request=5, prekeys=[BOB.prekey])).hear(Error)
    assert (error.code, error.request) == (ErrorCode.UNAVAILABLE, 5)


def test_a_request_for_an_unknown_user_names_the_request() -> None:
    _, alice, _ = two()
    for address in (f"nobody@{SERVER}", "bob@elsewhere.example.org"):
        error = alice.say(FetchDevices(request=9, address=address)).hear(Error)
        assert (error.code, error.request) == (ErrorCode.UNKNOWN_USER, 9)


def test_relay_credentials_or_a_clear_no() -> None:
    _, alice, _ = two()
    assert refused(alice.say(TurnRequest(request=1))) is ErrorCode.NO_RELAY
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), relay=Relay(("turn:192.0.2.1:3478",), b"secret")))
    answer = world.register(ALICE).say(TurnRequest(request=2)).hear(Turn)
    assert answer.urls == ["turn:192.0.2.1:3478"]
    assert answer.username.startswith(f"{int(world.now) + 600}:")
    assert answer.password not in repr(answer)


def test_who_goes_on_over_the_limits_is_cut_and_can_resume() -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=1.0), refusals=5)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    world.register(ALICE).drop()
    world.advance(1)
    node, welcome = world.login(ALICE)
    for request in range(5):
        assert node.closed is None
        node.say(TurnRequest(request=request))
    assert node.closed is CloseCode.POLICY
    back, _ = world.connect()
    assert back.say(Resume(token=welcome.token, last_seq=0)).hear(Welcome).resumed


def test_pings_without_end_are_cut_like_messages() -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=4.0), refusals=5)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice = world.register(ALICE)
    for _ in range(7):
        world.run(world.hub.ping_received(alice.number, world.now))
        assert alice.closed is None
    world.run(world.hub.ping_received(alice.number, world.now))
    assert alice.closed is CloseCode.POLICY
    assert world.hub.ping_received(alice.number, world.now) == []


def test_too_large_and_malformed_frames_get_their_errors() -> None:
    world, alice, _ = two()
    for frame, code in (
        ("{", ErrorCode.MALFORMED),
        ("[]", ErrorCode.MALFORMED),
        ('{"type":"dance"}', ErrorCode.UNKNOWN_TYPE),
        ("{}", ErrorCode.UNKNOWN_TYPE),
        (b"\xff\xfe", ErrorCode.MALFORMED),
        ("x" * (66 * 1024 + 1), ErrorCode.TOO_LARGE),
    ):
        world.run(world.hub.frame_received(alice.number, frame, world.now))
        assert refused(alice) is code
    assert alice.closed is CloseCode.TOO_BIG


def test_a_graceful_stop_sends_everybody_away_and_notes_the_calls() -> None:
    world, alice, bob = two()
    bob.say(BOB.send(1, ALICE, Kind.ACCEPT, CALL))
    world.advance(3)
    world.run(world.hub.stop(world.now))
    assert alice.closed is bob.closed is CloseCode.RESTART
    assert [row.seen - row.start for row in world.store.open_rows.values()] == [3]


def message_strategy() -> st.SearchStrategy[FromNode]:
    accounts = st.sampled_from([ALICE, BOB, EVE])
    sends = st.builds(
        lambda sender, to, number, kind, call: sender.send(number, to, kind, call),
        accounts,
        accounts,
        st.integers(0, 5),
        st.sampled_from(Kind),
        st.sampled_from([CALL, bytes(16)]),
    )
    calls = st.builds(
        LiveCall, call=st.just(CALL), record=st.just(bytes(16)), peer=st.just(BOB.address), device=st.just(BOB.device)
    )
    return st.one_of(
        sends,
        st.builds(Ack, seq=st.integers(0, 9)),
        st.builds(Live, calls=st.lists(calls, max_size=2)),
        st.builds(TurnRequest, request=st.integers(0, 9)),
        st.builds(FetchDevices, request=st.integers(0, 9), address=st.text(min_size=3, max_size=20)),
        st.builds(Publish, request=st.integers(0, 9), prekeys=st.lists(st.binary(min_size=1), min_size=1, max_size=2)),
        st.builds(Resume, token=st.binary(min_size=32, max_size=32), last_seq=st.integers(0, 9)),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 4),
            st.one_of(message_strategy(), st.text(), st.binary(), st.floats(0, 100), st.none(), st.booleans()),
        ),
        max_size=40,
    )
)
def test_nothing_that_happens_raises(steps: list[tuple[int, FromNode | str | bytes | float | bool | None]]) -> None:
    world, _, _ = two()
    world.connect()
    for number, step in steps:
        if isinstance(step, bool):
            world.store_fails = step
        elif isinstance(step, Message):
            frame = encode(step)
            world.run(world.hub.frame_received(number, frame, world.now))
        elif isinstance(step, str | bytes):
            world.run(world.hub.frame_received(number, step, world.now))
        elif isinstance(step, float):
            world.advance(step)
        else:
            world.run(world.hub.disconnected(number, world.now))
            if number in world.nodes:
                world.nodes[number].closed = 1006


def test_acknowledgements_that_answer_nothing_are_charged_like_any_message() -> None:
    bounds = Bounds(connection_rate=Rate(per_second=1.0, burst=4.0), refusals=5)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice, bob = world.register(ALICE), world.register(BOB)
    for number in range(1, 4):
        alice.say(ALICE.send(number, BOB))
        bob.say(Ack(seq=number))
    bob.hear_all()
    for _ in range(8):
        assert bob.closed is None
        bob.say(Ack(seq=3))
    assert refused(bob) is ErrorCode.TOO_MANY
    assert bob.closed == CloseCode.POLICY


def test_leaving_and_coming_back_does_not_fill_the_bucket_of_the_account() -> None:
    bounds = Bounds(account_rate=Rate(per_second=1.0, burst=3.0), directory_rate=Rate(per_second=1.0, burst=1.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    alice = world.register(ALICE)
    alice.say(TurnRequest(request=1), TurnRequest(request=2), Leave())
    again, _ = world.login(ALICE)
    assert refused(again.say(TurnRequest(request=3))) is ErrorCode.TOO_MANY
    world.advance(2)
    again.say(Leave())
    world.advance(4)
    rested, _ = world.login(ALICE)
    rested.say(*(TurnRequest(request=number) for number in range(4)))
    assert [message.code for message in rested.hear_all() if isinstance(message, Error)] == [
        *[ErrorCode.NO_RELAY] * 3,
        ErrorCode.TOO_MANY,
    ]
    assert world.hub.sessions == 1


def test_what_an_account_looks_up_and_publishes_has_a_rate_of_its_own() -> None:
    bounds = Bounds(directory_rate=Rate(per_second=1.0, burst=2.0))
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), bounds=bounds))
    world.register(ALICE)
    bob = world.register(BOB)
    phone, _ = world.login(BOB_PHONE)
    bob.say(FetchDevices(request=1, address=ALICE.address)).hear(Devices)
    phone.say(Publish(request=2, prekeys=[BOB_PHONE.prekey])).hear(Published)
    error = bob.say(FetchDevices(request=3, address=ALICE.address)).hear(Error)
    assert (error.code, error.request, error.retry_after) == (ErrorCode.TOO_MANY, 3, 1.0)
    assert refused(bob.say(TurnRequest(request=4))) is ErrorCode.NO_RELAY
    world.advance(1)
    bob.say(FetchDevices(request=3, address=ALICE.address)).hear(Devices)


def test_relay_credentials_have_a_rate_of_their_own_for_all_devices_of_an_account() -> None:
    bounds = Bounds(relay_rate=Rate(per_second=0.5, burst=2.0))
    world = HubWorld(
        HubSettings(name=SERVER, message_key=bytes(32), relay=Relay(("turn:192.0.2.1:3478",), b"secret"), bounds=bounds)
    )
    alice = world.register(ALICE)
    bob = world.register(BOB)
    phone, _ = world.login(BOB_PHONE)
    bob.say(TurnRequest(request=1)).hear(Turn)
    phone.say(TurnRequest(request=2)).hear(Turn)
    error = bob.say(TurnRequest(request=3)).hear(Error)
    assert (error.code, error.request, error.retry_after) == (ErrorCode.TOO_MANY, 3, 2.0)
    bob.say(FetchDevices(request=4, address=ALICE.address)).hear(Devices)
    alice.say(TurnRequest(request=1)).hear(Turn)
    world.advance(2)
    bob.say(TurnRequest(request=5)).hear(Turn)
