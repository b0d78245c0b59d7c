"""Certificates that change under a listener, with real handshakes in memory."""

from __future__ import annotations

import contextlib
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from entrenous_signaling.certificates import Certificate, CertificateError
from lab.certificates import Authority, self_signed, serial_of, serial_shown, write

HOST = "localhost"


def handshake(
    context: ssl.SSLContext, client: ssl.SSLContext, name: str | None = HOST, session: ssl.SSLSession | None = None
) -> ssl.SSLObject:
    """The client's end of a handshake that has reached its first data, and with that its ticket."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    far = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    far.write(b"x")
    assert near.read() == b"x"
    return near


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem.decode())


def served(certificate: Certificate, client: ssl.SSLContext, name: str | None = HOST) -> int:
    """The serial number of the certificate that a new connection gets."""
    return serial_shown(handshake(certificate.context, client, name))


def test_new_connections_get_the_certificate_that_the_files_hold(tmp_path: Path) -> None:
    authority = Authority()
    first = authority.issue(HOST)
    second = authority.issue(HOST, end=timedelta(days=20))
    certificate = Certificate(*write(tmp_path, first))
    client = trusting(authority)
    assert not certificate.has_changed
    assert served(certificate, client) == serial_of(first)
    old_end = certificate.expires
    write(tmp_path, second)
    assert certificate.has_changed
    assert served(certificate, client) == serial_of(first)
    certificate.reload()
    assert not certificate.has_changed
    assert served(certificate, client) == serial_of(second)
    assert certificate.expires == x509.load_pem_x509_certificate(second[0]).not_valid_after_utc.timestamp() > old_end
    client.check_hostname = False
    assert served(certificate, client, None) == serial_of(second), "who names no server gets the new one too"


def test_a_broken_pair_changes_nothing_and_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    authority = Authority()
    first, second = authority.issue(HOST), authority.issue(HOST)
    chain, key = write(tmp_path, first)
    certificate = Certificate(chain, key)
    for broken in (second[0], b"", b"nonsense", first[0][:200]):
        chain.write_bytes(broken)
        assert certificate.has_changed
        with pytest.raises(CertificateError, match="not a matching pair"):
            certificate.reload()
        assert not certificate.has_changed, "it is not tried again each minute"
        assert served(certificate, trusting(authority)) == serial_of(first)
    chain.unlink()
    with pytest.raises(CertificateError, match="No such file"):
        certificate.reload()
    chain.write_bytes(second[0])
    key.write_bytes(second[1])
    assert certificate.has_changed
    certificate.reload()
    assert served(certificate, trusting(authority)) == serial_of(second)


def test_a_session_is_resumed_even_under_the_next_certificate(tmp_path: Path) -> None:
    authority = Authority()
    certificate = Certificate(*write(tmp_path, authority.issue(HOST)))
    client = trusting(authority)
    first = handshake(certificate.context, client)
    assert not first.session_reused
    assert handshake(certificate.context, client, session=first.session).session_reused
    write(tmp_path, authority.issue(HOST))
    certificate.reload()
    again = handshake(certificate.context, client, session=first.session)
    assert again.session_reused
    assert handshake(certificate.context, client, session=again.session).session_reused


def tickets(context: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """How many the server hands out: each is a record of its own behind the handshake (RFC 8446 4.6.1)."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=HOST)
    far = context.wrap_bio(to_server, to_client, server_side=True)
    for end in (near, far, near, far):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    left, records = to_client.read(), 0
    while left:
        records, left = records + 1, left[5 + int.from_bytes(left[3:5], "big") :]
    return records


def test_a_handshake_gives_out_one_ticket_under_whichever_certificate(tmp_path: Path) -> None:
    authority = Authority()
    certificate = Certificate(*write(tmp_path, authority.issue(HOST)))
    client = trusting(authority)
    assert tickets(certificate.context, client) == 1
    write(tmp_path, authority.issue(HOST))
    certificate.reload()
    assert tickets(certificate.context, client) == 1


def test_what_is_older_than_tls_1_3_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    certificate = Certificate(*write(tmp_path, authority.issue(HOST)))
    client = trusting(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(certificate.context, client)


def test_files_that_cannot_be_used_are_a_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (empty, tmp_path / "none.pem"):
        with pytest.raises(CertificateError, match="cannot be used"):
            Certificate(path, path)


def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    pem = self_signed(HOST)
    locked = load_pem_private_key(pem[1], None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    with pytest.raises(CertificateError, match="not a matching pair"):
        Certificate(*write(tmp_path, (pem[0], locked)))
