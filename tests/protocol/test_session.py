"""Scripts of a session: what it is told, and exactly what it then asks for and tells."""

from __future__ import annotations

import itertools

import pytest

from entrenous.errors import LocalProtocolError
from entrenous.protocol.session import Phase
from entrenous.protocol.session_outputs import (
    CloseTransport,
    GaveUp,
    OpenTransport,
    RequestFailed,
    SendFailed,
    SessionLost,
    SessionUp,
    Transmit,
)
from entrenous_wire.limits import ACK_SECONDS
from entrenous_wire.messages import (
    Accepted,
    Ack,
    Deleted,
    Delivered,
    Error,
    ErrorCode,
    FromServer,
    Hello,
    Leave,
    Letter,
    LoggedIn,
    NoLetters,
    Published,
    RegistrationPolicy,
    Resume,
)
from protocol.session_play import (
    HELLO,
    LOGIN,
    RECORD,
    REGISTER,
    RESUMED,
    SERVER,
    TIMES,
    TOKEN,
    WELCOME,
    Play,
    deliver,
    said,
    send,
    up,
)

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
    play.hear(deliver(1, 11)).wait(ACK_SECONDS).session.drain()
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


# --- another network ---


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
    Delivered(ids=[b"?" * 16]),
    Letter(id=b"?" * 16, body=bytes(1024)),
    NoLetters(),
    LoggedIn(device="b" * 16, at=60, new=False),
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
    for message in (Accepted(id=b"?" * 16), Delivered(ids=[b"?" * 16]), EVERYTHING[-1]):
        play = up()
        play.hear(message).expect()
        assert play.session.phase is Phase.UP
