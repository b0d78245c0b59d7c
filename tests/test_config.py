"""NodeConfig: what it reads, and the sentences it refuses with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.config import IcePolicy, NodeConfig, Strangers, is_loopback, server_url
from entrenous.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "bot.toml"
    path.write_text(text)
    return path


def test_a_complete_file_is_read(tmp_path: Path) -> None:
    config = NodeConfig.load(
        write(
            tmp_path,
            """
            server = "calls.example.org"
            profile = "keys"
            passphrase_file = "/run/secrets/pass"
            ice_policy = "relay-only"
            ice_servers = ["stun:stun.example.org"]
            strangers = "ring"
            [media]
            video_width = 1280
            video_height = 720
            microphone = "headset"
            speaker = 3
            camera_device = "Front"
            echo_cancellation = false
            gain = true
            """,
        )
    )
    assert config.url == "wss://calls.example.org"
    assert config.profile == tmp_path / "keys"
    assert config.passphrase_file == Path("/run/secrets/pass")
    assert config.ice_policy is IcePolicy.RELAY_ONLY
    assert config.strangers is Strangers.RING
    assert (config.media.video_width, config.media.video_height) == (1280, 720)
    assert (config.media.microphone, config.media.speaker, config.media.camera_device) == ("headset", 3, "Front")
    switches = (config.media.echo_cancellation, config.media.noise_suppression, config.media.gain, config.media.headset)
    assert switches == (False, None, True, None)


def test_strangers_do_not_ring_and_no_third_party_is_asked_by_default() -> None:
    config = NodeConfig(server="calls.example.org")
    assert config.strangers is Strangers.REFUSE
    assert config.ice_servers == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "server is missing"),
        ('server = "a.example"\nsevrer = 1', "Unknown setting 'sevrer'"),
        ("server = 5", "server must be a text"),
        ('server = "ws://calls.example.org"', "not encrypted"),
        ('server = "https://calls.example.org"', "is not host"),
        ('server = "wss://u:p@calls.example.org"', "no user name"),
        ('server = "wss://calls.example.org:99999"', "is not host"),
        ('server = "a.example"\nice_policy = "maybe"', "must be one of: direct, relay-until-accept, relay-only"),
        ('server = "a.example"\nice_servers = "stun:x"', "list of texts"),
        ('server = "a.example"\nice_servers = ["turn:x"]', "stun: URLs"),
        ('server = "a.example"\nloopback_only = 1', "true or false"),
        ('server = "a.example"\nmedia = 1', "must be a table"),
        ('server = "a.example"\n[media]\nfps = 3', "Unknown setting media.fps"),
        ('server = "a.example"\n[media]\nvideo_fps = 0', "from 1 to 60"),
        ('server = "a.example"\n[media]\nvideo_width = 641', "even numbers"),
        ('server = "a.example"\n[media]\nmicrophone = true', "media.microphone must be a name or a number"),
        ('server = "a.example"\n[media]\nspeaker = -1', "media.speaker must be a name or a number"),
        ('server = "a.example"\n[media]\nspeaker = ""', "media.speaker must be a name or a number"),
        ('server = "a.example"\n[media]\ncamera_device = 0', "media.camera_device must be the name"),
        ('server = "a.example"\n[media]\nheadset = "yes"', "media.headset must be true or false"),
        ('server = "a.example"\n[media]\ngain = 1', "media.gain must be true or false"),
        ("server = ", "not valid TOML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        NodeConfig.load(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        NodeConfig.load(tmp_path / "none.toml")


@pytest.mark.parametrize("server", ["ws://127.0.0.1:8765", "ws://localhost:1", "ws://[::1]:9"])
def test_plain_text_is_taken_on_loopback_only(server: str) -> None:
    assert server_url(server) == server


def test_the_url_that_a_server_prints_may_be_copied_whole() -> None:
    assert server_url("ws://127.0.0.1:8443/v1/signal") == "ws://127.0.0.1:8443"


@given(st.text())
def test_any_text_is_a_url_or_a_clear_refusal(server: str) -> None:
    try:
        url = server_url(server)
    except ConfigError:
        return
    assert url.startswith("wss://") or is_loopback(url.removeprefix("ws://").rsplit(":", 1)[0].strip("[]"))
