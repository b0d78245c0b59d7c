"""From files to a node that can reach the others; what is wrong with a file is a sentence."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from entrenous_signaling.cluster.joining import make_courier, nats_access
from entrenous_signaling.cluster.settings import ClusterSettings, NatsPlace
from entrenous_signaling.config import ConfigError, ServerConfig
from entrenous_signaling.meters import Meters
from entrenous_signaling.private_files import make_secret
from lab.certificates import Authority


def private(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def config(tmp_path: Path, **changed: str) -> ServerConfig:
    secret = tmp_path / "cluster-secret"
    if not secret.exists():
        make_secret(secret)
    files = {
        "secret_file": str(secret),
        "credentials_file": private(tmp_path / "credentials", "node:hush\n"),
        "ca_file": private(tmp_path / "ca.pem", Authority().pem.decode()),
    }
    return ServerConfig(cluster=ClusterSettings(nats=("tls://a.example", "tls://b.example:5"), **files | changed))


async def test_all_that_is_needed_is_read(tmp_path: Path) -> None:
    access = nats_access(config(tmp_path))
    assert access.places == (NatsPlace("a.example", 4222, tls=True), NatsPlace("b.example", 5, tls=True))
    assert (access.credentials.user, access.credentials.password) == ("node", "hush")
    assert access.tls is not None
    assert (access.tls.verify_mode, access.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert access.tls.minimum_version is ssl.TLSVersion.TLSv1_3
    assert len(access.tls.get_ca_certs()) == 1, "the named authority and no other"
    assert "hush" not in repr(access)
    courier = make_courier(config(tmp_path), bytes(8), Meters())
    assert not courier.is_connected


def test_files_that_are_not_named_are_not_needed(tmp_path: Path) -> None:
    access = nats_access(config(tmp_path, credentials_file="", ca_file=""))
    assert (access.credentials.user, access.credentials.token) == (None, None)


@pytest.mark.parametrize("key", ["credentials_file", "ca_file"])
def test_a_file_that_is_not_there_is_a_sentence(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.* read: No such file"):
        nats_access(config(tmp_path, **{key: str(tmp_path / "none")}))


def test_a_certificate_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca_file: .*x\.pem"):
        nats_access(config(tmp_path, ca_file=private(tmp_path / "x.pem", "no certificate")))


async def test_a_secret_that_is_none_or_everybody_may_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="copy it from another node"):
        make_courier(config(tmp_path, secret_file=private(tmp_path / "short", "abc\n")), bytes(8), Meters())
    (tmp_path / "cluster-secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        make_courier(config(tmp_path), bytes(8), Meters())
