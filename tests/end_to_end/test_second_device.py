"""A second device of an account, and a third that nobody knows of: what the first is told, there or away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from entrenous import Node, Notice, OwnDeviceAdded, OwnDeviceLoggedIn, Profile, ServerBack, ServerLost
from lab.calls import until
from world.nodes import PATIENCE, config, second_device
from world.serverproc import ServerProcess


async def next_of(node: Node) -> Notice:
    """What a node tells next, beside that the server was away."""
    async with asyncio.timeout(PATIENCE):
        async for notice in node.notices():
            if not isinstance(notice, ServerLost | ServerBack):
                return notice
    raise AssertionError("the node closed before it told anything")


async def test_every_device_that_comes_to_the_account_is_told(own_server: ServerProcess, tmp_path: Path) -> None:
    server = own_server
    async with Node(config(server, "bob")) as bob:
        profile = bob.profile
        phone = profile.make_another_device(tmp_path / "phone", "a passphrase")
        for first in (True, False):
            async with Node(config(server, None), profile=Profile.open(tmp_path / "phone", "a passphrase")) as there:
                told = await next_of(bob)
                assert told.device == there.device == phone.device
                assert isinstance(told, OwnDeviceAdded if first else OwnDeviceLoggedIn)
        thief = second_device(bob)
    async with Node(config(server, None), profile=thief):
        pass
    async with Node(config(server, None), profile=profile):
        await until(lambda: len(profile.other_devices) == 2, PATIENCE)  # seen, and read by nobody
    async with Node(config(server, None), profile=profile) as bob:
        told = await next_of(bob)
        assert isinstance(told, OwnDeviceAdded)
        assert told.device == thief.device
    async with Node(config(server, None), profile=Profile.open(tmp_path / "phone", "a passphrase")) as there:
        told = await next_of(there)
        assert isinstance(told, OwnDeviceAdded)
        assert told.device == thief.device, "and nothing of the one that made it"
    assert {device.device for device in profile.other_devices} == {phone.device, thief.device}


async def test_what_a_server_did_not_tell_is_seen_within_the_hour(
    own_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "other_logged_in", lambda *_: None)
    async with Node(config(own_server, "bob")) as bob:
        await until(lambda: not bob._tasks, PATIENCE)
        async with Node(config(own_server, None), profile=second_device(bob)) as phone:
            bob._look_after_keys()
            told = await next_of(bob)
            assert isinstance(told, OwnDeviceAdded)
            assert told.device == phone.device
