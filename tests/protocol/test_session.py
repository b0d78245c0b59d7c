"""Scripts of a session: what it is told, and exactly what it then asks for and tells."""

from __future__ import annotations

import itertools

import pytest

from entrenous.errors import LocalProtocolError
from entrenous.protocol.credentials import Credentials
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.outbox import MAX_HELD, RESERVED
from entrenous.protocol.requests import MAX_REQUESTS
from entrenous.protocol.session import Phase, Session
from entrenous.protocol.session_outputs import (
    Arrived,
    CloseTransport,
    GaveUp,
    LetterArrived,
    NothingStored,
    OpenTransport,
    RequestAnswered,
    RequestFailed,
    SendDelivered,
    SendFailed,
    SessionLost,
    SessionOutput,
    SessionUp,
    Transmit,
)
from entrenous_wire.login import deletion_proof
from entrenous_wire.messages import (
    Accepted,
    Ack,
    DeleteAccount,
    Deleted,
    Deliver,
    Delivered,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    FromNode,
    FromServer,
    Hello,
    Kind,
    Leave,
    Letter,
    Live,
    LiveCall,
    Login,
    NoLetters,
    Publish,
    Published,
    Register,
    RegistrationPolicy,
    Resume,
    Send,
    Taken,
    TurnRequest,
    Welcome,
)

SERVER = "x.example"
HELLO = Hello(server=SERVER, nonce=b"n" * 32, versions=[1], registration=RegistrationPolicy.OPEN)
TOKEN = b"t" * 32
WELCOME = Welcome(token=TOKEN, address="anna@x.example")
RESUMED = Welcome(token=TOKEN, address="anna@x.example", resumed=True)
LOGIN = Login(address="anna@x.example", device="a" * 16, certificate=b"certificate", signature=b"s" * 64)
REGISTER = Register(
    username="anna",
    identity_key=b"i" * 32,
    certificate=b"certificate",
    prekeys=[b"prekey"],
    identity_signature=b"s" * 64,
    signature=b"s" * 64,
)
CALL, RECORD = b"c" * 16, b"r" * 16
LIVE = LiveCall(call=CALL, record=RECORD, peer="bob@x.example", device="b" * 16)
TIMES = Timeouts()


class Play:
    """A session with its script: every step says what must have been asked for and told, in order."""

    def __init__(self, *, register: bool = False, jitter: float = 1.0) -> None:
        self.now = 1000.0
        self.session = Session(
            Credentials(
                SERVER,
                "anna@x.example",
                "a" * 16,
                b"certificate",
                lambda _: b"s" * 64,
                (lambda _: REGISTER) if register else None,
            ),
            draw=lambda: jitter,
        )

    def expect(self, *outputs: SessionOutput) -> None:
        assert self.session.drain() == list(outputs)

    def hear(self, *messages: FromServer) -> Play:
        for message in messages:
            self.session.receive(message, self.now)
        return self

    def lose(self) -> SessionLost:
        """The transport is gone; returns what was told."""
        self.session.transport_lost("Gone.", self.now)
        (lost,) = self.session.drain()
        assert isinstance(lost, SessionLost)
        return lost

    def wait(self, seconds: float) -> Play:
        """Time passes, and every deadline on the way is handled at its time."""
        end = self.now + seconds
        while (due := self.session.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.handle_timeout(self.now)
        self.now = end
        return self

    def reconnect(self, welcome: Welcome) -> Play:
        """A new connection up to its welcome; what follows is for the script."""
        lost = self.lose()
        self.wait(lost.retry_at - self.now).expect(OpenTransport())
        self.session.transport_opened(self.now)
        self.hear(HELLO)
        self.expect(Transmit(Resume(token=TOKEN, last_seq=self.last_seq)))
        if not welcome.resumed:
            self.hear(Error(code=ErrorCode.SESSION_GONE, message="Gone."))
            self.expect(Transmit(LOGIN))
        return self.hear(welcome)

    last_seq = 0


def up() -> Play:
    play = Play()
    play.session.start(play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO, WELCOME).session.drain()
    return play


def send(number: int, kind: Kind = Kind.SIGNAL, device: str = "b" * 16) -> Send:
    return Send(id=number.to_bytes(16), to="bob@x.example", device=device, call=CALL, kind=kind, body=bytes(1024))


def deliver(seq: int, number: int, kind: Kind = Kind.SIGNAL, record: bytes | None = None) -> Deliver:
    return Deliver(
        seq=seq,
        id=number.to_bytes(16),
        sender="bob@x.example",
        device="b" * 16,
        call=CALL,
        kind=kind,
        body=bytes(1024),
        record=record,
    )


def said(*messages: FromNode) -> list[Transmit]:
    return [Transmit(message) for message in messages]


# --- coming up ---


def test_log_in() -> None:
    play = Play()
    play.session.start(play.now)
    play.expect(OpenTransport())
    play.session.transport_opened(play.now)
    play.expect()
    play.hear(HELLO).expect(Transmit(LOGIN))
    play.hear(WELCOME).expect(SessionUp(resumed=False))
    assert play.session.phase is Phase.UP
    assert play.session.next_deadline() is None


def test_register_once_and_log_in_from_then_on() -> None:
    play = Play(register=True)
    play.session.start(play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO).expect(OpenTransport(), Transmit(REGISTER))
    play.wait(0.1).wait(play.lose().retry_at - play.now).session.transport_opened(play.now)
    play.hear(HELLO).expect(OpenTransport(), Transmit(REGISTER))
    play.hear(WELCOME).expect(SessionUp(resumed=False))
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))


