"""Who has come to the account and who has gone is told once, over restarts too, and by nobody but the identity key."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrenous import Notice, OwnDeviceAdded, OwnDeviceGone, OwnDeviceLoggedIn, Profile, ServerUnreachable
from entrenous.crypto.identity import CERTIFICATE_SECONDS, AccountIdentity
from entrenous.crypto.keystore import MINIMAL, FileKeystore, Keystore
from entrenous.crypto.profile import Profile as StoredProfile
from entrenous.errors import KeystoreError
from entrenous.own_devices import AGAIN_SECONDS, SPREAD_SECONDS, OwnDevices
from entrenous_wire.addresses import Address
from entrenous_wire.messages import DeviceEntry, Devices, LoggedIn
from world.virtual_time import VirtualTime

BOB = Address("bob", "calls.example.org")
PHONE, TABLET = "d7f3000000000001", "d7f3000000000002"
NOW = time.time()


@dataclass
class Bob:
    """A device with its profile on disk, and what the server says of its account; `restart` is another process."""

    keystore: Keystore
    told: list[Notice] = field(default_factory=list)
    asked: int = 0
    reachable: list[bytes] = field(default_factory=list)
    unreachable: list[bytes] = field(default_factory=list)
    address: str = str(BOB)
    identity_key: bytes = b""
    failing: bool = False
    slow: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.restart()
        self.identity_key = self.profile.identity_key
        self.reachable.append(self.profile.stored.certificate)

    def restart(self) -> None:
        self.profile = Profile(self.keystore)
        self.devices = OwnDevices(self.profile, self.fetch, self.told.append)
        self.devices.tell_untold()

    async def fetch(self) -> Devices:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.failing:
            raise ServerUnreachable("away")
        entries = [DeviceEntry(certificate, b"prekey") for certificate in self.reachable]
        return Devices(
            request=1,
            address=self.address,
            identity_key=self.identity_key,
            devices=entries,
            unreachable=self.unreachable,
        )

    def certificate(self, device: str, key: bytes = b"k" * 32, *, identity: bytes = b"", at: float = NOW) -> bytes:
        seed = identity or self.profile.stored.identity_seed
        return AccountIdentity(seed).certify(BOB, device, key, at).raw

    def take_notices(self) -> list[Notice]:
        """What was told since the last time, as a reader takes it."""
        told, self.told[:] = list(self.told), []
        for notice in told:
            if isinstance(notice, OwnDeviceAdded | OwnDeviceGone):
                self.devices.told(notice)
        return told


@pytest.fixture
def bob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bob:
    monkeypatch.setattr(time, "time", lambda: NOW)
    keystore = FileKeystore(tmp_path / "bob", "a passphrase", cost=MINIMAL)
    keystore.create(StoredProfile.create(BOB, NOW, os.urandom))
    return Bob(keystore)


async def test_an_account_with_one_device_has_no_news(bob: Bob) -> None:
    await bob.devices.look()
    assert bob.told == []
    assert bob.profile.other_devices == ()


@pytest.mark.parametrize("can_be_rung", [True, False])
async def test_a_device_that_came_is_told_once_over_restarts(bob: Bob, can_be_rung: bool) -> None:
    (bob.reachable if can_be_rung else bob.unreachable).append(bob.certificate(PHONE))
    await bob.devices.look()
    await bob.devices.look()
    assert bob.take_notices() == [OwnDeviceAdded(PHONE, NOW)]
    bob.restart()
    await bob.devices.look()
    assert bob.told == []
    assert [device.device for device in bob.profile.other_devices] == [PHONE]


async def test_one_that_nobody_was_told_of_is_told_by_the_next_process(bob: Bob) -> None:
    bob.reachable.append(bob.certificate(PHONE))
    await bob.devices.look()
    bob.told.clear()
    bob.restart()
    assert bob.told == [OwnDeviceAdded(PHONE, NOW)]


async def test_one_that_goes_and_one_that_comes_again_are_told(bob: Bob, monkeypatch: pytest.MonkeyPatch) -> None:
    bob.reachable.append(bob.certificate(PHONE))
    await bob.devices.look()
    bob.take_notices()
    gone = bob.reachable.pop()
    monkeypatch.setattr(time, "time", lambda: NOW + 60.0)
    await bob.devices.look()
    bob.told.clear()
    bob.restart()
    assert bob.take_notices() == [OwnDeviceGone(PHONE, NOW + 60.0)]
    assert bob.profile.other_devices == ()
    bob.reachable.append(gone)
    await bob.devices.look()
    assert bob.take_notices() == [OwnDeviceAdded(PHONE, NOW + 60.0, again=True)]


async def test_the_id_of_a_known_device_with_another_key_is_another_device(bob: Bob) -> None:
    bob.reachable.append(bob.certificate(PHONE))
    await bob.devices.look()
    bob.take_notices()
    bob.reachable[1:] = [bob.certificate(PHONE, b"s" * 32)]
    bob.unreachable = [bob.certificate(bob.profile.device, b"s" * 32)]
    await bob.devices.look()
    assert sorted(type(notice).__name__ + notice.device for notice in bob.take_notices()) == sorted(
        (f"OwnDeviceAdded{PHONE}", f"OwnDeviceGone{PHONE}", f"OwnDeviceAdded{bob.profile.device}")
    )


async def test_a_server_cannot_make_a_device_up(bob: Bob) -> None:
    bob.unreachable = [
        bob.certificate(PHONE, identity=b"i" * 32),
        bob.certificate(PHONE)[:-1] + b"\0",
        bob.certificate(PHONE, at=NOW - CERTIFICATE_SECONDS),
        b"nothing",
        AccountIdentity(bob.profile.stored.identity_seed)
        .certify(Address("bob", "other.example.org"), PHONE, bytes(32), NOW)
        .raw,
    ]
    await bob.devices.look()
    assert bob.told == []
    assert bob.devices.refused == 4
    bob.devices.logged_in(LoggedIn(device=PHONE, at=60, new=True), 0.0)
    assert bob.told == []


@pytest.mark.parametrize("lie", [{"address": "eve@calls.example.org"}, {"identity_key": b"e" * 32}])
async def test_an_answer_about_somebody_else_changes_nothing(bob: Bob, lie: dict[str, object]) -> None:
    bob.reachable.append(bob.certificate(PHONE))
    await bob.devices.look()
    bob.take_notices()
    for name, value in lie.items():
        setattr(bob, name, value)
    bob.reachable.clear()
    await bob.devices.look()
    assert bob.told == []
    assert bob.devices.refused == 1


async def test_a_login_of_a_known_device_is_told_but_not_again_and_again(bob: Bob) -> None:
    bob.reachable += [bob.certificate(PHONE), bob.certificate(TABLET)]
    await bob.devices.look()
    bob.take_notices()
    for device, now in ((PHONE, 0.0), (PHONE, AGAIN_SECONDS - 1.0), (TABLET, AGAIN_SECONDS), (PHONE, AGAIN_SECONDS)):
        assert not bob.devices.logged_in(LoggedIn(device=device, at=int(now) * 60, new=False), now)
    at = AGAIN_SECONDS * 60.0
    assert bob.take_notices() == [
        *(OwnDeviceLoggedIn(PHONE, 0.0), OwnDeviceLoggedIn(TABLET, at), OwnDeviceLoggedIn(PHONE, at)),
    ]


async def test_a_login_that_is_not_known_is_looked_into(bob: Bob) -> None:
    assert bob.devices.logged_in(LoggedIn(device=PHONE, at=60, new=False), 0.0)
    bob.reachable.append(bob.certificate(PHONE))
    await bob.devices.look()
    assert not bob.devices.logged_in(LoggedIn(device=PHONE, at=60, new=False), 0.0)
    assert bob.devices.logged_in(LoggedIn(device=PHONE, at=60, new=True), 0.0), "another key under its id, perhaps"
    bob.reachable.pop()
    await bob.devices.look()
    assert bob.devices.logged_in(LoggedIn(device=PHONE, at=60, new=False), 0.0), "it was gone"


async def test_there_is_one_look_at_a_time_and_another_after_it_when_something_came_meanwhile(bob: Bob) -> None:
    bob.slow = asyncio.Event()
    first = asyncio.ensure_future(bob.devices.look())
    await asyncio.sleep(0)
    for _ in range(5):
        await bob.devices.look()
    assert bob.asked == 1
    bob.slow.set()
    await first
    assert bob.asked == 2


async def test_a_server_that_is_away_is_asked_again_the_next_time(bob: Bob) -> None:
    bob.reachable.append(bob.certificate(PHONE))
    bob.failing = True
    await bob.devices.look()
    assert bob.told == []
    bob.failing = False
    await bob.devices.look()
    assert bob.told == [OwnDeviceAdded(PHONE, NOW)]


async def test_what_cannot_be_kept_is_told_and_told_again(bob: Bob, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise KeystoreError("no space")

    bob.reachable.append(bob.certificate(PHONE))
    with monkeypatch.context() as patched:
        patched.setattr(FileKeystore, "update", full)
        await bob.devices.look()
        assert bob.take_notices() == [OwnDeviceAdded(PHONE, NOW)]
    await bob.devices.look()
    assert bob.take_notices() == [OwnDeviceAdded(PHONE, NOW)]


def test_nodes_that_are_back_look_once_each_and_not_all_at_once(bob: Bob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, last: last)

    async def main() -> None:
        looks = [asyncio.ensure_future(bob.devices.look_soon()) for _ in range(3)]
        await asyncio.sleep(SPREAD_SECONDS - 1.0)
        assert bob.asked == 0
        await asyncio.gather(*looks)
        assert bob.asked == 1
        await bob.devices.look_soon()
        assert bob.asked == 2

    VirtualTime().run(main)
