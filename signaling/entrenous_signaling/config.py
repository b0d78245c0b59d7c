"""What the operator decides: a TOML file, the options of `serve` above it, both checked before anything starts."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from entrenous_wire.addresses import canonical_host
from entrenous_wire.limits import LOGIN_SECONDS, SESSION_GRACE_SECONDS
from entrenous_wire.messages import RegistrationPolicy

from .limits import Bounds
from .turn import Relay
from .turn_secrets import read_secrets
from .turn_settings import TurnSettings

Seconds = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]

DEFAULT_LISTEN: Final = "127.0.0.1:8443"


class ConfigError(Exception):
    """The configuration cannot be used; `str()` is a sentence for the operator."""


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
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
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
        data: the directory of the databases.
        registration: `open`, `invite` or `closed`.
        tls_cert, tls_key: PEM files of the certificate chain and its key.
        insecure_loopback: listen without TLS, on a loopback address only: for tests and behind a proxy.
        turn_urls: URLs of the operator's TURN relay; those of `turn` when empty.
        turn_secret_file: the file with the secret that is shared with the relay, or two of them (see `turn_secrets`).
        admin_listen: HOST:PORT of the listener for health and metrics; none when empty.
        max_connections: nodes connected at a time.
        login_seconds: how long a connection may take to log in.
        grace_seconds: how long a dropped session is kept.
        limits: rates and queues.
        turn: the relay itself: its name, and all that `turn-config` makes its configuration of.
    """

    listen: str = DEFAULT_LISTEN
    name: str = ""
    data: str = "entrenous-signaling-data"
    registration: RegistrationPolicy = RegistrationPolicy.OPEN
    tls_cert: str = ""
    tls_key: str = ""
    insecure_loopback: bool = False
    turn_urls: tuple[str, ...] = ()
    turn_secret_file: str = ""
    admin_listen: str = ""
    max_connections: Count = 10_000
    login_seconds: Seconds = LOGIN_SECONDS
    grace_seconds: Seconds = SESSION_GRACE_SECONDS
    limits: Bounds = Bounds()
    turn: TurnSettings = TurnSettings()

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
        if bool(self.relay_urls) != bool(self.turn_secret_file):
            raise ConfigError(
                "A relay's place and its secret go together: --turn-url (or turn.host in the file) and "
                "--turn-secret-file."
            )
        for url in self.turn_urls:
            if not url.startswith(("turn:", "turns:")):
                raise ConfigError(f"{url!r} is no relay: write turn:HOST:PORT or turns:HOST:PORT (RFC 7065).")
        try:
            if self.turn.addresses:
                self.turn.check_for_relay()
            else:
                self.turn.check()
        except ValueError as error:
            raise ConfigError(str(error)) from None

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
        try:
            secrets = read_secrets(Path(self.turn_secret_file))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return Relay(self.relay_urls, secrets[0].encode())


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}.") from None
