"""What node and server say to each other: one JSON object a text frame, told apart by `type`.

Login, registration and taking a session up again::

    server → node   hello {server, nonce, versions, registration}
    node → server   login {address, device, certificate, signature}
                  | register {username, identity_key, certificate, prekeys, identity_signature, signature, invite?}
                  | resume {token, last_seq}
    server → node   welcome {token, address, resumed} | error {code, message, …}

Routing, in order and at least once per (sender device, receiver device)::

    sender → server    send {id, to, device, call, kind, body}
    server → sender    [accepted {id, record?}]         it is queued (and its call record, if any, is on disk)
    server → receiver  deliver {seq, id, sender, device, call, kind, body, record?}
    receiver → server  ack {seq}                        everything up to and including seq is in hand
    server → sender    delivered {ids}                  the sender may forget them
                     | error {code, id}                 it will not arrive (offline, expired, refused …)

An `ack` settles all that came before it, and each sender of that is told once, in one `delivered` for up to 64 of its
messages. So nodes gather acknowledgements of signals, for 20 ms, 8 messages or 32 KiB (`limits.ACK_SECONDS` and the
next ones); rings, accepts and ends they acknowledge at once, and before they leave, whatever they owe. A sender keeps
a message until `delivered` or an error names its id, and says it again, in order, after every new login or resume; the
receiver drops repeats by id. So nothing that was accepted is lost when the server is killed, as long as the two nodes
live. `accepted` is left out where there is no record to tell of, and `delivered` or an error follows within a moment.
An error with `retry_after` is no end either: the sender says the message again after that many seconds. Until then the
server refuses, with the same code, whatever else that device sends to the same receiver, so that nothing overtakes the
message. Other refusals of a message are final.

A device whose connection drops is waited for; one that goes offline on purpose says `leave`, and is not.

Storing, for a device that may be offline for long; the server says nobody who sent it, the sealed body does::

    sender → server    send {id, to, device, call, kind: message, body}     its call is its id: it belongs to no call
    server → sender    accepted {id}                   it is on disk: the sender may forget it
                     | error {code, id}                mailbox-full, unknown-user: final; too-many, unavailable: again
    server → receiver  letter {id, body}               after each login and resume, and when it comes; 16 at a time
    receiver → server  taken {ids}                     in hand: the server deletes them
    server → receiver  no-letters                      nothing is left, the first time after a login or resume

A stored message is delivered until it is taken or has expired; the receiver drops repeats by id. It is in no order
with the messages of calls.

Logging in, seen by the other devices of the account that have a session; one that was not connected compares what
`devices` says of its own account with what it has seen before, whenever it comes back::

    server → node      logged-in {device, at, new}     a device has logged in afresh, which resuming is not

Deleting the account, its devices, prekeys and stored messages, signed by the identity key (see
`login.deletion_proof`)::

    node → server      delete-account {request, signature}
    server → node      deleted {request}, and every session of the account is closed | error {code, request}

A call record's `record` token stands for the open record in the server's database. The server makes it from the call
id and a secret of its own, so that an accept which is said again to a server that was killed, or another device's
accept, opens no second record. The accepting device is told it; the device that called gets another one with the
accept, which stands for the same record, and for who called. Each claims the call with its own (`live`) after each
login and resume, before it says anything again: the server may have forgotten everything else. When a repeated
`deliver` carries another token than the first, the newer one counts. Bytes are base64 in JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from . import limits

Nonce = Annotated[bytes, msgspec.Meta(min_length=limits.NONCE_BYTES, max_length=limits.NONCE_BYTES)]
MessageId = Annotated[bytes, msgspec.Meta(min_length=limits.MESSAGE_ID_BYTES, max_length=limits.MESSAGE_ID_BYTES)]
CallId = Annotated[bytes, msgspec.Meta(min_length=limits.CALL_ID_BYTES, max_length=limits.CALL_ID_BYTES)]
RecordToken = Annotated[bytes, msgspec.Meta(min_length=limits.RECORD_TOKEN_BYTES, max_length=limits.RECORD_TOKEN_BYTES)]
SessionToken = Annotated[
    bytes, msgspec.Meta(min_length=limits.SESSION_TOKEN_BYTES, max_length=limits.SESSION_TOKEN_BYTES)
]
Ed25519Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Certificate = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_CERTIFICATE_BYTES)]
Prekey = Annotated[bytes, msgspec.Meta(min_length=1, max_length=limits.MAX_PREKEY_BYTES)]
Body = Annotated[bytes, msgspec.Meta(min_length=limits.BODY_SIZES[0], max_length=limits.BODY_SIZES[-1])]
AddressText = Annotated[str, msgspec.Meta(min_length=3, max_length=320)]
Username = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9._-]{1,64}\Z")]
DeviceId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
LikeDeviceId = Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
"""A DeviceId of which the codec checks the digits: a pattern is matched in Python, for a fourth of a `Send`'s time."""
InviteCode = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
UnixMinute = Annotated[int, msgspec.Meta(ge=0, le=2**53, multiple_of=60)]
RequestId = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
DeliveredIds = Annotated[list[MessageId], msgspec.Meta(min_length=1, max_length=limits.MAX_DELIVERED)]
TakenIds = Annotated[list[MessageId], msgspec.Meta(min_length=1, max_length=limits.MAX_TAKEN)]


