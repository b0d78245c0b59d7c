"""Who this device is to its signaling server, and what it says to be let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from entrenous_wire.limits import PROTOCOL_VERSION
from entrenous_wire.login import deletion_proof, login_proof
from entrenous_wire.messages import Error, ErrorCode, Hello, Login, Register

MAX_SENTENCE: Final = 300
"""Characters of a server's sentence that are shown."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a session logs in with.

    Args:
        server: the server's name, the host of `address`.
        address: `user@host[:port]` of this account.
        device: this device's id.
        certificate: the device certificate as it travels.
        sign: signs bytes with the device key.
        make_register: builds the registration for a greeting; with it the first login registers instead.
    """

    server: str
    address: str
    device: str
    certificate: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)
    make_register: Callable[[Hello], Register] | None = field(default=None, repr=False)

    def objection(self, hello: Hello) -> str | None:
        """Why nothing is signed for this greeting, or None.

        The name in it must be the one that the user registered at: it is part of what is signed, and a server that
        passes on the greeting of another must not get a signature for it.
        """
        if hello.server != self.server:
            return f"This server calls itself another name than {self.server}: nothing was signed."
        if PROTOCOL_VERSION not in hello.versions:
            return f"{self.server} does not speak version {PROTOCOL_VERSION} of the protocol."
        return None

    def deletion_proof(self, hello: Hello) -> bytes:
        """What the identity key signs to delete the account, on the connection of a greeting without objection."""
        return deletion_proof(hello.server, hello.nonce, self.address)

    def login(self, hello: Hello) -> Login:
        """The login for a greeting without objection."""
        proof = login_proof(self.server, hello.nonce, self.address, self.device)
        return Login(address=self.address, device=self.device, certificate=self.certificate, signature=self.sign(proof))


def is_final(error: Error) -> bool:
    """Whether the next attempt to log in would be refused in the same way."""
    if error.code is ErrorCode.TOO_MANY:
        return error.retry_after is None
    return error.code in (
        ErrorCode.MALFORMED,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.TOO_LARGE,
        ErrorCode.BAD_SIGNATURE,
        ErrorCode.UNKNOWN_USER,
        ErrorCode.NAME_TAKEN,
        ErrorCode.REGISTRATION_CLOSED,
        ErrorCode.BAD_INVITE,
        ErrorCode.REPLACED,
    )


def sentence_of(error: Error) -> str:
    """What the server says to people: one line of bounded length, with nothing in it that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in error.message[:MAX_SENTENCE])
