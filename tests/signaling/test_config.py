"""The operator's configuration: file, options, and clear sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrenous_signaling.config import ConfigError, Listen, ServerConfig
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.private_files import make_secret
from entrenous_signaling.turn import Relay
from entrenous_wire.messages import RegistrationPolicy

LOOPBACK: dict[str, Any] = {"insecure_loopback": True, "listen": "127.0.0.1:0"}
CLUSTER: dict[str, Any] = {"nats": ("nats://localhost",), "secret_file": "c"}


def load(text: str = "", tmp_path: Path | None = None, **options: Any) -> ServerConfig:
    file = None
    if tmp_path is not None:
        file = tmp_path / "server.toml"
        file.write_text(text)
    return ServerConfig.load(file, options)


def test_options_go_before_the_file(tmp_path: Path) -> None:
    text = 'listen = "127.0.0.1:1"\nregistration = "closed"\ninsecure_loopback = true\n'
    text += "[limits]\nconnection_rate = {per_second = 5.0, burst = 7.0}\n"
    config = load(text, tmp_path, listen="127.0.0.1:2", registration=None, turn_urls=(), insecure_loopback=False)
    assert (config.listen, config.registration) == ("127.0.0.1:2", RegistrationPolicy.CLOSED)
    assert config.insecure_loopback
    assert config.limits.connection_rate == Rate(per_second=5.0, burst=7.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen = 5", "Expected `str`"),
        ("no_such_key = 1", "unknown field `no_such_key`"),
        ("[limits]\nqueue_messages = 0", "`$.limits.queue_messages`"),
        ("[limits]\nspeed = 0", "unknown field `speed`"),
        ("[limits", "is not TOML"),
        ('registration = "maybe"', "maybe"),
        ("login_seconds = 0", "login_seconds"),
        *(
            (f"{key}_seconds = {value}", f"right: Expected `float` {limit} - at `$.{key}_seconds`")
            for key in ("login", "grace", "drain")
            for value, limit in (("inf", "<= 86400.0"), ("nan", "> 0.0"))
        ),
        *(
            (f"[limits]\n{key} = {{per_second = {rate}, burst = {burst}}}", f"right: Expected `float` {words}")
            for key in Bounds.__struct_fields__
            if isinstance(getattr(Bounds(), key), Rate)
            for rate, burst, words in (
                ("inf", "5", f"<= 1000000000.0 - at `$.limits.{key}.per_second`"),
                ("nan", "5", f"> 0.0 - at `$.limits.{key}.per_second`"),
                ("5", "inf", f"<= 1000000000.0 - at `$.limits.{key}.burst`"),
                ("5", "nan", f">= 1.0 - at `$.limits.{key}.burst`"),
            )
        ),
    ],
)
def test_a_wrong_file_is_named_with_its_field(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(text, tmp_path, insecure_loopback=True)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs TLS"),
        ({"tls_cert": "a.pem"}, "go together"),
        ({"insecure_loopback": True, "tls_cert": "a", "tls_key": "b"}, "leave it out"),
        ({"insecure_loopback": True, "listen": "0.0.0.0:1"}, "loopback address only"),
        ({"insecure_loopback": True, "listen": "192.0.2.1:1"}, "loopback address only"),
        ({"insecure_loopback": True, "listen": "[::]:1"}, "loopback address only"),
        ({"insecure_loopback": True, "listen": "somewhere:1"}, "loopback address only"),
        ({"tls_cert": "a", "tls_key": "b", "listen": "0.0.0.0:443"}, "needs --name"),
        ({**LOOPBACK, "name": "no host"}, "no name for a server"),
        ({**LOOPBACK, "listen": "127.0.0.1"}, "HOST:PORT"),
        ({**LOOPBACK, "admin_listen": "::1:99"}, "HOST:PORT"),
        ({**LOOPBACK, "turn_urls": ("turn:r:1",)}, "go together"),
        ({**LOOPBACK, "turn_urls": ("http://r",), "turn_secret_file": "s"}, "RFC 7065"),
        ({**LOOPBACK, "turn": {"host": "turn.example.org"}}, "go together"),
        ({**LOOPBACK, "turn": {"host": "Turn"}, "turn_secret_file": "s"}, "turn.host"),
        ({**LOOPBACK, "turn": {"port": 0}}, "turn.port"),
        ({**LOOPBACK, "database": "mysql://host/name"}, "postgresql://"),
        ({**LOOPBACK, "database": "postgresql://host"}, "postgresql://"),
        ({**LOOPBACK, "database": "postgresql://host:what/name"}, "postgresql://"),
        ({**LOOPBACK, "database": "postgresql://me:hush@host/name"}, "database_password_file"),
        ({**LOOPBACK, "database": "postgresql://host/name?user=me&password=hush"}, "database_password_file"),
        ({**LOOPBACK, "database": "postgresql://me@host/name?sslpassword=hush"}, "database_password_file"),
        ({**LOOPBACK, "database": "postgresql://me@host/name?password="}, "database_password_file"),
        ({**LOOPBACK, "database_password_file": "p"}, "is for a database"),
        ({**LOOPBACK, "retention": {"inactive_accounts_days": 5}}, "at least 28"),
        ({**LOOPBACK, "trusted_proxies": ("0.0.0.0/0",)}, "every address"),
        ({**LOOPBACK, "turn": {"host": "r", "addresses": ["127.0.0.1"]}, "turn_secret_file": "s"}, "turn.addresses"),
        ({**LOOPBACK, "cluster": {"nats": ("nats://localhost",)}}, "cluster.secret_file"),
        ({**LOOPBACK, "cluster": CLUSTER, "name": "a.example", "secret_file": "s"}, "postgresql://USER"),
        ({**LOOPBACK, "cluster": CLUSTER, "database": "postgresql://host/x", "secret_file": "s"}, "`name`"),
        ({**LOOPBACK, "cluster": CLUSTER, "database": "postgresql://host/x", "name": "a.example"}, "`secret_file`"),
    ],
)
def test_what_does_not_go_together_is_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(**options)
    assert words in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize("text", ["127.0.0.1:8443", "[::1]:0", "localhost:65535"])
def test_places_to_listen_are_read(text: str) -> None:
    assert str(Listen.parse(text)) == text.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize("text", ["", ":", "a", "a:", ":1", "a:65536", "a:-1", "a:٣", "::1:5"])
def test_places_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Listen.parse(text)


def test_the_name_is_the_given_one_or_where_it_listens() -> None:
    at = Listen("127.0.0.1", 8443)
    assert load(**LOOPBACK).public_name(at) == "127.0.0.1:8443"
    assert load(**LOOPBACK, name="Calls.Example.ORG").public_name(at) == "calls.example.org"


def test_the_relays_secret_comes_from_a_private_file(tmp_path: Path) -> None:
    path, secret = tmp_path / "secret", "hush-hush-hush-hush-hush"
    config = load(**LOOPBACK, turn_urls=("turn:192.0.2.1:3478",), turn_secret_file=str(path))
    with pytest.raises(ConfigError, match="No such file"):
        config.relay()
    path.touch(mode=0o600)
    with pytest.raises(ConfigError, match="empty"):
        config.relay()
    path.write_text(f"{secret}\nthe-other-one-of-a-change-over\n")
    assert config.relay() == Relay(("turn:192.0.2.1:3478",), secret.encode())
    assert "hush" not in repr(config.relay())
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        config.relay()


def test_the_urls_of_the_relay_follow_from_its_host_unless_they_are_given() -> None:
    turn = {"host": "turn.example.org", "tls_cert": "/c", "tls_key": "/k"}
    assert load(**LOOPBACK, turn_secret_file="s", turn=turn).relay_urls == (
        "turn:turn.example.org:3478?transport=udp",
        "turn:turn.example.org:3478?transport=tcp",
        "turns:turn.example.org:443?transport=tcp",
    )
    given = ("turn:192.0.2.1:3478",)
    assert load(**LOOPBACK, turn_secret_file="s", turn=turn, turn_urls=given).relay_urls == given


def test_a_file_with_the_relay_alone_can_be_read_but_not_served(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[turn]\nhost = "turn.example.org"\n')
    assert ServerConfig.read(file, {}).turn.host == "turn.example.org"
    with pytest.raises(ConfigError, match="needs TLS"):
        ServerConfig.load(file, {})


def test_what_belongs_to_the_data_is_there_unless_it_is_elsewhere() -> None:
    config = load(**LOOPBACK, data="/d")
    assert (str(config.control_path), str(config.secret_path)) == ("/d/control.sock", "/d/message-secret")
    config = load(**LOOPBACK, control_socket="/run/c", secret_file="/etc/s")
    assert (str(config.control_path), str(config.secret_path)) == ("/run/c", "/etc/s")


def test_the_servers_own_secret_is_made_when_there_is_none(tmp_path: Path) -> None:
    config = load(**LOOPBACK, data=str(tmp_path / "data"))
    assert config.message_key() == config.message_key()
    (tmp_path / "data" / "message-secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        config.message_key()


def test_the_password_of_the_database_comes_from_a_private_file(tmp_path: Path) -> None:
    assert load(**LOOPBACK).database_password() is None
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("a pass phrase\n")
    config = load(**LOOPBACK, database="postgresql://me@db.example.org/calls", database_password_file=str(path))
    assert config.database_password() == "a pass phrase"
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="chmod 600"):
        config.database_password()


def test_what_nodes_share_comes_from_private_files(tmp_path: Path) -> None:
    secret, credentials = tmp_path / "secret", tmp_path / "credentials"
    make_secret(secret)
    credentials.touch(mode=0o600)
    credentials.write_text("node:hush\n")
    files = {"secret_file": str(secret), "credentials_file": str(credentials)}
    own = {"database": "postgresql://host/x", "name": "a.example", "secret_file": "s"}
    config = load(**LOOPBACK, **own, cluster={"nats": ("nats://localhost",), **files})
    assert (len(config.cluster_secret()), config.cluster_credentials()) == (32, "node:hush")
    assert load(**LOOPBACK).cluster_credentials() is None
    for path, read in ((secret, config.cluster_secret), (credentials, config.cluster_credentials)):
        path.chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600") as error:
            read()
        assert "hush" not in str(error.value)