class Kind(StrEnum):
    """All that the server may know of a routed message."""

    RING = "ring"
    """Wake the device, or report that it is offline."""
    SIGNAL = "signal"
    """Anything."""
    ACCEPT = "accept"
    """A call begins: the server opens its record."""
    END = "end"
    """Declined, busy, cancelled or hung up: to the server they look alike."""
    MESSAGE = "message"
    """Anything that is stored for the device until it takes it; belongs to no call."""


class ErrorCode(StrEnum):
    """Why the server refused; each says what a node can do about it."""

    MALFORMED = "malformed"
    """Not JSON, not an object, or a field of the wrong shape."""
    UNKNOWN_TYPE = "unknown-type"
    """A message type this version does not know."""
    TOO_LARGE = "too-large"
    """A frame above MAX_FRAME_BYTES."""
    OUT_OF_ORDER = "out-of-order"
    """A message that this stage of the connection does not allow (before login, or login twice)."""
    BAD_SIGNATURE = "bad-signature"
    """A signature or certificate did not verify."""
    NONCE_USED = "nonce-used"
    """The login nonce was used already or is older than LOGIN_SECONDS."""
    UNKNOWN_USER = "unknown-user"
    """No such account on this server."""
    NAME_TAKEN = "name-taken"
    """The username is registered under another identity key."""
    REGISTRATION_CLOSED = "registration-closed"
    """The operator takes no registrations."""
    BAD_INVITE = "bad-invite"
    """The invite code is missing, unknown or used."""
    SESSION_GONE = "session-gone"
    """The session cannot be resumed: log in anew."""
    REPLACED = "replaced"
    """The device logged in elsewhere; this connection ends."""
    OFFLINE = "offline"
    """The receiving device is not connected, or was not back in time."""
    TOO_MANY = "too-many"
    """Over a rate, queue or device limit; see retry_after."""
    UNAVAILABLE = "unavailable"
    """The server cannot store what it must (disk full, database locked); see retry_after."""
    MAILBOX_FULL = "mailbox-full"
    """As much is stored for that device, or from this account for it, as may be."""
    NO_RELAY = "no-relay"
    """The operator runs no TURN relay."""


class RegistrationPolicy(StrEnum):
    """Who may register."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all wire messages; unknown fields are ignored, so that newer peers may say more."""


# --- node → server ---


class Login(Message, frozen=True, kw_only=True, tag="login"):
    """Prove possession of a device key; see `login.login_proof` for the signed bytes."""

    address: AddressText
    device: DeviceId
    certificate: Certificate
    signature: Signature


