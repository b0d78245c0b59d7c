"""Real messages for a fuzzer to begin with: one of each that node and server say."""

from __future__ import annotations

from entrenous_wire.codec import encode
from entrenous_wire.messages import (
    Accepted,
    Ack,
    DeleteAccount,
    Deleted,
    Deliver,
    Delivered,
    DeviceEntry,
    Devices,
    Error,
    ErrorCode,
    FetchDevices,
    Hello,
    Kind,
    Leave,
    Letter,
    Live,
    LiveCall,
    Message,
    NoLetters,
    Publish,
    Published,
    RegistrationPolicy,
    Resume,
    Taken,
    Turn,
    TurnRequest,
    Welcome,
)
from world.wirenode import Account

SERVER = "calls.example.org"


def messages() -> list[Message]:
    """One of each type, and of `send` one of each kind."""
    alice, bob = Account("alice", SERVER), Account("bob", SERVER)
    hello = Hello(server=SERVER, nonce=bytes(32), versions=[1], registration=RegistrationPolicy.OPEN)
    sends = [
        alice.send(number, bob, kind, number.to_bytes(16, "big") if kind is Kind.MESSAGE else b"c" * 16)
        for number, kind in enumerate(Kind)
    ]
    call = LiveCall(call=b"c" * 16, record=b"r" * 16, peer=bob.address, device=bob.device)
    return [
        alice.login(hello),
        alice.register(hello, "abcdefghjkmnpqrstuvw"),
        Resume(token=bytes(32), last_seq=3),
        Leave(),
        Publish(request=1, prekeys=[alice.prekey]),
        FetchDevices(request=2, address=bob.address),
        *sends,
        Ack(seq=4),
        Live(calls=[call]),
        Taken(ids=[bytes(16)]),
        DeleteAccount(request=5, signature=bytes(64)),
        TurnRequest(request=6),
        hello,
        Welcome(token=bytes(32), address=alice.address, resumed=True),
        Published(request=1),
        Devices(
            request=2,
            address=bob.address,
            identity_key=bytes(bob.identity_key.verify_key),
            devices=[DeviceEntry(certificate=bob.certificate, prekey=bob.prekey)],
        ),
        Accepted(id=bytes(16), record=b"r" * 16),
        Delivered(id=bytes(16)),
        Deliver(
            seq=1,
            id=bytes(16),
            sender=alice.address,
            device=alice.device,
            call=b"c" * 16,
            kind=Kind.RING,
            body=bytes(1024),
        ),
        Letter(id=bytes(16), body=bytes(2048)),
        NoLetters(),
        Deleted(request=5),
        Turn(request=6, urls=["turn:192.0.2.1:3478"], username="1:x", password="y", ttl=600),
        Error(code=ErrorCode.TOO_MANY, message="Later.", request=6, retry_after=1.5),
    ]


def frames() -> list[bytes]:
    """Their frames."""
    return [encode(message).encode() for message in messages()]
