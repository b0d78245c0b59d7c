"""One connection: how far it has come, and what it may still do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from entrenous_wire.messages import ErrorCode

from .accounts import AccountLimits
from .addresses import Origin
from .auth import Refused
from .limits import TokenBucket
from .mailbox import Mailbox


class Stage(Enum):
    """How far a connection has come."""

    GREETED = "greeted"
    CHECKING = "checking"
    READY = "ready"


@dataclass(slots=True, eq=False)
class Connection:
    """One connection.

    Args:
        number: what the shell calls it.
        greeting: the nonce of its `Hello`.
        nonce: the same, until a login or registration has used it.
        bucket: what it may still say.
        stage: how far it has come.
        claims: the username as which it is being checked, or was checked last.
        mailbox: of its device, once it is ready.
        account: what its account may still do, once it is ready.
        refusals: messages over the limits, one after the other.
        origin: what may still come from its network address, where that is limited.
        strange: what was refused before it was ready.
    """

    number: int
    greeting: bytes
    nonce: bytes | None
    bucket: TokenBucket
    stage: Stage = Stage.GREETED
    claims: str | None = None
    mailbox: Mailbox | None = None
    account: AccountLimits | None = None
    refusals: int = 0
    origin: Origin | None = None
    strange: int = 0

    def owner(self) -> Mailbox:
        """The mailbox of the device that is logged in here.

        Raises:
            RuntimeError: the connection is not ready.
        """
        if self.mailbox is None:
            raise RuntimeError("nobody is logged in on this connection")
        return self.mailbox

    def take_nonce(self) -> bytes:
        """The nonce for one login or registration.

        Raises:
            Refused: `nonce-used`.
        """
        nonce, self.nonce = self.nonce, None
        if nonce is None:
            raise Refused(ErrorCode.NONCE_USED, "The nonce of this connection was used: connect again for another.")
        return nonce

    def check_failures(self, now: float) -> None:
        """Look at no login of an address that has been wrong too often: a name or a key would be found by trying.

        Raises:
            Refused: `too-many`.
        """
        wait = 0.0 if self.origin is None else self.origin.may_log_in(now)
        if wait > 0.0:
            raise Refused(ErrorCode.TOO_MANY, "Too many logins that failed come from this network.", wait)