class Register(Message, frozen=True, kw_only=True, tag="register"):
    """Claim a username; signed by the identity key and by the device key, see `login.registration_proof`."""

    username: Username
    identity_key: Ed25519Key
    certificate: Certificate
    prekeys: Annotated[list[Prekey], msgspec.Meta(min_length=1, max_length=limits.MAX_PREKEYS)]
    identity_signature: Signature
    signature: Signature
    invite: InviteCode | None = None

    def __repr__(self) -> str:
        """Without the invite code."""
        return f"Register(username={self.username!r})"


class Resume(Message, frozen=True, kw_only=True, tag="resume"):
    """Take a dropped session up again; `last_seq` acknowledges like `Ack`."""

    token: SessionToken
    last_seq: Sequence

    def __repr__(self) -> str:
        """Without the token."""
        return f"Resume(last_seq={self.last_seq})"


class Publish(Message, frozen=True, kw_only=True, tag="publish"):
    """Replace this device's prekeys."""

    request: RequestId
    prekeys: Annotated[list[Prekey], msgspec.Meta(min_length=1, max_length=limits.MAX_PREKEYS)]


class FetchDevices(Message, frozen=True, kw_only=True, tag="fetch-devices"):
    """Ask for the identity key, certificates and prekeys of an account."""

    request: RequestId
    address: AddressText


class Send(Message, frozen=True, kw_only=True, tag="send"):
    """Route a sealed body to one device of an account."""

    id: MessageId
    to: AddressText
    device: LikeDeviceId
    call: CallId
    kind: Kind
    body: Body

    def __repr__(self) -> str:
        """Of the body only its size."""
        named = f"id={self.id.hex()}, to={self.to!r}, device={self.device!r}, call={self.call.hex()}"
        return f"Send({named}, kind={self.kind.value}, {len(self.body)} bytes)"


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Everything up to and including `seq` is in hand."""

    seq: Sequence


class Leave(Message, frozen=True, kw_only=True, tag="leave"):
    """This device goes offline: its session ends, and what waits for it is answered with `offline` at once."""


class LiveCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A call that goes on: its id, the token of its open record, and the device at the other end of it.

    One that is over is told of as well until its `end` is out, which may follow only on a later connection.
    """

    call: CallId
    record: RecordToken
    peer: AddressText
    device: DeviceId
    over: bool = False

    def __repr__(self) -> str:
        """Without the token of the record."""
        return f"LiveCall(peer={self.peer!r}, device={self.device!r})"


class Live(Message, frozen=True, kw_only=True, tag="live"):
    """Claim the open records of calls that go on, after a login that did not resume."""

    calls: Annotated[list[LiveCall], msgspec.Meta(max_length=limits.MAX_LIVE_CALLS)]


class TurnRequest(Message, frozen=True, kw_only=True, tag="turn"):
    """Ask for relay credentials."""

    request: RequestId


class Taken(Message, frozen=True, kw_only=True, tag="taken"):
    """These stored messages are in hand: the server deletes them."""

    ids: TakenIds


class DeleteAccount(Message, frozen=True, kw_only=True, tag="delete-account"):
    """Delete this account; signed by the identity key, see `login.deletion_proof`."""

    request: RequestId
    signature: Signature


# --- server → node ---


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The first word of a connection."""

    server: str
    nonce: Nonce
    versions: list[int]
    registration: RegistrationPolicy


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The session stands; `resumed` is True only in the answer to a `Resume`.

    A login that is not a resume starts afresh: what waits in the device's queue still comes, but calls have to be
    claimed (`Live`), and the token is a new one. A resumed session keeps its token.
    """

    token: SessionToken
    address: AddressText
    resumed: bool = False

    def __repr__(self) -> str:
        """Without the token."""
        return f"Welcome(address={self.address!r}, resumed={self.resumed})"


class Published(Message, frozen=True, kw_only=True, tag="published"):
    """The prekeys are stored."""

    request: RequestId


