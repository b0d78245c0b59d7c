"""Legs over aioice and aiortc: the only package that imports their transports, and where every private name stands.

`checks` runs when this package is imported and fails with a clear message when the installed libraries do not
have what is used; `ice` finds a path, `secure` runs DTLS, SRTP and the data channel, `leg` puts them together.
"""

from __future__ import annotations

from .checks import check_libraries
from .leg import TransportLeg

__all__ = ["TransportLeg"]

check_libraries()
