"""A session with its script, and what scripts of sessions say."""

from __future__ import annotations

from msgspec import structs

from entrenous.protocol.credentials import Credentials
from entrenous.protocol.deadlines import Timeouts
from entrenous.protocol.session import Session
from entrenous.protocol.session_outputs import (
    OpenTransport,
    SessionLost,
    SessionOutput,
    Transmit,
)
from entrenous_wire.messages import (
    Deliver,
    Error,
    ErrorCode,
    FromNode,
    FromServer,
    Hello,
    Kind,
    LiveCall,
    Login,
    Register,
    RegistrationPolicy,
    Resume,
    Send,
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
OVER = structs.replace(LIVE, over=True)
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