@pytest.mark.parametrize(
    "hello",
    [
        Hello(server="evil.example", nonce=b"n" * 32, versions=[1], registration=RegistrationPolicy.OPEN),
        Hello(server=SERVER, nonce=b"n" * 32, versions=[9], registration=RegistrationPolicy.OPEN),
    ],
)
def test_nothing_is_signed_for_another_server(hello: Hello) -> None:
    play = Play()
    play.session.start(play.now)
    play.session.transport_opened(play.now)
    play.session.drain()
    play.hear(hello)
    close, gave_up = play.session.drain()
    assert close == CloseTransport()
    assert isinstance(gave_up, GaveUp)
    assert gave_up.code is None


@pytest.mark.parametrize("code", [ErrorCode.BAD_SIGNATURE, ErrorCode.UNKNOWN_USER, ErrorCode.NAME_TAKEN])
def test_a_final_refusal_ends_the_session(code: ErrorCode) -> None:
    play = Play()
    play.session.start(play.now)
    play.session.send(send(1), play.now)
    request = play.session.fetch_turn(play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO).session.drain()
    play.hear(Error(code=code, message="No."))
    play.expect(
        CloseTransport(),
        GaveUp(code, "No."),
        RequestFailed(request, ErrorCode.UNAVAILABLE, "No."),
        SendFailed(send(1).id, ErrorCode.UNAVAILABLE, "No."),
    )
    assert play.session.next_deadline() is None


def test_being_replaced_is_final() -> None:
    play = up()
    play.hear(Error(code=ErrorCode.REPLACED, message="Else\x1bwhere."))
    play.expect(CloseTransport(), GaveUp(ErrorCode.REPLACED, "Else where."))


def test_a_busy_server_names_the_pause() -> None:
    play = Play(jitter=0.0)
    play.session.start(play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO).session.drain()
    play.hear(Error(code=ErrorCode.TOO_MANY, message="Later.", retry_after=17.0))
    play.expect(CloseTransport(), SessionLost("Later.", play.now + 17.0))
    play.wait(17.0).expect(OpenTransport())


@pytest.mark.parametrize("hostile", [1e9, 1e308, float("inf")])
def test_no_server_keeps_a_node_away_for_ever(hostile: float) -> None:
    play = Play(jitter=0.0)
    play.session.start(play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO).session.drain()
    play.hear(Error(code=ErrorCode.UNAVAILABLE, message="Later.", retry_after=hostile))
    play.expect(CloseTransport(), SessionLost("Later.", play.now + TIMES.retry_limit))
    play = up()
    play.session.send(send(1), play.now)
    play.session.drain()
    play.hear(Error(code=ErrorCode.UNAVAILABLE, message="Later.", id=send(1).id, retry_after=hostile)).expect()
    play.wait(TIMES.retry_limit - 1.0).session.drain()
    play.session.send(send(2), play.now)
    play.expect()
    play.wait(1.0).expect(*said(send(2)))


