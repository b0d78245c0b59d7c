"""How a node is set up: frozen, read from TOML, checked with sentences that say what to do."""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrenous_wire.limits import SIGNAL_PATH

from .errors import ConfigError


class IcePolicy(StrEnum):
    """Which of this machine's addresses a peer may learn."""

    DIRECT = "direct"
    """Connect by any path, the shortest wins."""
    RELAY_UNTIL_ACCEPT = "relay-until-accept"
    """While it rings show relay addresses only; a direct path follows after accept."""
    RELAY_ONLY = "relay-only"
    """Never show an address of this machine."""


class Strangers(StrEnum):
    """What a call from somebody outside the contacts does."""

    REFUSE = "refuse"
    """Nothing: it does not ring here, and the caller cannot tell that from nobody being at home."""
    RING = "ring"
    """It rings, marked as unverified; no address is shown before accept."""


@dataclass(frozen=True, slots=True)
class MediaConfig:
    """What is sent when a call has sound and picture, and which devices `entrenous` takes it from.

    Devices and what is done to the microphone's sound are defaults of `call`, `answer` and `devices --test`, whose
    options override them; a program chooses by the sources and sinks that it gives to a call.

    Args:
        audio_bitrate: bits a second of Opus at most, 6000 to 128000; what the path cannot take is not sent.
        video_bitrate: bits a second of camera and of screen at most, 100000 to 10000000.
        video_width, video_height: what the camera's pictures are reduced to, even numbers of pixels.
        video_fps: of these a second at most, 1 to 60.
        microphone, speaker: a name, part of one or a number of `entrenous devices`; None: the system's default one.
        camera_device: part of the name of the camera to use when one is switched on; None: the first one.
        echo_cancellation, noise_suppression: None: where it is installed; True: it is an error where it is not.
        gain: bring soft voices to one level; None: no.
        headset: the microphone cannot hear the speaker, so there is no echo to cancel; None: it can.
    """

    audio_bitrate: int = 48_000
    video_bitrate: int = 1_500_000
    video_width: int = 1280
    video_height: int = 720
    video_fps: int = 30
    microphone: str | int | None = None
    speaker: str | int | None = None
    camera_device: str | None = None
    echo_cancellation: bool | None = None
    noise_suppression: bool | None = None
    gain: bool | None = None
    headset: bool | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("audio_bitrate", 6_000, 128_000),
            ("video_bitrate", 100_000, 10_000_000),
            ("video_width", 16, 3840),
            ("video_height", 16, 2160),
            ("video_fps", 1, 60),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"media.{name} must be a whole number from {low} to {high}, not {value!r}.")
        if self.video_width % 2 or self.video_height % 2:
            raise ConfigError("media.video_width and media.video_height must be even numbers.")
        for name in ("microphone", "speaker"):
            if not _names_device(getattr(self, name)):
                raise ConfigError(f"media.{name} must be a name or a number that `entrenous devices` shows.")
        if self.camera_device is not None and not (isinstance(self.camera_device, str) and self.camera_device):
            raise ConfigError("media.camera_device must be the name of a camera, or part of it.")
        for name in ("echo_cancellation", "noise_suppression", "gain", "headset"):
            if not isinstance(getattr(self, name), bool | None):
                raise ConfigError(f"media.{name} must be true or false.")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How a node reaches its server, keeps its keys and treats its callers.

    Args:
        server: the signaling server: `host[:port]`, `wss://host[:port]`, or `ws://` to a loopback address; the path
            that the server prints may stand behind it.
        profile: the folder of keys and contacts; None keeps both in memory only, and then `username` is registered
            anew at every start.
        username: the name to register; None when the profile holds the account.
        invite: the invite code, where the server wants one.
        passphrase_file: a file whose first line opens the keystore; None asks the environment
            (ENTRENOUS_PASSPHRASE).
        ca_file: a PEM file of certificate authorities to trust instead of the system's.
        ice_policy: see IcePolicy; toward people who are not contacts `direct` becomes `relay-until-accept`.
        ice_servers: STUN URLs to use; relays come from the server. Empty by default: no third party is asked.
        loopback_only: offer 127.0.0.1 and nothing else, for calls within one machine.
        strangers: see Strangers.
        media: see MediaConfig.
    """

    server: str
    profile: Path | None = None
    username: str | None = None
    invite: str | None = None
    passphrase_file: Path | None = None
    ca_file: Path | None = None
    ice_policy: IcePolicy = IcePolicy.DIRECT
    ice_servers: tuple[str, ...] = ()
    loopback_only: bool = False
    strangers: Strangers = Strangers.REFUSE
    media: MediaConfig = field(default_factory=MediaConfig)

    def __post_init__(self) -> None:
        server_url(self.server)
        for url in self.ice_servers:
            if not url.startswith("stun:"):
                raise ConfigError(f"ice_servers takes stun: URLs, not {url!r}; relays come from the server.")

    @property
    def url(self) -> str:
        """The server's base URL, `wss://…` or, on loopback, `ws://…`."""
        return server_url(self.server)

    @classmethod
    def load(cls, path: str | Path) -> NodeConfig:
        """Read a TOML file; relative paths in it count from its folder; raises ConfigError."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                table = tomllib.load(file)
        except OSError as error:
            raise ConfigError(f"Cannot read {path}: {error.strerror}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}.") from None
        return cls.from_table(table, base=path.parent)

    @classmethod
    def from_table(cls, table: dict[str, Any], *, base: Path) -> NodeConfig:
        """Build from a parsed TOML table; raises ConfigError that names the first wrong key."""
        values = dict(table)
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"Unknown setting {unknown[0]!r}. Known are: {', '.join(sorted(known))}.")
        if "server" not in values:
            raise ConfigError('The setting server is missing, for example server = "calls.example.org".')
        for name in ("profile", "passphrase_file", "ca_file"):
            if name in values:
                values[name] = base / Path(_text(values, name)).expanduser()
        for name in ("server", "username", "invite"):
            if name in values:
                _text(values, name)
        for name, kind in (("ice_policy", IcePolicy), ("strangers", Strangers)):
            if name in values:
                values[name] = _choice(values, name, kind)
        if "loopback_only" in values and not isinstance(values["loopback_only"], bool):
            raise ConfigError("loopback_only must be true or false.")
        if "ice_servers" in values:
            urls = values["ice_servers"]
            if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
                raise ConfigError("ice_servers must be a list of texts.")
            values["ice_servers"] = tuple(urls)
        if "media" in values:
            values["media"] = _media(values["media"])
        return cls(**values)


def server_url(server: str) -> str:
    """The WebSocket base URL of `host[:port]` or a URL; raises ConfigError where it would not be encrypted."""
    url = server if "://" in server else f"wss://{server}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{server!r} is not host[:port] or wss://host[:port].") from None
    if (
        parts.scheme not in ("wss", "ws")
        or not parts.hostname
        or parts.path not in ("", "/", SIGNAL_PATH)
        or parts.query
    ):
        raise ConfigError(f"{server!r} is not host[:port] or wss://host[:port].")
    if parts.username or parts.password:
        raise ConfigError("A server URL carries no user name and no password.")
    if parts.scheme == "ws" and not is_loopback(parts.hostname):
        raise ConfigError(f"ws:// is not encrypted and only taken for this machine itself; use wss://{parts.netloc}.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_device(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value >= 0
    return value is None or (isinstance(value, str) and value != "")


def _text(values: dict[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text.")
    return value


def _choice(values: dict[str, Any], name: str, kind: type[StrEnum]) -> StrEnum:
    try:
        return kind(values[name])
    except ValueError:
        raise ConfigError(f"{name} must be one of: {', '.join(kind)}.") from None


def _media(table: object) -> MediaConfig:
    known = {f.name for f in fields(MediaConfig)}
    if not isinstance(table, dict):
        raise ConfigError("media must be a table.")
    if unknown := sorted(set(table) - known):
        raise ConfigError(f"Unknown setting media.{unknown[0]}. Known are: {', '.join(sorted(known))}.")
    return MediaConfig(**table)
