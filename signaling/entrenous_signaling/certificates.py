"""The server's certificate: read at the start, and again when its files have changed, without a connection noticing.

New files are read into a context of their own. Only when they are a matching pair does it take the place of the one
that new handshakes use; so a pair that is broken, or half written, changes nothing. Session tickets are given out, so
that a node that comes back within two hours is spared the signatures, with whichever certificate its session began.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from .listeners import ServeError

CHECK_SECONDS: Final = 60.0
"""How often it is looked whether the files have changed."""

_TICKETS: Final = 1
"""Session tickets a handshake: a node has one connection."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateError(ServeError):
    """The certificate cannot be used; `str()` is a sentence for the operator."""


class Certificate:
    """A certificate chain and its key.

    Args:
        chain: PEM file of the certificate, and of those between it and its authority.
        key: PEM file of its private key, without a password.

    Raises:
        CertificateError: they cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._stamp = self._look()
        self.context, self._leaf = self._read()
        """What the listener uses; it hands each handshake over to the newest certificate."""
        self._current = self.context
        self.context.num_tickets = _TICKETS
        self.context.sni_callback = self._choose

    @property
    def expires(self) -> int:
        """Unix seconds at which the certificate in use ends."""
        return int(self._leaf.not_valid_after_utc.timestamp())

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate in use, without those behind it."""
        return self._leaf

    @property
    def has_changed(self) -> bool:
        """Whether the files are others than at the last attempt to read them."""
        return self._look() != self._stamp

    def reload(self) -> None:
        """Read the files again; handshakes that begin from now on use them.

        Raises:
            CertificateError: as at the start; the old certificate stays in use.
        """
        self._stamp = self._look()
        self._current, self._leaf = self._read()

    def _read(self) -> tuple[ssl.SSLContext, x509.Certificate]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_cert_chain(self._chain, self._key, password="")  # without one, OpenSSL asks at the terminal
            leaf = x509.load_pem_x509_certificates(self._chain.read_bytes())[0]
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            said = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
            raise CertificateError(
                f"The certificate {self._chain} with the key {self._key} cannot be used: "
                f"{said or 'not a matching pair of PEM files'}."
            ) from None
        return context, leaf

    def _choose(self, handshake: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in each handshake before the certificate is needed, whether the client named a server or not."""
        if self._current is not context:
            handshake.context = self._current

    def _look(self) -> _Stamp:
        stamps: list[tuple[int, int, int] | None] = []
        for path in (self._chain, self._key):
            stamp = None
            with contextlib.suppress(OSError):
                found = path.stat()
                stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            stamps.append(stamp)
        return tuple(stamps)
