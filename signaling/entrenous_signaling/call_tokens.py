"""What devices are told of call records, so that they can claim them at a node that knows nothing of their calls.

All of it follows from the call id by the server's own secret. So all nodes mean the same record without having to
agree; what goes to disk says nothing about the call to anybody else; and whoever knows a token has been told it.
"""

from __future__ import annotations

import hmac
from typing import Final

from entrenous_wire.limits import RECORD_TOKEN_BYTES

_OF_ROW: Final = b"call record"
_OF_CALLER: Final = b"call record of its caller"


class CallTokens:
    """Derives and recognises tokens.

    Args:
        key: the secret of the server, the same on all its nodes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_row(self, call: bytes) -> bytes:
        """Stands for the record on disk, and is told to devices that accept the call."""
        return self._derive(_OF_ROW, call)

    def of_caller(self, call: bytes) -> bytes:
        """Is told to the device that called: whoever claims a call with it says by that who called."""
        return self._derive(_OF_CALLER, call)

    def tell_who_called(self, token: bytes, call: bytes) -> bool | None:
        """Whether it is the caller that shows a token; None when it is no token of the call."""
        if hmac.compare_digest(token, self.of_caller(call)):
            return True
        return False if hmac.compare_digest(token, self.of_row(call)) else None

    def _derive(self, purpose: bytes, call: bytes) -> bytes:
        return hmac.digest(self._key, purpose + call, "sha256")[:RECORD_TOKEN_BYTES]