def test_a_pause_that_is_over_already_is_none() -> None:
    play = up()
    play.hear(deliver(1, 11)).session.drain()
    play.hear(Error(code=ErrorCode.TOO_MANY, message="Later.", retry_after=-5.0)).expect()
    assert play.session.next_deadline() == play.now
    play.wait(0.0).expect(*said(Ack(seq=1)))


def test_every_step_of_connecting_has_its_time() -> None:
    play = Play()
    play.session.start(play.now)
    play.session.drain()
    play.wait(TIMES.open_transport)
    close, lost = play.session.drain()
    assert close == CloseTransport()
    assert isinstance(lost, SessionLost)
    play.wait(lost.retry_at - play.now).expect(OpenTransport())
    play.session.transport_opened(play.now)
    play.hear(HELLO).session.drain()
    play.wait(TIMES.login)
    close, lost = play.session.drain()
    assert close == CloseTransport()
    assert isinstance(lost, SessionLost)


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.0), (0.5, 0.5), (0.999, 1.0)])
def test_pauses_are_by_lot_below_a_bound_that_doubles(jitter: float, share: float) -> None:
    play = Play(jitter=jitter)
    play.session.start(play.now)
    play.session.drain()
    pauses = []
    for _ in range(9):
        lost = play.lose()
        pauses.append(lost.retry_at - play.now)
        play.wait(pauses[-1]).session.drain()
    expected = [share * min(TIMES.backoff_limit, TIMES.backoff * 2**number) for number in range(9)]
    assert pauses == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("jitter", "more"), [(0.0, 0.0), (0.5, 0.5 * TIMES.restart), (1.0, TIMES.restart)])
def test_a_server_that_asks_to_be_left_alone_is_and_then_some_by_lot(jitter: float, more: float) -> None:
    play = Play(jitter=jitter)
    play.session.start(play.now)
    for asked, kept in ((20.0, 20.0), (1e9, TIMES.retry_limit), (-5.0, 0.0)):
        play.session.drain()
        play.session.transport_lost("Busy.", play.now, retry_after=asked)
        (lost,) = play.session.drain()
        assert isinstance(lost, SessionLost)
        if kept:
            assert lost.retry_at - play.now == pytest.approx(kept + more)
        else:
            assert lost.retry_at - play.now <= 4 * TIMES.backoff
        play.wait(lost.retry_at - play.now)


def test_those_who_were_sent_away_together_come_back_one_by_one() -> None:
    pauses = []
    for jitter in (0.0, 0.5, 0.999):
        play = Play(jitter=jitter)
        play.session.start(play.now)
        play.session.drain()
        play.session.transport_lost("Going down.", play.now, restarting=True)
        (lost,) = play.session.drain()
        assert isinstance(lost, SessionLost)
        pauses.append(lost.retry_at - play.now)
    assert pauses == pytest.approx([0.0, 0.5 * TIMES.restart, TIMES.restart], rel=0.01)


def test_the_pauses_start_afresh_after_a_stable_session_only() -> None:
    play = up()
    first = play.lose().retry_at - play.now
    play.wait(first).session.transport_opened(play.now)
    play.hear(HELLO, RESUMED).session.drain()
    second = play.lose().retry_at - play.now
    assert second == 2 * first, "up and down at once is no success"
    play.wait(second).session.transport_opened(play.now)
    play.hear(HELLO, RESUMED).session.drain()
    play.wait(TIMES.stable)
    assert play.lose().retry_at - play.now == first


# --- messages out ---


def test_another_network_is_tried_at_once_and_everything_is_said_again() -> None:
    play = up()
    play.session.send(send(1), play.now)
    play.session.drain()
    play.session.reconnect("The network changed.", play.now)
    play.expect(CloseTransport(), SessionLost("The network changed.", play.now), OpenTransport())
    play.session.transport_opened(play.now)
    play.hear(HELLO).expect(Transmit(Resume(token=TOKEN, last_seq=0)))
    play.hear(RESUMED).expect(SessionUp(True), *said(send(1)))


@pytest.mark.parametrize("steps", range(3))
def test_an_attempt_on_the_network_before_is_given_up(steps: int) -> None:
    play = up()
    play.wait(play.lose().retry_at - play.now).expect(OpenTransport())
    if steps >= 1:
        play.session.transport_opened(play.now)
    if steps >= 2:
        play.hear(HELLO).session.drain()
    play.session.reconnect("The network changed.", play.now)
    play.expect(CloseTransport(), SessionLost("The network changed.", play.now), OpenTransport())
    assert play.session.phase is Phase.OPENING
    play.wait(TIMES.open_transport).session.drain()
    assert play.session.phase is Phase.PAUSED, "the new attempt has a time of its own"


