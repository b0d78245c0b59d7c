"""`entrenous register`, `entrenous whoami` and `entrenous account`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from entrenous import Profile
from entrenous.cli.exits import ExitCode
from world.serverproc import ServerProcess


def test_whoami(entrenous: Callable, profile: Path) -> None:
    shown = entrenous("whoami", "--qr", "--profile", profile)
    assert shown.code == ExitCode.OK
    assert "Address  bob@127.0.0.1:9\n" in shown.out
    assert "▄" in shown.out
    as_json = entrenous("whoami", "--json", "--profile", profile).object
    assert as_json["address"] == "bob@127.0.0.1:9"
    assert as_json["card"].startswith("entrenous:bob@127.0.0.1:9#")
    assert as_json["server"] == "ws://127.0.0.1:9"
    assert len(as_json["device"]) == 16


def test_an_address_that_is_none(entrenous: Callable, tmp_path: Path) -> None:
    wrong = entrenous("register", "Bob", "--profile", tmp_path / "new")
    assert wrong.code == ExitCode.USAGE
    assert "user@host" in wrong.err
    assert "entrenous register --help" in wrong.err


def test_a_folder_that_holds_an_account_is_left_alone(entrenous: Callable, profile: Path) -> None:
    before = {path: path.read_bytes() for path in profile.iterdir() if path.is_file()}
    refused = entrenous("register", "bob@127.0.0.1:9", "--server", "ws://127.0.0.1:9", "--profile", profile)
    assert refused.code == ExitCode.NO_ACCOUNT
    assert {path: path.read_bytes() for path in profile.iterdir() if path.is_file()} == before


def test_the_account_is_deleted_after_its_address_was_repeated(entrenous: Callable, tmp_path: Path) -> None:
    profile, server = tmp_path / "profile", ServerProcess(tmp_path)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            url, address = f"ws://{server.listening}", f"bob@{server.name}"
            assert entrenous("register", address, "--server", url, "--profile", profile).code == ExitCode.OK
            for wrong in ((), ("--confirm", "eve@calls.example.org")):
                assert entrenous("account", "delete", "--profile", profile, *wrong).code == ExitCode.USAGE
            deleted = entrenous("account", "delete", "--confirm", address, "--json", "--profile", profile)
            assert deleted.code == ExitCode.OK
            assert deleted.object["deleted"] is True
            again = entrenous("account", "delete", "--confirm", address, "--profile", profile)
            assert again.code == ExitCode.NO_ACCOUNT
            assert "was deleted" in again.err
            assert "Deleted" in entrenous("whoami", "--profile", profile).out
        finally:
            runner.run(server.stop())


def test_the_devices_of_the_account_are_shown(entrenous: Callable, profile: Path) -> None:
    this = entrenous("whoami", "--json", "--profile", profile).object["device"]
    account = Profile.open(profile, os.environ["ENTRENOUS_PASSPHRASE"])
    account.note_devices({("d7f3000000000001", b"k" * 32), (this, account.stored.device.public_key)}, 60.0)
    shown = entrenous("account", "devices", "--profile", profile)
    assert shown.code == ExitCode.OK
    assert [line.split()[0] for line in shown.out.splitlines()] == ["Device", this, "d7f3000000000001"]
    assert entrenous("account", "devices", "--json", "--profile", profile).object == {
        "address": "bob@127.0.0.1:9",
        "device": this,
        "others": [{"device": "d7f3000000000001", "seen_at": 60.0}],
    }


def test_a_device_is_added(entrenous: Callable, profile: Path, tmp_path: Path) -> None:
    contacts = ("contacts", "add", "alice@127.0.0.1:9", "--profile")
    assert entrenous(*contacts, profile).code == ExitCode.OK
    added = entrenous("account", "add-device", tmp_path / "phone", "--json", "--profile", profile)
    assert added.code == ExitCode.OK
    this, phone = (entrenous("whoami", "--json", "--profile", at).object for at in (profile, tmp_path / "phone"))
    assert phone["device"] == added.object["device"] != this["device"]
    for name in ("address", "card", "server"):
        assert phone[name] == this[name]
    assert entrenous(*contacts, tmp_path / "phone").code != ExitCode.OK, "she is there already"
    again = entrenous("account", "add-device", tmp_path / "phone", "--profile", profile)
    assert again.code == ExitCode.NO_ACCOUNT
    assert "already" in again.err


def test_the_passphrase_is_changed(entrenous: Callable, profile: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_text("another five words in a row\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("not the one\n")
    change = ("account", "passphrase", "--profile", profile)
    refused = entrenous(*change, "--new-passphrase-file", new, "--passphrase-file", wrong)
    assert refused.code == ExitCode.WRONG_PASSPHRASE
    assert entrenous(*change).code == ExitCode.USAGE, "there is nobody to ask for the new one"
    changed = entrenous(*change, "--new-passphrase-file", new, "--json")
    assert changed.code == ExitCode.OK
    assert changed.object == {"address": "bob@127.0.0.1:9", "profile": str(profile), "changed": True}
    assert entrenous("whoami", "--profile", profile).code == ExitCode.WRONG_PASSPHRASE
    assert entrenous("whoami", "--profile", profile, "--passphrase-file", new).code == ExitCode.OK
