"""The certificate: key, name, time, and who believes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrenous_signaling.checks.certificate import check_certificate, host_of
from entrenous_signaling.checks.findings import Level
from entrenous_signaling.config import ServerConfig
from lab.certificates import DAY, Authority, Pem, self_signed, write

NAME = "calls.example.org"


def found(folder: Path, pem: Pem, name: str = NAME, now: datetime | None = None) -> list[tuple[Level, str]]:
    cert, key = write(folder, pem)
    config = ServerConfig(name=name, tls_cert=str(cert), tls_key=str(key))
    return [(finding.level, finding.text) for finding in check_certificate(config, now or datetime.now(UTC))]


def test_without_tls_nothing_is_said() -> None:
    assert list(check_certificate(ServerConfig(insecure_loopback=True), datetime.now(UTC))) == []


@pytest.mark.parametrize("names", [(NAME,), ("*.example.org",), ("other.example.org", NAME)])
def test_a_good_one_of_an_authority_that_is_known(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    said = found(tmp_path, authority.issue(*names, end=60 * DAY))
    assert [level for level, _ in said] == [Level.OK, Level.OK], said
    assert "59 days from now" in said[0][1]


def test_one_that_no_known_authority_signed_is_a_warning(tmp_path: Path) -> None:
    said = found(tmp_path, Authority().issue(NAME, end=60 * DAY))
    assert [level for level, _ in said] == [Level.OK, Level.WARNING]
    assert "issuer" in said[1][1]
    said = found(tmp_path, self_signed("192.0.2.1"), "192.0.2.1")
    assert "self-signed" in said[-1][1]


@pytest.mark.parametrize("names", [("other.example.org",), ("*.org",), ("*.calls.example.org",), ("192.0.2.1",)])
def test_one_for_another_name_is_an_error(names: tuple[str, ...], tmp_path: Path) -> None:
    said = found(tmp_path, Authority().issue(*names, end=60 * DAY))
    assert (said[-1][0], f"not for {NAME}" in said[-1][1]) == (Level.ERROR, True)


@pytest.mark.parametrize(
    ("from_now", "level", "words"),
    [
        (timedelta(days=61), Level.ERROR, "has expired"),
        (timedelta(days=50), Level.WARNING, "expires in 9 days"),
        (timedelta(days=-5), Level.ERROR, "is good from"),
    ],
)
def test_its_time_is_told(from_now: timedelta, level: Level, words: str, tmp_path: Path) -> None:
    said = found(tmp_path, Authority().issue(NAME, end=60 * DAY), now=datetime.now(UTC) + from_now)
    assert (said[0][0], words in said[0][1]) == (level, True)


def test_the_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    one, other = self_signed(NAME), self_signed(NAME)
    ((level, text),) = found(tmp_path, (one[0], other[1]))
    assert (level, "cannot be used" in text) == (Level.ERROR, True)


def test_the_host_in_a_name() -> None:
    names = ("a.example.org", "a.example.org:8443", "192.0.2.1:1", "[2001:db8::1]:1", "[2001:db8::1]")
    hosts = ["a.example.org", "a.example.org", "192.0.2.1", "2001:db8::1", "2001:db8::1"]
    assert [host_of(name) for name in names] == hosts