def test_a_network_that_changes_all_the_time_does_not_keep_a_slow_server_out_of_reach() -> None:
    play = up()
    play.session.reconnect("The network changed.", play.now)
    attempts = [play.now]
    for _ in range(300):  # half a minute
        play.wait(0.1)
        play.session.reconnect("The network changed.", play.now)
        if OpenTransport() in play.session.drain():
            attempts.append(play.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 0.11, "the first change is heeded at once"
    assert max(pauses) >= 4.0, "four round trips of the slowest path that a call is made over"
    assert play.session.phase is Phase.OPENING


def test_a_network_that_changed_during_an_attempt_is_not_forgotten() -> None:
    play = up()
    for _ in range(3):
        play.session.reconnect("The network changed.", play.now)
    play.session.drain()
    play.wait(TIMES.backoff).expect(CloseTransport(), SessionLost("The network changed.", play.now), OpenTransport())
    play.wait(TIMES.backoff).expect()
    play.session.reconnect("The network changed.", play.now)
    play.session.transport_opened(play.now)
    play.hear(HELLO, RESUMED).session.drain()
    play.wait(TIMES.open_transport).expect()
    assert play.session.phase is Phase.UP, "an attempt that came through is as good as one begun later"


def test_another_network_ends_the_pause_and_its_doubling() -> None:
    play = up()
    for _ in range(6):
        play.wait(play.lose().retry_at - play.now).expect(OpenTransport())
    assert play.lose().retry_at - play.now > 10 * TIMES.backoff
    play.session.reconnect("The network changed.", play.now)
    play.expect(OpenTransport())
    assert play.lose().retry_at == pytest.approx(play.now + TIMES.backoff)


def test_another_network_does_not_shorten_a_pause_that_the_server_asked_for() -> None:
    play = up()
    play.wait(play.lose().retry_at - play.now).session.drain()
    play.session.transport_opened(play.now)
    play.hear(HELLO, Error(code=ErrorCode.TOO_MANY, message="Not now.", retry_after=20.0)).session.drain()
    play.wait(19.0)
    play.session.reconnect("The network changed.", play.now)
    play.expect()
    play.wait(1.0).expect(OpenTransport())


def test_whoever_wants_to_call_does_not_wait_for_the_pause_to_end() -> None:
    play = up()
    for _ in range(4):
        play.wait(play.lose().retry_at - play.now).session.drain()
    longest = play.lose().retry_at - play.now
    play.session.fetch_devices("bob@example.org", play.now)
    play.expect(OpenTransport())
    assert play.lose().retry_at - play.now > longest, "that it was tried is no reason to try oftener"


def test_not_even_whoever_wants_to_call_shortens_a_pause_that_the_server_asked_for() -> None:
    play = up()
    play.wait(play.lose().retry_at - play.now).session.drain()
    play.session.transport_opened(play.now)
    play.hear(HELLO, Error(code=ErrorCode.TOO_MANY, message="Not now.", retry_after=20.0)).session.drain()
    play.session.fetch_devices("bob@example.org", play.now)
    play.expect()


def test_another_network_is_nothing_to_a_session_that_is_not_wanted() -> None:
    fresh, over = Play(), up()
    over.session.stop()
    over.session.drain()
    for play in (fresh, over):
        play.session.reconnect("The network changed.", play.now)
        play.expect()


def test_a_message_is_held_until_it_is_delivered() -> None:
    play = up()
    play.session.send(send(1), play.now)
    play.expect(*said(send(1)))
    play.hear(Accepted(id=send(1).id)).expect()
    assert play.session.held == 1
    play.hear(Delivered(id=send(1).id)).expect(SendDelivered(send(1).id))
    assert play.session.held == 0
    play.hear(Delivered(id=send(1).id)).expect()


@pytest.mark.parametrize("welcome", [WELCOME, RESUMED])
def test_everything_undelivered_is_said_again_in_order(welcome: Welcome) -> None:
    play = up()
    for number in (1, 2, 3):
        play.session.send(send(number), play.now)
    play.hear(Accepted(id=send(1).id), Delivered(id=send(2).id)).session.drain()
    play.reconnect(welcome).expect(SessionUp(welcome.resumed), *said(send(1), send(3)))


def test_messages_wait_for_the_session() -> None:
    play = Play()
    play.session.start(play.now)
    play.session.send(send(1), play.now)
    play.expect(OpenTransport())
    play.session.transport_opened(play.now)
    play.hear(HELLO, WELCOME).expect(Transmit(LOGIN), SessionUp(resumed=False), *said(send(1)))


def test_a_refused_message_fails_and_one_refused_for_now_waits() -> None:
    play = up()
    play.session.send(send(1), play.now)
    play.session.send(send(2), play.now)
    play.session.drain()
    later = Error(code=ErrorCode.TOO_MANY, message="Later.", id=send(1).id, retry_after=2.0)
    play.hear(later, Error(code=ErrorCode.TOO_MANY, message="Later.", id=send(2).id, retry_after=1.0)).expect()
    play.session.send(send(3), play.now)
    play.session.send(send(4, device="d" * 16), play.now)
    play.expect(*said(send(4, device="d" * 16)))
    play.wait(1.9).expect()
    play.wait(0.1).expect(*said(send(1), send(2), send(3)))
    play.hear(Error(code=ErrorCode.OFFLINE, message="Not there.", id=send(1).id))
    play.expect(SendFailed(send(1).id, ErrorCode.OFFLINE, "Not there."))


def test_what_nobody_takes_is_given_up() -> None:
    play = up()
    play.session.send(send(1), play.now)
    play.session.drain()
    play.wait(TIMES.hold)
    (failed,) = play.session.drain()
    assert isinstance(failed, SendFailed)
    assert failed.code is ErrorCode.UNAVAILABLE


def test_the_outbox_is_bounded() -> None:
    play = up()
    for number in range(MAX_HELD - RESERVED):
        play.session.send(send(number), play.now)
    play.session.drain()
    play.session.send(send(MAX_HELD), play.now)
    (failed,) = play.session.drain()
    assert isinstance(failed, SendFailed)
    assert failed.code is ErrorCode.TOO_MANY


# --- messages in ---


def test_messages_are_passed_up_once_and_acknowledged() -> None:
    play = up()
    play.hear(deliver(1, 11)).expect(Arrived(deliver(1, 11)), *said(Ack(seq=1)))
    play.hear(deliver(2, 11)).expect(*said(Ack(seq=2)))
    play.last_seq = 2
    play.reconnect(RESUMED).expect(SessionUp(resumed=True))
    play.hear(deliver(3, 12)).expect(Arrived(deliver(3, 12)), *said(Ack(seq=3)))
    play.last_seq = 3
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))
    play.hear(deliver(1, 12)).expect(*said(Ack(seq=1)))


