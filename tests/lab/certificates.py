"""Certificates for the servers of tests, all in PEM."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY: Final = timedelta(days=1)

Pem = tuple[bytes, bytes]
"""A certificate and its private key."""


class Authority:
    """Signs certificates that nobody trusts who was not given its own.

    Args:
        name: shown as the issuer.
    """

    def __init__(self, name: str = "An authority of a test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        self.pem = _sign(self._name, self._key, self._name, self._key, (), -30 * DAY, 30 * DAY, is_authority=True)
        """Its own certificate."""

    def issue(self, *hosts: str, begin: timedelta = -DAY, end: timedelta = DAY) -> Pem:
        """Make a certificate for DNS names and IP addresses, valid from and to so far from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _common_name(hosts[0])
        return _sign(subject, key, self._name, self._key, hosts, begin, end, is_authority=False), _text(key)


def self_signed(*hosts: str) -> Pem:
    """Make a certificate for DNS names and IP addresses that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(hosts[0])
    return _sign(name, key, name, key, hosts, -DAY, DAY, is_authority=True), _text(key)


def write(folder: Path, pem: Pem, stem: str = "") -> tuple[Path, Path]:
    """Write `cert.pem` and `key.pem`, or STEM.pem and STEM.key; where they are."""
    paths = (folder / f"{stem}.pem", folder / f"{stem}.key") if stem else (folder / "cert.pem", folder / "key.pem")
    for path, text in zip(paths, pem, strict=True):
        path.write_bytes(text)
    return paths


def serial_of(pem: Pem) -> int:
    """The serial number of a certificate."""
    return x509.load_pem_x509_certificate(pem[0]).serial_number


def serial_shown(wire: ssl.SSLSocket | ssl.SSLObject) -> int:
    """The serial number of the certificate that the other end of a TLS connection has shown."""
    raw = wire.getpeercert(binary_form=True)
    assert raw is not None
    return x509.load_der_x509_certificate(raw).serial_number


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
    begin: timedelta,
    end: timedelta,
    *,
    is_authority: bool,
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
