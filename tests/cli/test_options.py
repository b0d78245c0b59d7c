"""The configuration that options and the profile's folder make."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenous import Address, ConfigError, KeystoreError, MediaConfig, NodeConfig
from entrenous.cli.options import (
    NODE_FILE,
    default_profile,
    in_memory_config,
    load_config,
    load_media,
    new_config,
    save_config,
)

BOB = Address.parse("bob@calls.example.org")


def test_the_server_is_the_host_of_the_address_unless_another_is_named(tmp_path: Path) -> None:
    config = new_config(BOB, profile=tmp_path, server=None, ca_file=None, invite="K7")
    assert (config.url, config.username, config.invite) == ("wss://calls.example.org", "bob", "K7")
    assert not config.loopback_only
    named = new_config(BOB, profile=tmp_path, server="wss://other.example.org:8443", ca_file=None, invite=None)
    assert named.url == "wss://other.example.org:8443"


def test_a_server_on_this_machine_lets_calls_stay_on_it() -> None:
    assert in_memory_config("ws://127.0.0.1:8440", "echo", ca_file=None, invite=None).loopback_only
    with pytest.raises(ConfigError, match="not encrypted"):
        in_memory_config("ws://calls.example.org", "echo", ca_file=None, invite=None)


def test_what_is_remembered_is_what_was_used(tmp_path: Path) -> None:
    authorities = tmp_path / 'odd "name" ü.pem'
    config = new_config(
        BOB, profile=tmp_path, server="wss://host.example:444", ca_file=authorities, invite="secret-code"
    )
    save_config(config, tmp_path)
    assert load_config(tmp_path) == NodeConfig(server="wss://host.example:444", profile=tmp_path, ca_file=authorities)
    assert "secret-code" not in (tmp_path / NODE_FILE).read_text()


def test_options_go_before_what_is_remembered(tmp_path: Path) -> None:
    save_config(new_config(BOB, profile=tmp_path, server=None, ca_file=None, invite=None), tmp_path)
    config = load_config(tmp_path, server="ws://127.0.0.1:9", ca_file=Path("other.pem"))
    assert (config.url, config.ca_file, config.loopback_only) == ("ws://127.0.0.1:9", Path("other.pem"), True)


def test_no_account(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=f"entrenous register you@calls.example.org --profile {tmp_path}"):
        load_config(tmp_path)
    assert load_config(tmp_path, server="host.example").url == "wss://host.example"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        save_config(in_memory_config("host.example", "bob", ca_file=None, invite=None), tmp_path / "missing")


def test_the_default_profile_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_profile() == tmp_path / "entrenous"


def test_what_calls_use_of_this_machine(tmp_path: Path) -> None:
    assert load_media(tmp_path) == MediaConfig(), "there is no account"
    save_config(new_config(BOB, profile=tmp_path, server=None, ca_file=None, invite=None), tmp_path)
    with (tmp_path / NODE_FILE).open("a") as file:
        file.write('[media]\nmicrophone = "Headset"\nspeaker = 3\n')
    assert load_media(tmp_path) == MediaConfig(microphone="Headset", speaker=3)
    with (tmp_path / NODE_FILE).open("a") as file:
        file.write("camera = 1\n")
    with pytest.raises(ConfigError, match="camera"):
        load_media(tmp_path)