def test_an_acknowledgement_over_the_rate_is_said_again() -> None:
    play = up()
    play.hear(deliver(1, 11), deliver(2, 12)).session.drain()
    play.hear(Error(code=ErrorCode.TOO_MANY, message="Later.", retry_after=1.5)).expect()
    play.wait(1.5).expect(*said(Ack(seq=2)))


# --- records ---


def accepted_call(play: Play) -> None:
    play.session.send(send(1, Kind.ACCEPT), play.now)
    play.hear(Accepted(id=send(1).id, record=RECORD), Delivered(id=send(1).id)).session.drain()


def test_live_calls_are_claimed_before_anything_is_said_again() -> None:
    play = up()
    accepted_call(play)
    play.session.send(send(2), play.now)
    play.session.drain()
    play.reconnect(RESUMED).expect(Transmit(Live(calls=[LIVE])), SessionUp(resumed=True), *said(send(2)))
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[LIVE])), SessionUp(resumed=False), *said(send(2)))


def test_the_one_who_hears_the_accept_claims_too() -> None:
    play = up()
    play.hear(deliver(1, 11, Kind.ACCEPT, RECORD)).session.drain()
    play.last_seq = 1
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[LIVE])), SessionUp(resumed=False))
    play.hear(deliver(2, 12, Kind.END)).session.drain()
    play.last_seq = 2
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))


