"""One session with a signaling server, over as many connections as it takes: the machine, without its socket.

::

    start ──> OPENING ──opened──> GREETING ──hello──> LOGGING_IN ──welcome──> UP
                 ^                     │                  │                   │
                 └──── PAUSED <────────┴── lost, refused for now, too slow ───┘
    any ──bad signature, unknown user, replaced, wrong server … , stop──> OVER

A new connection first tries to resume the session; when the server has forgotten it, the device logs in, and claims
the records of its live calls before it says anything else again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum, StrEnum
from typing import assert_never

from entrenous_wire.messages import (
    Accepted,
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
    Leave,
    Letter,
    LoggedIn,
    NoLetters,
    Publish,
    Published,
    Resume,
    Send,
    Taken,
    Turn,
    TurnRequest,
    Welcome,
)

from ..errors import LocalProtocolError
from .credentials import Credentials, is_final, sentence_of
from .deadlines import Deadlines, Timeouts
from .mail import Mail
from .requests import Deletion, Request, Requests
from .session_outputs import (
    Answer,
    CloseTransport,
    GaveUp,
    OpenTransport,
    OtherLoggedIn,
    RequestAnswered,
    RequestFailed,
    SendFailed,
    SessionLost,
    SessionOutput,
    SessionUp,
    Transmit,
)


class Phase(Enum):
    """Where a session stands."""

    IDLE = "idle"
    PAUSED = "paused"
    OPENING = "opening"
    GREETING = "greeting"
    LOGGING_IN = "logging in"
    UP = "up"
    OVER = "over"


class _Wait(StrEnum):
    PAUSE = "pause"
    OPEN = "open"
    LOGIN = "login"
    ANEW = "anew"


class Session:
    """The session of one device with its signaling server.

    Args:
        credentials: who logs in.
        draw: returns a number in [0, 1), for the jitter of pauses.
        timeouts: the durations.
    """

    def __init__(
        self, credentials: Credentials, *, draw: Callable[[], float], timeouts: Timeouts | None = None
    ) -> None:
        self._credentials = credentials
        self._make_register = credentials.make_register
        self._draw = draw
        self._timeouts = timeouts or Timeouts()
        self._phase = Phase.IDLE
        self._hello: Hello | None = None
        self._token: bytes | None = None
        self._failures = 0
        self._up_since = 0.0
        self._unwelcome_until = 0.0
        self._opened_at = 0.0
        self._given_up = 0
        """Attempts since the last session that were cut short because the network changed."""
        self._because = ""
        self._mail = Mail(self._timeouts.hold, lambda output: self._outputs.append(output))
        self._requests = Requests(self._timeouts.request)
        self._deadlines: Deadlines[_Wait] = Deadlines()
        self._outputs: list[SessionOutput] = []
        self.dropped = 0
        """Messages of the server that nobody waits for any more, or that are not allowed where they came."""

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        return self._phase

    @property
    def held(self) -> int:
        """Messages that are not delivered yet."""
        return self._mail.held

    def holds_for(self, to: str, device: str) -> bool:
        """Whether a message of a call to that device is not delivered yet."""
        return self._mail.holds_for(to, device)

    def drain(self) -> list[SessionOutput]:
        """Everything asked for and told since the last call, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due next, on the clock of `now`; None when nothing is waited for."""
        requests = self._requests.next_deadline(may_ask=self._phase is Phase.UP)
        times = (self._deadlines.next(), requests, self._mail.next_deadline())
        return min((at for at in times if at is not None), default=None)

    # --- what the user of the session wants ---

    def start(self, now: float) -> None:
        """Begin to connect; raises LocalProtocolError when it was started before."""
        if self._phase is not Phase.IDLE:
            raise LocalProtocolError("The session was started before.")
        self._open(now)

    def stop(self) -> None:
        """End the session for good and go offline. What waits fails: wait for SendDelivered where that matters."""
        if self._phase is Phase.UP:
            self._mail.acknowledge(math.inf)
            self._transmit(Leave())
        if self._phase in (Phase.OPENING, Phase.GREETING, Phase.LOGGING_IN, Phase.UP):
            self._outputs.append(CloseTransport())
        self._finish("The session with the server is over.")

    def send(self, message: Send, now: float) -> None:
        """Route a message, now or as soon as the session stands; SendDelivered or SendFailed follows.

        Args:
            message: its id is fresh and random.
            now: seconds on one monotonic clock.
        """
        if self._phase is Phase.OVER:
            self._outputs.append(SendFailed(message.id, ErrorCode.UNAVAILABLE, "The session with the server is over."))
        else:
            self._mail.hold(message, now)
            self._say_all(now)

    def fetch_devices(self, address: str, now: float) -> int:
        """Ask for the devices of an account; the number comes back with the answer or the failure.

        Somebody wants to be connected with that person now, so a pause before the next attempt is not waited for,
        unless the server has asked for it.
        """
        if self._phase is Phase.PAUSED:
            self._end_pause(now)
        return self._ask(FetchDevices(request=self._requests.new_number(), address=address), now)

    def publish(self, prekeys: Sequence[bytes], now: float) -> int:
        """Replace this device's prekeys; the number comes back with the answer or the failure."""
        return self._ask(Publish(request=self._requests.new_number(), prekeys=list(prekeys)), now)

    def fetch_turn(self, now: float) -> int:
        """Ask for relay credentials; the number comes back with the answer or the failure."""
        return self._ask(TurnRequest(request=self._requests.new_number()), now)

    def delete_account(self, sign: Callable[[bytes], bytes], now: float) -> int:
        """Delete the account for good; the number comes back with the answer or the failure, and then it is over.

        Args:
            sign: signs bytes with the identity key.
            now: seconds on one monotonic clock.
        """
        return self._ask(Deletion(self._requests.new_number(), sign), now)

    def taken(self, ids: Sequence[bytes]) -> None:
        """Say which letters are in hand; without a session nothing is said, and they come again with the next."""
        if self._phase is Phase.UP:
            self._transmit(Taken(ids=list(ids)))

    def call_finished(self, call: bytes) -> None:
        """Stop claiming a call's record once its `end`, if there is one, is out. Any call id is fine.

        An accept of a call that is over is not said again either: a server that was killed does not remember the end,
        and would open a second record. Only one that no server has seen goes out before our own end, so that a call
        which lived and died while the server was away is counted.
        """
        self._mail.call_finished(call)

    def reconnect(self, sentence: str, now: float) -> None:
        """The network is another one: give up what is open and connect anew at once, as if nothing had failed yet.

        A pause that the server has asked for is kept. Where the network changes again and again, each attempt that
        is cut short gives the next one more time, or a slow way to the server would never be gone to its end.
        Harmless while there is nothing to connect.

        Args:
            sentence: why, for people.
            now: seconds on one monotonic clock.
        """
        self._failures = 0
        match self._phase:
            case Phase.PAUSED:
                self._end_pause(now)
            case Phase.OPENING | Phase.GREETING | Phase.LOGGING_IN:
                self._because = sentence
                patience = self._timeouts.backoff * (2.0**self._given_up - 1.0)
                if now >= self._opened_at + patience:
                    self._open_anew(now)
                elif self._deadlines.at(_Wait.ANEW) is None:
                    self._deadlines = self._deadlines.set(_Wait.ANEW, self._opened_at + patience)
            case Phase.UP:
                self._because = sentence
                self._open_anew(now)
            case Phase.IDLE | Phase.OVER:
                pass
            case _:
                assert_never(self._phase)

    # --- what happens to the transport ---

    def transport_opened(self, now: float) -> None:
        """The transport of the last OpenTransport is there."""
        if self._phase is not Phase.OPENING:
            raise LocalProtocolError("No transport was asked for.")
        self._phase = Phase.GREETING
        self._deadlines = self._deadlines.cancel(_Wait.OPEN).set(_Wait.LOGIN, now + self._timeouts.login)

    def transport_lost(self, sentence: str, now: float, *, retry_after: float = 0.0, restarting: bool = False) -> None:
        """The transport did not open or is gone.

        Args:
            sentence: why, for people (DNS, TCP, TLS, closed …).
            now: seconds on one monotonic clock.
            retry_after: seconds for which the server asked not to be tried again.
            restarting: the server has sent everybody away, because it goes down and comes back.
        """
        if self._phase in (Phase.OPENING, Phase.GREETING, Phase.LOGGING_IN, Phase.UP):
            self._pause(sentence, now, self._within_reason(retry_after), restarting=restarting)

    def receive(self, message: FromServer, now: float) -> None:
        """The server said something."""
        match message:
            case Hello() if self._phase is Phase.GREETING:
                self._greeted(message)
            case Welcome() if self._phase is Phase.LOGGING_IN:
                self._welcomed(message, now)
            case Error() if self._phase in (Phase.GREETING, Phase.LOGGING_IN):
                self._refused(message, now)
            case Error() if self._phase is Phase.UP:
                self._told_error(message, now)
            case Accepted() | Delivered() | Deliver() | Letter() | NoLetters() if self._phase is Phase.UP:
                self._mail.take(message, now)
            case Devices() | Published() | Turn() if self._phase is Phase.UP:
                self._answered(message)
            case LoggedIn() if self._phase is Phase.UP:
                self._outputs.append(OtherLoggedIn(message))
            case Deleted() if self._phase is Phase.UP:
                if self._answered(message):
                    self._give_up(ErrorCode.UNKNOWN_USER, "The account was deleted.")
            case _:
                self.dropped += 1

    def handle_timeout(self, now: float) -> None:
        """Do everything that is due."""
        while (name := self._deadlines.first_due(now)) is not None:
            self._deadlines = self._deadlines.cancel(name)
            match name:
                case _Wait.PAUSE:
                    self._open(now)
                case _Wait.OPEN:
                    self._outputs.append(CloseTransport())
                    self._pause(f"{self._credentials.server} did not answer in time.", now)
                case _Wait.LOGIN:
                    self._outputs.append(CloseTransport())
                    self._pause(f"{self._credentials.server} did not let us in in time.", now)
                case _Wait.ANEW:
                    self._open_anew(now)
                case _:
                    assert_never(name)
        for number in self._requests.take_expired(now):
            failure = RequestFailed(
                number, ErrorCode.UNAVAILABLE, f"{self._credentials.server} did not answer in time."
            )
            self._outputs.append(failure)
        self._mail.acknowledge(now)
        self._mail.fail_expired(now, "The message could not be handed over in time.")
        self._say_all(now)

    # --- connecting ---

    def _open(self, now: float) -> None:
        self._phase = Phase.OPENING
        self._opened_at = now
        self._deadlines = self._deadlines.set(_Wait.OPEN, now + self._timeouts.open_transport)
        self._outputs.append(OpenTransport())

    def _end_pause(self, now: float) -> None:
        """Connect now, or as soon as the server has not asked us to stay away any more."""
        if now >= self._unwelcome_until:
            self._deadlines = self._deadlines.cancel(_Wait.PAUSE)
            self._open(now)
        else:
            self._deadlines = self._deadlines.set(_Wait.PAUSE, self._unwelcome_until)

    def _open_anew(self, now: float) -> None:
        """Leave the transport that there is, in whatever state, for one over the network as it is now."""
        if self._phase is not Phase.UP:
            self._given_up += 1
        self._outputs.append(CloseTransport())
        self._lose(self._because, now)
        self._deadlines = self._deadlines.cancel(_Wait.PAUSE)
        self._open(now)

    def _pause(self, sentence: str, now: float, at_least: float = 0.0, *, restarting: bool = False) -> None:
        """Wait before the next attempt, by lot up to a bound that doubles: so a crowd spreads out, and ever more so.

        What the server asks for comes before that. It is full or goes down then, and others were told the same: so the
        bound is higher from the first time on.
        """
        if self._phase is Phase.UP and now - self._up_since >= self._timeouts.stable:
            self._failures = 0
        longest = min(self._timeouts.backoff_limit, self._timeouts.backoff * 2.0 ** min(self._failures, 30))
        if restarting or at_least > 0.0:
            longest = max(longest, self._timeouts.restart)
        self._failures += 1
        self._unwelcome_until = now + at_least
        self._lose(sentence, now + at_least + longest * self._draw())

    def _lose(self, sentence: str, retry_at: float) -> None:
        """Enter PAUSED: everything that was said on the transport that is gone is to be said again on the next."""
        self._phase = Phase.PAUSED
        self._hello = None
        self._mail.rewind()
        self._requests.rewind()
        fresh: Deadlines[_Wait] = Deadlines()
        self._deadlines = fresh.set(_Wait.PAUSE, retry_at)
        self._outputs.append(SessionLost(sentence, retry_at))

    def _give_up(self, code: ErrorCode | None, sentence: str) -> None:
        self._outputs += (CloseTransport(), GaveUp(code, sentence))
        self._finish(sentence)

    def _finish(self, sentence: str) -> None:
        """Enter OVER; nobody may wait for an answer that cannot come."""
        self._phase = Phase.OVER
        self._deadlines = Deadlines()
        for number in self._requests.take_expired(math.inf):
            self._outputs.append(RequestFailed(number, ErrorCode.UNAVAILABLE, sentence))
        self._mail.rewind()
        self._mail.fail_expired(math.inf, sentence)

    def _greeted(self, hello: Hello) -> None:
        objection = self._credentials.objection(hello)
        if objection is not None:
            self._give_up(None, objection)
            return
        self._phase = Phase.LOGGING_IN
        self._hello = hello
        self._say_who(hello)

    def _say_who(self, hello: Hello) -> None:
        if self._token is not None:
            self._transmit(Resume(token=self._token, last_seq=self._mail.last_seq))
        elif self._make_register is not None:
            self._transmit(self._make_register(hello))
        else:
            self._transmit(self._credentials.login(hello))

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        self._phase = Phase.UP
        self._up_since = now
        self._given_up = 0
        self._deadlines = self._deadlines.cancel(_Wait.LOGIN, _Wait.ANEW)
        self._make_register = None
        self._token = welcome.token
        self._mail.welcomed(resumed=welcome.resumed)
        self._outputs.append(SessionUp(welcome.resumed))
        self._say_all(now)

    def _refused(self, error: Error, now: float) -> None:
        """The server does not let us in, or says REPLACED before it closes."""
        if error.code is ErrorCode.SESSION_GONE and self._token is not None and self._hello is not None:
            self._token = None
            self._say_who(self._hello)
        elif is_final(error):
            self._give_up(error.code, sentence_of(error))
        else:
            self._outputs.append(CloseTransport())
            self._pause(sentence_of(error), now, self._pause_asked_for(error) or 0.0)

    def _pause_asked_for(self, error: Error) -> float | None:
        """Seconds after which the server wants to hear it again, within reason; None when it never does."""
        if error.retry_after is None:
            return None
        return self._within_reason(error.retry_after)

    def _within_reason(self, pause: float) -> float:
        return min(max(pause, 0.0), self._timeouts.retry_limit)

    # --- while the session stands ---

    def _answered(self, answer: Answer) -> bool:
        if not self._requests.settle_by(answer):
            self.dropped += 1
            return False
        self._outputs.append(RequestAnswered(answer.request, answer))
        return True

    def _told_error(self, error: Error, now: float) -> None:
        pause = self._pause_asked_for(error)
        again_at = None if pause is None else now + pause
        if error.code is ErrorCode.REPLACED:
            self._give_up(error.code, sentence_of(error))
        elif error.id is not None:
            self._mail.refused(error.id, error, again_at)
        elif error.request is not None:
            if again_at is not None and self._requests.refuse(error.request, again_at):
                return
            if self._requests.settle(error.request) is not None:
                self._outputs.append(RequestFailed(error.request, error.code, sentence_of(error), pause))
            else:
                self.dropped += 1
        elif error.code is ErrorCode.TOO_MANY:
            # The only thing without a number that we say often is Ack, and the next one says all that this one did.
            self._mail.acknowledge_again(now + (self._timeouts.retry if pause is None else pause))
        else:
            self.dropped += 1

    def _ask(self, request: Request, now: float) -> int:
        number = request.request
        if self._phase is Phase.OVER:
            self._outputs.append(RequestFailed(number, ErrorCode.UNAVAILABLE, "The session with the server is over."))
        elif not self._requests.ask(request, now):
            self._outputs.append(RequestFailed(number, ErrorCode.TOO_MANY, "Too many requests wait for the server."))
        else:
            self._say_all(now)
        return number

    def _say_all(self, now: float) -> None:
        if self._phase is Phase.UP:
            for request in self._requests.take_sayable(now):
                self._transmit(self._signed(request) if isinstance(request, Deletion) else request)
            self._mail.say(now)

    def _signed(self, deletion: Deletion) -> DeleteAccount:
        assert self._hello is not None  # a session that is up was greeted
        signature = deletion.sign(self._credentials.deletion_proof(self._hello))
        return DeleteAccount(request=deletion.request, signature=signature)

    def _transmit(self, message: FromNode) -> None:
        self._outputs.append(Transmit(message))
