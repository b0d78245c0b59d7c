"""The certificate: that it fits its key and the server's name, how long it is good for, and who believes it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509

from entrenous_signaling.certificates import Certificate, CertificateError
from entrenous_signaling.config import Listen, ServerConfig

from .findings import Finding, Level, error, ok, warning

_SUBJECT: Final = "certificate"
SOON: Final = timedelta(days=14)
"""A renewal that works has come by then: authorities renew a month before the end."""


def check_certificate(config: ServerConfig, now: datetime) -> Iterator[Finding]:
    """Look at the certificate of the nodes' listener; nothing is said of a server without TLS.

    Args:
        config: a checked configuration.
        now: the time of day.
    """
    if not config.tls_cert:
        return
    try:
        certificate = Certificate(Path(config.tls_cert), Path(config.tls_key))
    except CertificateError as problem:
        yield error(_SUBJECT, str(problem), "Name the chain as tls_cert and its own key as tls_key, both as PEM.")
        return
    host = host_of(config.public_name(Listen.parse(config.listen)))
    lifetime = _lifetime(certificate.leaf, now)
    yield lifetime
    if lifetime.level is Level.ERROR:
        return
    if not _names(certificate.leaf, host):
        yield error(
            _SUBJECT,
            f"It is not for {host}: nodes will refuse to connect.",
            f"Ask for a certificate that names {host}, or correct `name`.",
        )
        return
    yield _trust(certificate, host)


def host_of(name: str) -> str:
    """The host in a server's name, without port and brackets."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _lifetime(leaf: x509.Certificate, now: datetime) -> Finding:
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > end:
        return error(
            _SUBJECT,
            f"It has expired on {end:%Y-%m-%d}.",
            "Renew it, and find out why the renewal did not come by itself.",
        )
    if now < begin:
        return error(
            _SUBJECT, f"It is good from {begin:%Y-%m-%d %H:%M} UTC only.", "Look at the clock of this machine."
        )
    days = (end - now).days
    if end - now < SOON:
        return warning(
            _SUBJECT,
            f"It expires in {days} days, on {end:%Y-%m-%d}.",
            "Renew it now; after that `systemctl reload entrenous-signaling`.",
        )
    return ok(_SUBJECT, f"It is good until {end:%Y-%m-%d}, {days} days from now, and fits its key.")


def _names(leaf: x509.Certificate, host: str) -> bool:
    """Whether the certificate is for the host (RFC 9525: a star stands for one whole leftmost label)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    parent = host.partition(".")[2]
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return host in known or (bool(parent) and f"*.{parent}" in known)


def _trust(certificate: Certificate, host: str) -> Finding:
    """Whether a node believes the certificate that has this machine's authorities; it may be told to believe others."""
    refusal = _refusal(certificate, host)
    if refusal:
        return warning(
            _SUBJECT,
            f"A node with the authorities that this machine knows refuses it: {refusal}.",
            "Have it from an authority that nodes know, and name the whole chain (fullchain.pem) as tls_cert.",
        )
    return ok(_SUBJECT, f"It is for {host}, and an authority that this machine knows stands behind it.")


def _refusal(certificate: Certificate, host: str) -> str:
    """Shake hands with ourselves as a node would; why it refuses, empty when it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    client = ssl.create_default_context().wrap_bio(to_client, to_server, server_hostname=host)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as problem:
            return problem.verify_message
    return ""