class DeviceEntry(msgspec.Struct, frozen=True):
    """One device of an account: its certificate, and its newest prekey."""

    certificate: Certificate
    prekey: Prekey


class Devices(Message, frozen=True, kw_only=True, tag="devices"):
    """Answer to FetchDevices; the caller verifies every byte of it against what it pinned.

    Whoever asks for their own account is told of its `unreachable` devices too: certificates that hold, of devices
    that have published no prekey, or none for long. Nobody can ring them, but they can log in, and ring others.
    """

    request: RequestId
    address: AddressText
    identity_key: Ed25519Key
    devices: Annotated[list[DeviceEntry], msgspec.Meta(max_length=limits.MAX_DEVICES)]
    unreachable: Annotated[list[Certificate], msgspec.Meta(max_length=limits.MAX_DEVICES)] = []


class Accepted(Message, frozen=True, kw_only=True, tag="accepted"):
    """The message is queued for its receiver; `record` comes with the accept that opened a call record.

    Without a record it is only said of what is not delivered within a moment.
    """

    id: MessageId
    record: RecordToken | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Accepted(id={self.id.hex()})"


class Delivered(Message, frozen=True, kw_only=True, tag="delivered"):
    """The receiver has these messages; the sender may forget them."""

    ids: DeliveredIds


class Deliver(Message, frozen=True, kw_only=True, tag="deliver"):
    """A sealed body from another device. `seq` grows within the receiving device's queue, not always by one."""

    seq: Sequence
    id: MessageId
    sender: AddressText
    device: DeviceId
    call: CallId
    kind: Kind
    body: Body
    record: RecordToken | None = None

    def __repr__(self) -> str:
        """Without the token, and of the body only its size."""
        named = f"seq={self.seq}, id={self.id.hex()}, sender={self.sender!r}, device={self.device!r}"
        return f"Deliver({named}, call={self.call.hex()}, kind={self.kind.value}, {len(self.body)} bytes)"


class Letter(Message, frozen=True, kw_only=True, tag="letter"):
    """A message that was stored for this device; the sealed body says who sent it."""

    id: MessageId
    body: Body


class NoLetters(Message, frozen=True, kw_only=True, tag="no-letters"):
    """Nothing more is stored for this device, and all that was is taken; said once after each login and resume."""


class LoggedIn(Message, frozen=True, kw_only=True, tag="logged-in"):
    """Another device of the account has logged in afresh.

    `at` are Unix seconds, of a whole minute; `new` says that the server had not stored this device, or not with this
    key. It is the word of the server alone: the certificates are in `Devices`.
    """

    device: DeviceId
    at: UnixMinute
    new: bool


class Deleted(Message, frozen=True, kw_only=True, tag="deleted"):
    """Nothing of the account is left; the connection is closed after this."""

    request: RequestId


class Turn(Message, frozen=True, kw_only=True, tag="turn-credentials"):
    """Relay URLs and credentials that are good for `ttl` seconds and name nobody."""

    request: RequestId
    urls: list[str]
    username: str
    password: str
    ttl: int

    def __repr__(self) -> str:
        """Without the credentials."""
        return f"Turn(request={self.request}, urls={self.urls}, ttl={self.ttl})"


class Error(Message, frozen=True, kw_only=True, tag="error"):
    """A refusal: of the message `id`, of the request `request`, or of what was last said."""

    code: ErrorCode
    message: str
    id: MessageId | None = None
    request: RequestId | None = None
    retry_after: float | None = None


FromNode = (
    Login | Register | Resume | Leave | Publish | FetchDevices | Send | Ack | Live | Taken | DeleteAccount | TurnRequest
)
FromServer = (
    Hello
    | Welcome
    | Published
    | Devices
    | Accepted
    | Delivered
    | Deliver
    | Letter
    | NoLetters
    | LoggedIn
    | Deleted
    | Turn
    | Error
)
