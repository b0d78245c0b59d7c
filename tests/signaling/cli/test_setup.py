"""`init`: what it writes is complete, private, and fits."""

from __future__ import annotations

import io
import os
import pwd
import stat
from pathlib import Path

import pytest

from entrenous_signaling.config import ServerConfig
from entrenous_signaling.private_files import read_message_secret
from world.operator import run


def test_a_name_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "etc"
    code, said, _ = run(capsys, "init", "--dir", folder, "--name", "calls.example.org")
    config = ServerConfig.load(folder / "server.toml", {})
    assert (code, config.name, config.admin_listen) == (0, "calls.example.org", "127.0.0.1:9443")
    assert config.listen in ("[::]:443", "0.0.0.0:443")
    assert len(read_message_secret(folder / "message-secret")) == 32
    assert f"put the certificate chain and its key into {folder}/tls-cert.pem and {folder}/tls-key.pem" in said
    assert f"entrenous-signaling check --config {folder}/server.toml" in said
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in (folder, *folder.iterdir())} == {
        "etc": "0o700",
        "server.toml": "0o600",
        "message-secret": "0o600",
    }


def test_every_choice_gets_into_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(
        capsys,
        *("init", "--dir", tmp_path, "--name", "calls.example.org", "--behind-proxy", "--data", tmp_path / "data"),
        *("--database", "postgresql://me@db.example.org/calls", "--database-password-file", tmp_path / "password"),
        *("--registration", "invite", "--relay", "turn.example.org", "--relay-address", "192.0.2.20"),
        *("--admin-listen", "127.0.0.1:9000", "--listen", "127.0.0.1:8000"),
    )
    config = ServerConfig.load(tmp_path / "server.toml", {})
    assert (code, config.insecure_loopback, config.listen, config.admin_listen) == (
        *(0, True, "127.0.0.1:8000"),
        "127.0.0.1:9000",
    )
    assert (config.registration.value, config.data, config.trusted_proxies) == (
        *("invite", str(tmp_path / "data")),
        ("127.0.0.1", "::1"),
    )
    assert (config.database, config.database_password_file) == (
        "postgresql://me@db.example.org/calls",
        str(tmp_path / "password"),
    )
    relay = config.relay()
    assert relay is not None
    assert (relay.urls, config.turn.addresses) == (config.turn.urls, ("192.0.2.20",))
    assert relay.secret.decode() not in said + (tmp_path / "server.toml").read_text()


def test_nothing_is_replaced_unasked_and_secrets_never(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ("init", "--dir", tmp_path, "--name", "calls.example.org", "--relay", "turn.example.org")
    run(capsys, *again)
    secrets = [(tmp_path / name).read_text() for name in ("message-secret", "turn-secret")]
    (tmp_path / "server.toml").write_text("# mine\n")
    code, _, err = run(capsys, *again)
    assert (code, "--force replaces it" in err, (tmp_path / "server.toml").read_text()) == (2, True, "# mine\n")
    code, said, _ = run(capsys, *again, "--force")
    assert (code, "message-secret" in said) == (0, False)
    assert ServerConfig.load(tmp_path / "server.toml", {}).name == "calls.example.org"
    assert secrets == [(tmp_path / name).read_text() for name in ("message-secret", "turn-secret")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", "no host"), "no name for a server"),
        (("--name", "a.example.org", "--behind-proxy", "--tls-cert", "x"), "exclude each other"),
        (("--name", "a.example.org", "--relay-address", "192.0.2.1"), "belongs to --relay"),
        (("--name", "a.example.org", "--relay", "turn.example.org", "--relay-address", "127.0.0.1"), "turn.addresses"),
        (("--name", "a.example.org", "--owner", "nobody-of-that-name"), "nobody-of-that-name"),
        (("--name", "a.example.org", "--database", "postgresql://me:hush@db/x"), "database_password_file"),
        (("--name", "a.example.org", "--nats", "tls://nats"), "set `database`"),
        (("--name", "a.example.org", "--nats", "tls://me:hush@nats"), "credentials_file"),
        (("--name", "a.example.org", "--nats-ca-file", "x"), "belong to --nats"),
    ],
)
def test_what_does_not_fit_is_said_and_leaves_no_configuration(
    options: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "init", "--dir", tmp_path / "etc", *options)
    assert (code, words in err, "hush" in err) == (2, True, False), err
    assert not (tmp_path / "etc" / "server.toml").exists()


def test_the_name_is_asked_for_where_somebody_can_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    init = ("init", "--dir", tmp_path / "etc", "--data", tmp_path / "data")
    monkeypatch.setattr("sys.stdin", io.StringIO("a.example.org\n"))
    code, _, err = run(capsys, *init)
    assert (code, "Missing option '--name'" in err, (tmp_path / "etc").exists()) == (2, True, False)
    monkeypatch.setattr("sys.stdin", Terminal("a.example.org\n"))
    code, said, _ = run(capsys, *init)
    assert (code, said.startswith("Public name of the server: ")) == (0, True)
    assert ServerConfig.load(tmp_path / "etc" / "server.toml", {}).name == "a.example.org"


class Terminal(io.StringIO):
    """Where somebody answers."""

    def isatty(self) -> bool:
        return True


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "init", "--dir", tmp_path / "file" / "etc", "--name", "a.example.org")
    assert (code, "cannot be written" in err) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("owner", ["daemon", "nobody"])  # the one has a group of its name, the other has not
def test_files_belong_to_who_runs_the_server(owner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "etc"
    code, said, _ = run(
        capsys, "init", "--dir", folder, "--name", "a.example.org", "--relay", "turn.example.org", "--owner", owner
    )
    owners = {pwd.getpwuid(path.stat().st_uid).pw_name for path in (folder, *folder.iterdir())}
    assert (code, owners, f"belongs to {owner}" in said) == (0, {owner}, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_init_has_not_made_is_not_given_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, other = tmp_path / "etc", tmp_path / "other"
    folder.mkdir()
    other.touch()
    (folder / "message-secret").symlink_to(other)  # put there by whoever may write into the folder
    code, said, _ = run(capsys, "init", "--dir", folder, "--name", "a.example.org", "--owner", "daemon")
    assert code == 0, said
    owners = [pwd.getpwuid(path.stat().st_uid).pw_name for path in (folder, other, folder / "server.toml")]
    assert owners == ["root", "root", "daemon"]


def test_one_of_several_gets_a_secret_to_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = (
        *("init", "--dir", tmp_path, "--name", "calls.example.org", "--database", "postgresql://me@db.example.org/x"),
        *("--nats", "tls://a.example.org", "--nats", "tls://b.example.org:4223"),
        *("--nats-credentials-file", tmp_path / "nats", "--nats-ca-file", tmp_path / "ca.pem"),
    )
    code, said, _ = run(capsys, *again)
    config = ServerConfig.load(tmp_path / "server.toml", {})
    assert (code, [str(place) for place in config.cluster.places()]) == (
        0,
        ["a.example.org:4222", "b.example.org:4223"],
    )
    assert (config.cluster.credentials_file, config.cluster.ca_file) == (
        str(tmp_path / "nats"),
        str(tmp_path / "ca.pem"),
    )
    secret = config.cluster_secret()
    assert (len(secret), stat.S_IMODE((tmp_path / "cluster-secret").stat().st_mode)) == (32, 0o600)
    assert secret.hex() not in said
    assert f"copy {tmp_path} to the other nodes" in said
    run(capsys, *again, "--force")
    assert config.cluster_secret() == secret