def test_a_call_is_claimed_until_its_end_is_out() -> None:
    play = up()
    accepted_call(play)
    play.session.send(send(2, Kind.END), play.now)
    play.session.call_finished(CALL)
    play.session.drain()
    end = send(2, Kind.END)
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[LIVE])), SessionUp(resumed=False), *said(end))
    play.hear(Delivered(id=end.id)).expect(SendDelivered(end.id))
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))


def test_an_accept_is_not_said_again_once_the_other_end_has_ended_the_call() -> None:
    play = up()
    play.session.send(send(1, Kind.ACCEPT), play.now)
    play.session.drain()
    play.session.call_finished(CALL)
    play.expect(SendFailed(send(1).id, ErrorCode.OFFLINE, "The call is over."))
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))


def test_an_accept_is_said_again_before_our_own_end() -> None:
    play = up()
    accept, end = send(1, Kind.ACCEPT), send(2, Kind.END)
    play.session.send(accept, play.now)
    play.session.send(end, play.now)
    play.session.call_finished(CALL)
    play.session.drain()
    play.reconnect(WELCOME).expect(SessionUp(resumed=False), *said(accept, end))


def test_an_accept_that_a_server_has_seen_is_not_said_again_before_our_own_end() -> None:
    play = up()
    accept, end = send(1, Kind.ACCEPT), send(2, Kind.END)
    play.session.send(accept, play.now)
    play.hear(Accepted(id=accept.id, record=RECORD))
    play.session.send(end, play.now)
    play.session.call_finished(CALL)
    play.session.drain()
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[LIVE])), SessionUp(resumed=False), *said(end))


# --- requests ---


def test_requests_are_answered_by_number() -> None:
    play = up()
    fetch = play.session.fetch_devices("bob@x.example", play.now)
    publish = play.session.publish([b"prekey"], play.now)
    play.expect(
        *said(FetchDevices(request=fetch, address="bob@x.example"), Publish(request=publish, prekeys=[b"prekey"]))
    )
    published = Published(request=publish)
    devices = Devices(request=fetch, address="bob@x.example", identity_key=b"i" * 32, devices=[])
    play.hear(published, devices).expect(RequestAnswered(publish, published), RequestAnswered(fetch, devices))
    play.hear(published).expect()
    assert play.session.dropped == 1


def test_a_request_is_asked_again_after_a_loss_and_a_refusal_for_now() -> None:
    play = up()
    number = play.session.fetch_turn(play.now)
    request = TurnRequest(request=number)
    play.expect(*said(request))
    play.reconnect(RESUMED).expect(SessionUp(resumed=True), *said(request))
    play.hear(Error(code=ErrorCode.UNAVAILABLE, message="Later.", request=number, retry_after=2.0)).expect()
    play.wait(2.0).expect(*said(request))
    play.hear(Error(code=ErrorCode.NO_RELAY, message="None here.", request=number))
    play.expect(RequestFailed(number, ErrorCode.NO_RELAY, "None here."))
    play.hear(Error(code=ErrorCode.NO_RELAY, message="None here.", request=number)).expect()
    assert play.session.dropped == 1


def test_a_request_without_an_answer_fails_in_time() -> None:
    play = up()
    number = play.session.fetch_turn(play.now)
    play.session.drain()
    play.wait(TIMES.request - 0.1).expect()
    play.wait(0.1).expect(RequestFailed(number, ErrorCode.UNAVAILABLE, "x.example did not answer in time."))


def test_requests_are_bounded() -> None:
    play = up()
    numbers = [play.session.fetch_turn(play.now) for _ in range(MAX_REQUESTS + 1)]
    *_, last = play.session.drain()
    assert last == RequestFailed(numbers[-1], ErrorCode.TOO_MANY, "Too many requests wait for the server.")


# --- what is stored ---


def stored(number: int) -> Send:
    id_ = number.to_bytes(16)
    return Send(id=id_, to="bob@x.example", device="b" * 16, call=id_, kind=Kind.MESSAGE, body=bytes(1024))


def test_a_message_that_is_stored_is_done_when_it_is_accepted() -> None:
    play = up()
    play.session.send(stored(1), play.now)
    play.expect(Transmit(stored(1)))
    play.hear(Accepted(id=stored(1).id)).expect(SendDelivered(stored(1).id))
    assert play.session.held == 0
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))


