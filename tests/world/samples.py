"""One of each message that node and server say, with every field that it may have."""

from __future__ import annotations

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
    LoggedIn,
    Login,
    Message,
    NoLetters,
    Publish,
    Published,
    Register,
    RegistrationPolicy,
    Resume,
    Send,
    Taken,
    Turn,
    TurnRequest,
    Welcome,
)

ID, CALL, TOKEN, DEVICE, ADDRESS = b"i" * 16, b"c" * 16, b"t" * 16, "00112233445566ff", "bob@calls.example.org"
FROM_NODE: list[Message] = [
    Login(address=ADDRESS, device=DEVICE, certificate=b"c", signature=bytes(64)),
    Register(
        username="bob",
        identity_key=bytes(32),
        certificate=b"c",
        prekeys=[b"p"],
        identity_signature=bytes(64),
        signature=bytes(64),
        invite="code",
    ),
    Resume(token=bytes(32), last_seq=7),
    Leave(),
    Publish(request=1, prekeys=[b"p", b"q"]),
    FetchDevices(request=2, address=ADDRESS),
    Send(id=ID, to=ADDRESS, device=DEVICE, call=CALL, kind=Kind.ACCEPT, body=bytes(1024)),
    Ack(seq=3),
    Live(
        calls=[
            LiveCall(call=CALL, record=TOKEN, peer=ADDRESS, device=DEVICE),
            LiveCall(call=ID, record=TOKEN, peer=ADDRESS, device=DEVICE, over=True),
        ]
    ),
    Taken(ids=[ID, CALL]),
    DeleteAccount(request=5, signature=bytes(64)),
    TurnRequest(request=4),
]
FROM_SERVER: list[Message] = [
    Hello(server="calls.example.org", nonce=bytes(32), versions=[1], registration=RegistrationPolicy.INVITE),
    Welcome(token=bytes(32), address=ADDRESS, resumed=True),
    Published(request=1),
    Devices(
        request=2,
        address=ADDRESS,
        identity_key=bytes(32),
        devices=[DeviceEntry(certificate=b"c", prekey=b"p")],
        unreachable=[b"d"],
    ),
    Accepted(id=ID, record=TOKEN),
    Delivered(ids=[ID, CALL]),
    Deliver(seq=1, id=ID, sender=ADDRESS, device=DEVICE, call=CALL, kind=Kind.END, body=bytes(2048), record=TOKEN),
    Letter(id=ID, body=bytes(1024)),
    NoLetters(),
    LoggedIn(device=DEVICE, at=1_700_000_040, new=True),
    Deleted(request=5),
    Turn(request=4, urls=["turn:192.0.2.1:3478"], username="u", password="hush", ttl=600),
    Error(code=ErrorCode.OFFLINE, message="The device is not connected.", id=ID, retry_after=1.5),
]
