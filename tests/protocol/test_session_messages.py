"""What a session carries: messages out and in, call records, requests, and what is stored."""

from __future__ import annotations

import pytest

from entrenous.protocol.outbox import MAX_HELD, RESERVED
from entrenous.protocol.requests import MAX_REQUESTS
from entrenous.protocol.session import Phase
from entrenous.protocol.session_outputs import (
    Arrived,
    CloseTransport,
    GaveUp,
    LetterArrived,
    NothingStored,
    OpenTransport,
    OtherLoggedIn,
    RequestAnswered,
    RequestFailed,
    SendDelivered,
    SendFailed,
    SessionUp,
    Transmit,
)
from entrenous_wire.limits import ACK_MESSAGES, ACK_SECONDS
from entrenous_wire.login import deletion_proof
from entrenous_wire.messages import (
    Accepted,
    Ack,
    DeleteAccount,
    Deleted,
    Delivered,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    Kind,
    Leave,
    Letter,
    Live,
    LoggedIn,
    NoLetters,
    Publish,
    Published,
    Send,
    Taken,
    TurnRequest,
    Welcome,
)
from protocol.session_play import (
    CALL,
    HELLO,
    LIVE,
    LOGIN,
    OVER,
    RECORD,
    RESUMED,
    SERVER,
    TIMES,
    WELCOME,
    Play,
    deliver,
    said,
    send,
    up,
)

# --- messages out ---


def test_a_message_is_held_until_it_is_delivered() -> None:
    play = up()
    play.session.send(send(1), play.now)
    play.expect(*said(send(1)))
    play.hear(Accepted(id=send(1).id)).expect()
    assert play.session.held == 1
    play.hear(Delivered(ids=[send(1).id])).expect(SendDelivered(send(1).id))
    assert play.session.held == 0
    play.hear(Delivered(ids=[send(1).id])).expect()


@pytest.mark.parametrize("welcome", [WELCOME, RESUMED])
def test_everything_undelivered_is_said_again_in_order(welcome: Welcome) -> None:
    play = up()
    for number in (1, 2, 3):
        play.session.send(send(number), play.now)
    play.hear(Accepted(id=send(1).id), Delivered(ids=[send(2).id])).session.drain()
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
    ring = deliver(1, 11, Kind.RING)
    play.hear(ring).expect(Arrived(ring), *said(Ack(seq=1)))
    play.hear(deliver(2, 11, Kind.RING)).expect(*said(Ack(seq=2)))
    play.last_seq = 2
    play.reconnect(RESUMED).expect(SessionUp(resumed=True))
    play.hear(deliver(3, 12)).expect(Arrived(deliver(3, 12)))
    play.wait(ACK_SECONDS).expect(*said(Ack(seq=3)))
    play.last_seq = 3
    play.reconnect(WELCOME).expect(SessionUp(resumed=False))
    play.hear(deliver(1, 12)).wait(ACK_SECONDS).expect(*said(Ack(seq=1)))


def test_acknowledgements_of_signals_are_gathered_for_a_moment() -> None:
    play = up()
    play.hear(deliver(1, 11)).expect(Arrived(deliver(1, 11)))
    play.wait(0.75 * ACK_SECONDS).hear(deliver(2, 12)).expect(Arrived(deliver(2, 12)))
    play.wait(0.2 * ACK_SECONDS).expect()
    play.wait(0.1 * ACK_SECONDS).expect(*said(Ack(seq=2)))
    assert play.session.next_deadline() is None


def test_enough_signals_are_acknowledged_at_once() -> None:
    play = up()
    for number in range(1, ACK_MESSAGES):
        play.hear(deliver(number, number)).expect(Arrived(deliver(number, number)))
    last = deliver(ACK_MESSAGES, ACK_MESSAGES)
    play.hear(last).expect(Arrived(last), *said(Ack(seq=ACK_MESSAGES)))
    play.wait(ACK_SECONDS).expect()


def test_the_end_of_a_call_is_acknowledged_at_once_with_the_signals_before_it() -> None:
    play, end = up(), deliver(2, 12, Kind.END)
    play.hear(deliver(1, 11), end).expect(Arrived(deliver(1, 11)), Arrived(end), *said(Ack(seq=2)))
    play.wait(ACK_SECONDS).expect()


def test_who_leaves_says_first_what_has_arrived() -> None:
    play = up()
    play.hear(deliver(1, 11)).session.drain()
    play.session.stop()
    play.expect(*said(Ack(seq=1), Leave()), CloseTransport())
    assert play.session.next_deadline() is None
    play = up()
    play.session.stop()
    play.expect(*said(Leave()), CloseTransport())


@pytest.mark.parametrize("welcome", [WELCOME, RESUMED])
def test_what_was_to_be_acknowledged_on_a_connection_that_is_gone_is_not_on_the_next(welcome: Welcome) -> None:
    play = up()
    play.hear(deliver(1, 11)).session.drain()
    play.last_seq = 1  # which the resumption says
    play.reconnect(welcome).expect(SessionUp(welcome.resumed))
    play.wait(ACK_SECONDS).expect()


def test_what_was_to_be_acknowledged_is_nothing_any_more_when_the_session_is_over() -> None:
    play = up()
    play.hear(deliver(1, 11)).session.drain()
    play.hear(Error(code=ErrorCode.REPLACED, message="Elsewhere."))
    play.expect(CloseTransport(), GaveUp(ErrorCode.REPLACED, "Elsewhere."))
    assert play.session.next_deadline() is None
    play.wait(ACK_SECONDS).expect()


def test_an_acknowledgement_over_the_rate_is_said_again() -> None:
    play = up()
    play.hear(deliver(1, 11), deliver(2, 12)).wait(ACK_SECONDS).session.drain()
    play.hear(Error(code=ErrorCode.TOO_MANY, message="Later.", retry_after=1.5)).expect()
    play.wait(1.4).expect()
    play.wait(0.1).expect(*said(Ack(seq=2)))


def test_what_arrives_meanwhile_does_not_wait_for_that() -> None:
    play = up()
    play.hear(deliver(1, 11, Kind.RING), Error(code=ErrorCode.TOO_MANY, message="Later.", retry_after=1.5))
    play.hear(deliver(2, 12)).session.drain()
    play.wait(ACK_SECONDS).expect(*said(Ack(seq=2)))
    play.wait(1.5).expect()


# --- records ---


def accepted_call(play: Play) -> None:
    play.session.send(send(1, Kind.ACCEPT), play.now)
    play.hear(Accepted(id=send(1).id, record=RECORD), Delivered(ids=[send(1).id])).session.drain()


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
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[OVER])), SessionUp(resumed=False), *said(end))
    play.hear(Delivered(ids=[end.id])).expect(SendDelivered(end.id))
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
    play.reconnect(WELCOME).expect(Transmit(Live(calls=[OVER])), SessionUp(resumed=False), *said(end))


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


def test_a_login_of_another_device_is_told_as_often_as_the_server_says_it() -> None:
    login = LoggedIn(device="b" * 16, at=60, new=True)
    play = up()
    play.hear(login, login).expect(OtherLoggedIn(login), OtherLoggedIn(login))
    assert play.session.dropped == 0


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
