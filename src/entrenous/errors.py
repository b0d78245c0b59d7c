"""Every exception that entrenous raises on purpose.

::

    EntrenousError
    ├── LocalProtocolError        our own caller did something the protocol does not allow now
    ├── RemoteProtocolError       a remote said something wrong: it is counted and dropped, never obeyed
    │   └── VerificationError     a signature, seal, certificate or commitment did not hold
    │       └── Replayed          it is authentic and was taken before: drop it, nobody did anything wrong
    ├── ConfigError               a configuration file or option that cannot be used as it stands
    ├── KeystoreError             secrets at rest cannot be read or written
    │   └── WrongPassphrase       the passphrase does not open the keystore
    ├── ContactError              an address or card that names nobody we may call
    │   └── IdentityChanged       a contact's identity key is not the pinned one
    ├── ServerError               the signaling server cannot be reached or refused a request
    │   ├── ServerUnreachable     no connection, no TLS, or no answer in time
    │   └── RequestRefused        the server answered with a typed error (`code`, `retry_after`)
    ├── MediaError                sound or picture cannot be captured, coded, read or written
    │   ├── CodecError            a packet that does not decode, or a codec that cannot be opened
    │   ├── DeviceError           no such sound card or camera, or it does not open
    │   └── MediaFileError        a file that cannot be read as sound or picture, or not be written
    ├── TransportError            no path, or the DTLS handshake failed (`stage`)
    └── CallEnded                 a call ended before what was asked of it could happen (`reason`)

What a remote says wrongly never escapes as an exception from the public API: it is raised inside, counted
at the boundary, and dropped there. Messages name what to do next and never contain a secret.
"""

from __future__ import annotations


class EntrenousError(Exception):
    """Base of all errors; `str()` is one sentence fit for a person."""


class LocalProtocolError(EntrenousError):
    """Our own caller did something that the protocol does not allow in this state."""


class RemoteProtocolError(EntrenousError):
    """A remote said something that the protocol does not allow."""


class VerificationError(RemoteProtocolError):
    """A signature, seal, certificate, commitment or frame tag did not verify."""


class Replayed(VerificationError):  # noqa: N818 - names the event
    """An authentic ring or sealed message that was taken before, over another path perhaps."""


class ConfigError(EntrenousError):
    """A configuration file or option cannot be used as it stands."""


class KeystoreError(EntrenousError):
    """The secrets at rest cannot be read or written."""


class WrongPassphrase(KeystoreError):  # noqa: N818 - a sentence reads better than "WrongPassphraseError"
    """The passphrase does not open the keystore."""


class ContactError(EntrenousError):
    """An address or contact card names nobody who can be called."""


class IdentityChanged(ContactError):  # noqa: N818 - names the event that a caller handles
    """The identity key of a contact is not the pinned one; the user must accept the new one in words."""


class ServerError(EntrenousError):
    """The signaling server cannot be reached, or refused a request."""


class ServerUnreachable(ServerError):  # noqa: N818 - names the condition
    """No connection to the signaling server, no TLS, or no answer in time."""


class RequestRefused(ServerError):  # noqa: N818 - names the event
    """The server answered a request with a typed error.

    Args:
        code: the wire error code, one of `entrenous_wire.messages.ErrorCode`.
        message: the sentence to show.
        retry_after: seconds after which a repetition may succeed, or None.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class MediaError(EntrenousError):
    """Sound or picture cannot be captured, coded, read or written."""


class CodecError(MediaError):
    """A packet does not decode, or a codec cannot be opened."""


class DeviceError(MediaError):
    """A sound card, camera or screen does not exist or does not open."""


class MediaFileError(MediaError):
    """A file cannot be read as sound or picture, or cannot be written."""


class TransportError(EntrenousError):
    """A leg of a call could not be set up.

    Args:
        stage: `path` (no ICE pair works) or `handshake` (DTLS failed or the fingerprint is wrong).
        message: the sentence to show.
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class CallEnded(EntrenousError):  # noqa: N818 - names the event that a caller handles
    """A call ended before what was asked of it could happen.

    Args:
        reason: the value of `entrenous.protocol.states.EndReason`.
        message: the sentence to show.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
