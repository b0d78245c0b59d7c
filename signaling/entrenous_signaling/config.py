"""What the operator decides: a TOML file, the options of `serve` above it, both checked before anything starts."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta, Struct

from entrenous_wire.addresses import canonical_host
from entrenous_wire.limits import LOGIN_SECONDS, SESSION_GRACE_SECONDS
from entrenous_wire.messages import RegistrationPolicy

from .cluster.settings import ClusterSettings
from .limits import Bounds
from .logs import LogForm
from .operator_errors import OperatorError
from .private_files import ensure_message_secret, read_cluster_secret, read_private
from .proxies import IPAddress, TrustedProxies
from .retention import MessageSettings, Retention
from .settings import HubSettings
from .turn import Relay
from .turn_secrets import read_secrets
from .turn_settings import TurnSettings

Seconds = Annotated[float, Meta(gt=0.0, le=86_400.0)]  # TOML knows `inf`, and timers do not
Count = Annotated[int, Meta(ge=1)]

Value = TypeVar("Value")

DEFAULT_LISTEN: Final = "127.0.0.1:8443"
DEFAULT_DATA: Final = "entrenous-signaling-data"

_POSTGRESQL: Final = "postgresql"
_PASSWORDS: Final = {"password", "sslpassword"}
"""What libpq takes passwords by; `store.postgresql` asks itself, which is there only with its driver."""


class ConfigError(OperatorError):
    """The configuration cannot be used; `str()` is a sentence for the operator."""

    exit_code = 2


class Listen(Struct, frozen=True):
    """Where to listen.

    Args:
        host: an IP address or `localhost`.
        port: 0 takes any that is free.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listen:
        """Read HOST:PORT or [IPV6]:PORT.

        Raises:
            ConfigError: it is neither.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            colon = ""
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or not host:
            raise ConfigError(f"{text!r} is no place to listen: write HOST:PORT, for example 127.0.0.1:8443.")
        return cls("127.0.0.1" if host == "localhost" else host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> IPAddress | None:
        """The IP address, or None when the host is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; the keys of the TOML file are these names.

    Args:
        listen: HOST:PORT of the nodes' listener.
        name: the public name of the server, the host of its addresses; HOST:PORT of the listener when empty.
        data: the directory of what the server keeps; one server uses it at a time.
        database: where accounts, messages and call records are: postgresql://USER@HOST:PORT/NAME, without a password;
            SQLite files in `data` when empty.
        database_password_file: the file with the password of that database, readable by the server alone; without,
            PostgreSQL's own ways (PGPASSFILE) are used.
        secret_file: the file with the server's own secret, by which it counts what one account has stored for another,
            and keeps records of calls, without keeping whose; `message-secret` in `data` when empty, made at the first
            start.
        control_socket: where the running server answers `status` and `users`; `control.sock` in `data` when empty.
        registration: who may register: `open` (anybody), `invite` (who has a code) or `closed`.
        tls_cert, tls_key: PEM files of the certificate chain and its key.
        insecure_loopback: listen without TLS, on a loopback address only: for tests and behind a proxy.
        trusted_proxies: addresses and networks of the proxies in front, whose X-Forwarded-For is believed; what others
            send is not.
        turn_urls: URLs of the operator's TURN relay; those of `turn` when empty.
        turn_secret_file: the file with the secret that is shared with the relay, or with two of them while they change
            over (see `turn-secret`).
        admin_listen: HOST:PORT of the listener for health and metrics; none when empty.
        max_connections: nodes connected at a time; each takes an open file.
        login_seconds: how long a connection may take to log in, in seconds.
        grace_seconds: how long a dropped session is kept, in seconds.
        drain_seconds: over how many seconds at most nodes are asked to move when the server stops, one after the other;
            half of `grace_seconds` at most, and a few nodes take less.
        log: how a line of the log is written: `text` or `json`.
        limits: rates and queues.
        messages: what is stored for devices that are offline.
        retention: how long things are kept.
        turn: the relay itself: its name, and all that `turn-config` makes its configuration of.
        cluster: other servers that are one with this one.
    """

    listen: str = DEFAULT_LISTEN
    name: str = ""
    data: str = DEFAULT_DATA
    database: str = ""
    database_password_file: str = ""
    secret_file: str = ""
    control_socket: str = ""
    registration: RegistrationPolicy = RegistrationPolicy.OPEN
    tls_cert: str = ""
    tls_key: str = ""
    insecure_loopback: bool = False
    trusted_proxies: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret_file: str = ""
    admin_listen: str = ""
    max_connections: Count = 10_000
    login_seconds: Seconds = LOGIN_SECONDS
    grace_seconds: Seconds = SESSION_GRACE_SECONDS
    drain_seconds: Seconds = 10.0
    log: LogForm = LogForm.TEXT
    limits: Bounds = Bounds()
    messages: MessageSettings = MessageSettings()
    retention: Retention = Retention()
    turn: TurnSettings = TurnSettings()
    cluster: ClusterSettings = ClusterSettings()

    @classmethod
    def load(cls, file: Path | None, options: dict[str, Any]) -> ServerConfig:
        """Read the file, lay the options over it and check the whole.

        Args:
            file: a TOML file, or None.
            options: fields given on the command line; None and empty ones are not given.

        Raises:
            ConfigError: a file cannot be read, or a field or the combination of them is wrong.
        """
        config = cls.read(file, options)
        config.check()
        return config

    @classmethod
    def read(cls, file: Path | None, options: dict[str, Any]) -> ServerConfig:
        """Read the file and lay the options over it, for a command that uses some of it; `load` is for the whole.

        Raises:
            ConfigError: a file cannot be read, or a field is of another type than it must be.
        """
        values = {} if file is None else _read_toml(file)
        values.update({key: value for key, value in options.items() if value not in (None, (), "", False)})
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> ServerConfig:
        """Take keys and tables as a TOML file has them.

        Raises:
            ConfigError: a key is unknown, or its value of another type than it must be.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ConfigError(f"The configuration is not right: {error}.") from None

    def check(self) -> None:
        """Check what the types cannot.

        Raises:
            ConfigError: says which option and what to do.
        """
        listen = Listen.parse(self.listen)
        if self.admin_listen:
            Listen.parse(self.admin_listen)
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("--tls-cert and --tls-key go together: the certificate chain and its key, as PEM files.")
        if self.insecure_loopback and self.tls_cert:
            raise ConfigError("--insecure-loopback is for a listener without TLS: leave it out beside --tls-cert.")
        if not self.insecure_loopback and not self.tls_cert:
            raise ConfigError(
                "A server needs TLS: give --tls-cert and --tls-key. To try it on this machine, or behind a proxy "
                "that does TLS, give --insecure-loopback."
            )
        if self.insecure_loopback and (listen.address is None or not listen.address.is_loopback):
            raise ConfigError(
                "--insecure-loopback listens on a loopback address only, such as --listen 127.0.0.1:8443."
            )
        self.public_name(listen)
        self._check_database()
        if bool(self.relay_urls) != bool(self.turn_secret_file):
            raise ConfigError(
                "A relay's place and its secret go together: --turn-url (or turn.host in the file) and "
                "--turn-secret-file."
            )
        for url in self.turn_urls:
            if not url.startswith(("turn:", "turns:")):
                raise ConfigError(f"{url!r} is no relay: write turn:HOST:PORT or turns:HOST:PORT (RFC 7065).")
        try:
            self.retention.check()
            self.cluster.check()
            TrustedProxies.parse(self.trusted_proxies)
            if self.turn.addresses:
                self.turn.check_for_relay()
            else:
                self.turn.check()
        except ValueError as error:
            raise ConfigError(str(error)) from None
        self._check_cluster()

    def _check_database(self) -> None:
        if not self.database:
            if self.database_password_file:
                raise ConfigError("database_password_file is for a database that is named by `database`.")
            return
        try:
            url = urlsplit(self.database)
            usable = url.scheme == _POSTGRESQL and bool(url.path.strip("/")) and url.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError("database is no place of one: write postgresql://USER@HOST:PORT/NAME, or leave it out.")
        if url.password is not None or _PASSWORDS & parse_qs(url.query, keep_blank_values=True).keys():
            raise ConfigError(
                "database holds a password, which listings of processes and copies of this file would show: put it "
                "into a private file and name that as database_password_file."
            )

    def _check_cluster(self) -> None:
        if not self.cluster.nats:
            return
        if not self.database:
            raise ConfigError(
                "Several nodes share a PostgreSQL database, which SQLite files cannot be: set `database` to "
                "postgresql://USER@HOST:PORT/NAME on every node, or leave [cluster] out for a server that is alone."
            )
        if not self.name or not self.secret_file:
            raise ConfigError(
                "Several nodes are one server: set `name` to the same on every node, and `secret_file` to copies of "
                "one file."
            )

    def public_name(self, listening: Listen) -> str:
        """The name of the server: the given one, or where it listens.

        Raises:
            ConfigError: it is no host, or none is given and the listener's address is not one to call.
        """
        if not self.name and listening.address is not None and listening.address.is_unspecified:
            raise ConfigError(
                "--listen on all addresses needs --name: the public host name, for example calls.example.org."
            )
        name = self.name or str(listening)
        if not self.name and listening.port == 0:
            return name  # the port is known when it listens
        try:
            return canonical_host(name)
        except ValueError as error:
            raise ConfigError(f"{name!r} is no name for a server. {error}") from None

    @property
    def control_path(self) -> Path:
        """Where the control socket of the running server is."""
        return Path(self.control_socket) if self.control_socket else Path(self.data) / "control.sock"

    @property
    def secret_path(self) -> Path:
        """The file with the server's own secret."""
        return Path(self.secret_file) if self.secret_file else Path(self.data) / "message-secret"

    @property
    def proxies(self) -> TrustedProxies:
        """The proxies whose word about the client's address is taken."""
        return TrustedProxies.parse(self.trusted_proxies)

    def message_key(self) -> bytes:
        """The server's own secret, made now when the file is not there.

        Raises:
            ConfigError: it cannot be read or made, others may read it, or it is none.
        """
        return _of_file(ensure_message_secret, self.secret_path)

    def database_password(self) -> str | None:
        """The password of the database, or None when no file is named.

        Raises:
            ConfigError: the file cannot be read, others may read it, or it is empty.
        """
        if not self.database_password_file:
            return None
        return _of_file(read_private, Path(self.database_password_file))

    def cluster_secret(self) -> bytes:
        """The secret that all nodes of the cluster share, 32 bytes.

        Raises:
            ConfigError: it cannot be read, others may read it, or it is none.
        """
        return _of_file(read_cluster_secret, Path(self.cluster.secret_file))

    def cluster_credentials(self) -> str | None:
        """Who this node is to NATS: USER:PASSWORD or a token, or None when no file is named.

        Raises:
            ConfigError: the file cannot be read, others may read it, or it is empty.
        """
        if not self.cluster.credentials_file:
            return None
        return _of_file(read_private, Path(self.cluster.credentials_file))

    @property
    def relay_urls(self) -> tuple[str, ...]:
        """The URLs of the operator's relay: the given ones, or those that follow from its host."""
        return self.turn_urls or self.turn.urls

    def relay(self) -> Relay | None:
        """The operator's relay with the secret to mint with, or None.

        Raises:
            ConfigError: the secret cannot be read, others may read it, or it is none.
        """
        if not self.turn_secret_file:
            return None
        in_use, *_ = _of_file(read_secrets, Path(self.turn_secret_file))
        return Relay(self.relay_urls, in_use.encode())

    def hub_settings(self, name: str, node: bytes | None) -> HubSettings:
        """What the hub has to know.

        Args:
            name: the public name of the server.
            node: names this start of it among the nodes of a cluster; None when it is alone.

        Raises:
            ConfigError: a secret cannot be read or made, others may read it, or it is none.
        """
        return HubSettings(
            name=name,
            message_key=self.message_key(),
            registration=self.registration,
            relay=self.relay(),
            bounds=self.limits,
            messages=self.messages,
            retention=self.retention,
            login_seconds=self.login_seconds,
            grace_seconds=self.grace_seconds,
            node=node,
        )


def _of_file(read: Callable[[Path], Value], path: Path) -> Value:
    """What a file holds that is named in the configuration; what is wrong with it is wrong with the configuration."""
    try:
        return read(path)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from None
