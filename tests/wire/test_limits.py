"""The bounds fit each other."""

from __future__ import annotations

from entrenous_wire import limits
from entrenous_wire.codec import encode
from entrenous_wire.messages import Deliver, DeviceEntry, Devices, Kind, Letter, Live, LiveCall, Register, Send, Taken


def test_the_largest_of_every_message_fits_a_frame() -> None:
    address, token = "a" * 320, b"\xff" * 16
    body = b"\xff" * limits.BODY_SIZES[-1]
    certificate, prekey = b"\xff" * limits.MAX_CERTIFICATE_BYTES, b"\xff" * limits.MAX_PREKEY_BYTES
    entry = DeviceEntry(certificate=certificate, prekey=prekey)
    call = LiveCall(call=token, record=token, peer=address, device="f" * 16)
    for message in (
        Send(id=token, to=address, device="f" * 16, call=token, kind=Kind.SIGNAL, body=body),
        Deliver(
            seq=2**53, id=token, sender=address, device="f" * 16, call=token, kind=Kind.SIGNAL, body=body, record=token
        ),
        Letter(id=token, body=body),
        Taken(ids=[token] * limits.MAX_TAKEN),
        Devices(
            request=2**53,
            address=address,
            identity_key=bytes(32),
            devices=[entry] * limits.MAX_DEVICES,
            unreachable=[certificate] * limits.MAX_DEVICES,
        ),
        Live(calls=[call] * limits.MAX_LIVE_CALLS),
        Register(
            username="a" * 64,
            identity_key=bytes(32),
            certificate=certificate,
            prekeys=[prekey] * limits.MAX_PREKEYS,
            identity_signature=bytes(64),
            signature=bytes(64),
            invite="a" * 64,
        ),
    ):
        assert len(encode(message)) <= limits.MAX_FRAME_BYTES


def test_body_sizes_grow() -> None:
    assert sorted(set(limits.BODY_SIZES)) == list(limits.BODY_SIZES)


def test_a_silent_peer_is_found_within_thirty_seconds() -> None:
    assert limits.HEARTBEAT_SECONDS * 1.5 <= 30.0
