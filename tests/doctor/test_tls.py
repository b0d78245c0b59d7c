"""What is wrong with a certificate."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous import ConfigError
from entrenous.doctor import tls
from entrenous.doctor.facts import TlsProblem
from lab.certificates import DAY, Authority, write


@asynccontextmanager
async def listening(folder: Path, issuer: Authority, name: str, begin: timedelta, end: timedelta) -> AsyncIterator[int]:
    """A TLS server on loopback; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*write(folder, issuer.issue(name, begin=begin, end=end)))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("name", "begin", "end", "problem"),
    [
        ("calls.lab", -DAY, DAY, None),
        ("calls.lab", -2 * DAY, -DAY, TlsProblem.EXPIRED),
        ("calls.lab", DAY, 2 * DAY, TlsProblem.NOT_YET_VALID),
        ("other.lab", -DAY, DAY, TlsProblem.WRONG_NAME),
    ],
)
async def test_refused_certificates(
    tmp_path: Path, name: str, begin: timedelta, end: timedelta, problem: TlsProblem | None
) -> None:
    authority = Authority("An authority")
    (tmp_path / "authority.pem").write_bytes(authority.pem)
    context = tls.trusting(tmp_path / "authority.pem")
    async with listening(tmp_path, authority, name, begin, end) as port:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="calls.lab")
            writer.close()
            found = None
        except ssl.SSLError as error:
            found = tls.problem_of(error)
    assert found is problem


async def test_an_authority_that_nobody_trusts(tmp_path: Path) -> None:
    async with listening(tmp_path, Authority("A stranger"), "calls.lab", -DAY, DAY) as port:
        with pytest.raises(ssl.SSLError) as failed:
            await asyncio.open_connection("127.0.0.1", port, ssl=tls.trusting(None), server_hostname="calls.lab")
        assert tls.problem_of(failed.value) is TlsProblem.UNTRUSTED
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls.unverified(), server_hostname="x")
        writer.close()


def test_what_is_no_certificate_trouble_is_a_failure() -> None:
    assert tls.problem_of(ssl.SSLError(1, "wrong version number")) is TlsProblem.FAILED


def test_a_file_without_authorities_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        (tmp_path / "empty.pem").touch()
        with pytest.raises(ConfigError):
            tls.trusting(file)


def test_a_certificate_holds_within_its_time() -> None:
    pem, _ = Authority("An authority").issue("calls.lab")
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    day = DAY.total_seconds()
    assert [tls.holds_at(der, time.time() + days * day) for days in (-2, 0, 2)] == [False, True, False]


def test_which_problems_are_about_time() -> None:
    assert [problem for problem in TlsProblem if tls.is_about_time(problem)] == [
        TlsProblem.EXPIRED,
        TlsProblem.NOT_YET_VALID,
    ]
