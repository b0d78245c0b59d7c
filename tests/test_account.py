"""Accounts: registering, opening again, and what is left when it fails."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous import (
    ConfigError,
    KeystoreError,
    Node,
    NodeConfig,
    Profile,
    RequestRefused,
    ServerUnreachable,
    WrongPassphrase,
    delete_account,
    register,
)
from entrenous.account import PASSPHRASE_VARIABLE, open_profile, server_name
from entrenous_wire import codec
from entrenous_wire.messages import FromServer, Welcome
from world.disk import fill, small_disk
from world.nodes import config
from world.serverproc import ServerProcess, running_server


async def test_an_account_on_disk_is_registered_once_and_opened_again(server: ServerProcess, tmp_path: Path) -> None:
    folder, passphrase_file = tmp_path / "alice", tmp_path / "passphrase"
    passphrase = "corréct\u2028horse"  # only what ends a line in a terminal ends it here
    passphrase_file.write_text(f"{passphrase}\r\nsecond line\n", encoding="utf-8")
    settings = config(server, None, profile=folder, passphrase_file=passphrase_file)
    profile = await register(settings, "alice", passphrase=passphrase)
    assert str(profile.address) == f"alice@{server.name}"
    async with Node(settings) as node:
        assert node.card == profile.card
        assert node.device == profile.device
    with pytest.raises(KeystoreError, match="already"):
        await register(settings, "alice2", passphrase=passphrase)


async def test_a_refused_registration_leaves_nothing_on_disk(server: ServerProcess, tmp_path: Path) -> None:
    await register(config(server, None), "alice", passphrase=None)
    folder = tmp_path / "taken"
    with pytest.raises(RequestRefused) as refusal:
        await register(config(server, None, profile=folder), "alice", passphrase="secret")
    assert refusal.value.code == "name-taken"
    assert not folder.exists()


async def test_the_keys_are_on_disk_before_the_server_is_asked(server: ServerProcess, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        ballast = fill(disk)
        settings = config(server, None, profile=disk / "alice")
        with pytest.raises(KeystoreError, match="No space left"):
            await register(settings, "alice", passphrase="secret")
        assert list(disk.iterdir()) == [ballast]
        ballast.unlink()
        await register(config(server, None), "alice", passphrase=None)  # nobody has the name


async def test_a_server_that_is_not_reached_leaves_nothing_on_disk(tmp_path: Path) -> None:
    nowhere = NodeConfig(server="ws://127.0.0.1:9", profile=tmp_path / "alice", loopback_only=True)
    with pytest.raises(ServerUnreachable):
        await register(nowhere, "alice", passphrase="secret")
    with pytest.raises(ConfigError):
        await register(replace(nowhere, server="localhost", ca_file=tmp_path / "none"), "alice", passphrase="secret")
    assert list(tmp_path.iterdir()) == []


async def test_after_a_kill_while_the_server_registers_the_keys_are_taken_up_again(
    server: ServerProcess, tmp_path: Path
) -> None:
    settings = config(server, None, profile=tmp_path / "alice")
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from entrenous import NodeConfig, register\n"
        "from entrenous.link import Link\n"
        "async def killed(link, flush=0.0): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Link.close = killed\n"  # the server has welcomed the device, and nobody has noted it here
        "config = NodeConfig(server=sys.argv[1], profile=Path(sys.argv[2]), loopback_only=True)\n"
        "asyncio.run(register(config, 'alice', passphrase='secret'))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, settings.url, str(settings.profile))
    assert await process.wait() == -signal.SIGKILL
    with pytest.raises(RequestRefused):
        await register(config(server, None), "alice", passphrase=None)
    with pytest.raises(WrongPassphrase):
        await register(settings, "alice", passphrase="wrong")
    with pytest.raises(KeystoreError, match="already"):
        await register(settings, "bob", passphrase="secret")
    profile = await register(settings, "alice", passphrase="secret")
    async with Node(settings, profile=profile) as node:
        assert str(node.address) == f"alice@{server.name}"
    with pytest.raises(KeystoreError, match="already"):
        await register(settings, "alice", passphrase="secret")


async def test_keys_that_the_server_may_have_are_kept_when_its_answer_is_lost(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(server, None, profile=tmp_path / "alice")
    decode = codec.decode_from_server

    def cut_at_the_welcome(frame: str | bytes) -> FromServer:
        message = decode(frame)
        if isinstance(message, Welcome):
            raise ConnectionResetError
        return message

    with monkeypatch.context() as patched:
        patched.setattr(codec, "decode_from_server", cut_at_the_welcome)
        with pytest.raises(ServerUnreachable):
            await register(settings, "alice", passphrase="secret")
    profile = await register(settings, "alice", passphrase="secret")
    assert profile.stored.registered


async def test_an_account_that_is_deleted_cannot_log_in_and_says_why(server: ServerProcess, tmp_path: Path) -> None:
    own = config(server, None, profile=tmp_path / "bob")
    profile = await register(own, "bob", passphrase="secret")
    copy = Profile.open(tmp_path / "bob", "secret")
    await delete_account(own, profile)
    assert profile.deleted
    assert Profile.open(tmp_path / "bob", "secret").deleted
    with pytest.raises(KeystoreError, match="was deleted"):
        await Node(own, profile=profile).__aenter__()
    with pytest.raises(KeystoreError, match="was deleted"):
        await delete_account(own, profile)
    await delete_account(own, copy)  # whose answer was lost: the server does not know it any more
    assert copy.deleted
    again = await register(config(server, None), "bob", passphrase=None)
    assert again.identity_key != profile.identity_key


async def test_an_account_in_memory_writes_nothing(server: ServerProcess, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    profile = await register(config(server, None), "alice", passphrase=None)
    assert profile.directory is None
    assert {path for path in tmp_path.rglob("*") if "server" not in str(path.relative_to(tmp_path))} <= before


async def test_an_invite_is_asked_for_and_used_once(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="closed") as server:
        with pytest.raises(RequestRefused) as refusal:
            await register(config(server, None), "alice", passphrase=None)
        assert refusal.value.code == "registration-closed"


async def test_a_username_that_is_none_is_refused_before_any_network() -> None:
    with pytest.raises(ConfigError, match="username"):
        await register(NodeConfig(server="calls.example.org"), "Alice Smith", passphrase=None)


def test_where_a_passphrase_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    settings = NodeConfig(server="calls.example.org", profile=tmp_path)
    with pytest.raises(ConfigError, match=PASSPHRASE_VARIABLE):
        open_profile(settings)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "some passphrase")
    with pytest.raises(KeystoreError, match="register first"):
        open_profile(settings)
    with pytest.raises(ConfigError, match="cannot be read"):
        open_profile(replace(settings, passphrase_file=tmp_path / "none"))
    with pytest.raises(ConfigError, match="names no profile"):
        open_profile(replace(settings, profile=None))


async def test_a_wrong_passphrase_is_told(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(server, None, profile=tmp_path / "alice")
    await register(settings, "alice", passphrase="right")
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(WrongPassphrase):
        open_profile(settings)


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("calls.example.org", "calls.example.org"),
        ("wss://calls.example.org:443", "calls.example.org"),
        ("calls.example.org:8443", "calls.example.org:8443"),
        ("ws://127.0.0.1:8443", "127.0.0.1:8443"),
        ("ws://[::1]:8443", "[::1]:8443"),
    ],
)
def test_the_name_of_a_server_is_the_host_of_its_addresses(server: str, name: str) -> None:
    assert server_name(NodeConfig(server=server)) == name