def test_a_full_mailbox_is_the_end_of_a_message() -> None:
    play = up()
    play.session.send(stored(1), play.now)
    play.session.drain()
    play.hear(Error(code=ErrorCode.MAILBOX_FULL, message="Full.", id=stored(1).id))
    play.expect(SendFailed(stored(1).id, ErrorCode.MAILBOX_FULL, "Full."))


def test_a_stored_message_and_those_of_calls_do_not_wait_for_each_other() -> None:
    play = up()
    play.session.send(stored(1), play.now)
    play.session.drain()
    play.hear(Error(code=ErrorCode.UNAVAILABLE, message="Later.", id=stored(1).id, retry_after=5.0)).expect()
    assert not play.session.holds_for("bob@x.example", "b" * 16)
    play.session.send(send(2), play.now)
    play.expect(Transmit(send(2)))
    play.wait(5.0).expect(Transmit(stored(1)))


def test_letters_come_as_often_as_the_server_says_them_and_are_taken_when_they_are_in_hand() -> None:
    play, letter = up(), Letter(id=b"l" * 16, body=bytes(1024))
    play.hear(letter, letter, NoLetters()).expect(LetterArrived(letter), LetterArrived(letter), NothingStored())
    play.session.taken([letter.id])
    play.expect(Transmit(Taken(ids=[letter.id])))
    play.lose()
    play.session.taken([letter.id])
    play.expect()


def test_the_wish_to_delete_the_account_is_signed_for_each_connection_and_is_the_end() -> None:
    play = up()
    signed: list[bytes] = []
    number = play.session.delete_account(lambda proof: signed.append(proof) or b"d" * 64, play.now)
    wish = Transmit(DeleteAccount(request=number, signature=b"d" * 64))
    play.expect(wish)
    play.reconnect(WELCOME).expect(SessionUp(resumed=False), wish)
    assert signed == [deletion_proof(SERVER, HELLO.nonce, "anna@x.example")] * 2
    play.hear(Deleted(request=number + 1)).expect()
    assert (play.session.phase, play.session.dropped) == (Phase.UP, 1)
    deleted = Deleted(request=number)
    play.hear(deleted).expect(
        RequestAnswered(number, deleted),
        CloseTransport(),
        GaveUp(ErrorCode.UNKNOWN_USER, "The account was deleted."),
    )
    assert play.session.phase is Phase.OVER


# --- the end, and what does not belong ---


def test_stop() -> None:
    play = up()
    play.session.stop()
    play.expect(Transmit(Leave()), CloseTransport())
    assert play.session.next_deadline() is None
    play.session.send(send(1), play.now)
    number = play.session.fetch_turn(play.now)
    sentence = "The session with the server is over."
    play.expect(
        SendFailed(send(1).id, ErrorCode.UNAVAILABLE, sentence), RequestFailed(number, ErrorCode.UNAVAILABLE, sentence)
    )
    play.session.transport_lost("Late.", play.now)
    play.expect()


def test_what_our_own_caller_does_wrongly_raises() -> None:
    play = up()
    with pytest.raises(LocalProtocolError):
        play.session.start(play.now)
    with pytest.raises(LocalProtocolError):
        play.session.transport_opened(play.now)


EVERYTHING: list[FromServer] = [
    HELLO,
    WELCOME,
    Accepted(id=b"?" * 16, record=RECORD),
    Delivered(id=b"?" * 16),
    Letter(id=b"?" * 16, body=bytes(1024)),
    NoLetters(),
    Deleted(request=9),
    deliver(1, 1),
    Published(request=9),
    Error(code=ErrorCode.MALFORMED, message="What?"),
    Error(code=ErrorCode.OFFLINE, message="Who?", id=b"?" * 16),
]


def test_messages_out_of_place_are_counted_and_move_nothing() -> None:
    for message in EVERYTHING:
        play = Play()
        play.session.start(play.now)
        play.session.drain()
        play.hear(message).expect()
        assert (play.session.phase, play.session.dropped) == (Phase.OPENING, 1)
    for message in (HELLO, WELCOME, Published(request=9), Error(code=ErrorCode.MALFORMED, message="What?")):
        play = up()
        play.hear(message).expect()
        assert (play.session.phase, play.session.dropped) == (Phase.UP, 1)
    for message in (Accepted(id=b"?" * 16), Delivered(id=b"?" * 16), EVERYTHING[-1]):
        play = up()
        play.hear(message).expect()
        assert play.session.phase is Phase.UP
