"""What was stored for a device is told once, over restarts too, and by nobody who may not ring."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrenous import KeyChanged, MissedCall, Notice, Profile, Strangers
from entrenous.crypto.handshake import MediaKinds
from entrenous.crypto.identity import VerifiedDevice
from entrenous.crypto.keystore import MINIMAL, FileKeystore, Keystore
from entrenous.crypto.notices import seal_notice
from entrenous.crypto.profile import Profile as StoredProfile
from entrenous.directory import Directory
from entrenous.errors import KeystoreError
from entrenous.letterbox import Letterbox
from entrenous_wire.addresses import Address
from entrenous_wire.messages import Letter

ALICE, BOB = Address("alice", "calls.example.org"), Address("bob", "calls.example.org")
CALL = b"c" * 16


@dataclass
class Bob:
    """A device with its profile on disk; `restart` is another process."""

    keystore: Keystore
    strangers: Strangers = Strangers.REFUSE
    told: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.profile = Profile(self.keystore)
        directory = Directory(self.profile, self.told.append)
        self.box = Letterbox(self.profile, directory, self.strangers, self.told.append)


@pytest.fixture
def alice() -> Profile:
    return Profile.create(None, None, ALICE)


@pytest.fixture
def bob(tmp_path: Path, alice: Profile) -> Bob:
    keystore = FileKeystore(tmp_path / "bob", "a passphrase", cost=MINIMAL)
    keystore.create(StoredProfile.create(BOB, time.time(), os.urandom))
    bob = Bob(keystore)
    bob.profile.contacts.add(str(alice.card))
    return bob


def letter(alice: Profile, bob: Bob, number: int = 1, call: bytes = CALL, at: float | None = None) -> Letter:
    stored = bob.profile.stored
    device = VerifiedDevice.verify(
        bob.profile.address, bob.profile.identity_key, stored.certificate, stored.prekeys[0].signed, time.time()
    )
    id_ = number.to_bytes(16, "big")
    at = time.time() if at is None else at
    return Letter(id=id_, body=seal_notice(alice.credentials(), device, id_, call, MediaKinds.AUDIO, at))


def test_a_missed_call_is_told_once_however_often_it_comes(alice: Profile, bob: Bob) -> None:
    at = time.time() - 3600.0
    came = letter(alice, bob, at=at)
    assert bob.box.take(came)
    assert bob.box.take(came)
    (told,) = bob.told
    assert isinstance(told, MissedCall)
    assert told.address == ALICE
    assert told.called_at == pytest.approx(at, abs=0.002)
    assert not told.video
    bob.box.told(told)
    bob.restart()
    assert bob.box.take(came)
    bob.box.tell_untold()
    assert bob.told == [told]
    assert bob.profile.stored.untold == ()


def test_a_missed_call_that_was_taken_and_not_told_is_told_by_the_next_process(alice: Profile, bob: Bob) -> None:
    assert bob.box.take(letter(alice, bob))
    bob.told.clear()
    bob.restart()
    bob.box.tell_untold()
    assert [type(notice) for notice in bob.told] == [MissedCall]


def test_a_second_notice_of_one_call_is_not_told(alice: Profile, bob: Bob) -> None:
    assert bob.box.take(letter(alice, bob, 1))
    assert bob.box.take(letter(alice, bob, 2))
    assert bob.box.take(letter(alice, bob, 3, call=b"d" * 16))
    assert len(bob.told) == 2


@pytest.mark.parametrize("restarted", [False, True])
def test_a_call_that_rang_here_is_not_told_as_missed(alice: Profile, bob: Bob, restarted: bool) -> None:
    bob.box.rang(CALL)
    if restarted:
        bob.box.ended(CALL)
        bob.restart()
    assert bob.box.take(letter(alice, bob))
    assert not bob.told


def test_a_call_that_nobody_saw_ring_is_not_remembered(bob: Bob) -> None:
    bob.box.ended(CALL)
    assert not bob.profile.has_seen(CALL)


def test_a_stranger_is_told_only_where_strangers_ring(alice: Profile, bob: Bob) -> None:
    bob.profile.contacts.remove(ALICE)
    assert bob.box.take(letter(alice, bob))
    assert not bob.told
    assert bob.box.dropped == 1
    bob.strangers = Strangers.RING
    bob.restart()
    assert bob.box.take(letter(alice, bob, 2))
    assert len(bob.told) == 1


def test_a_contact_with_another_key_is_not_told_and_the_key_is(bob: Bob) -> None:
    impostor = Profile.create(None, None, ALICE)
    assert bob.box.take(letter(impostor, bob))
    assert [type(notice) for notice in bob.told] == [KeyChanged]


def test_a_notice_of_our_own_account_is_dropped(bob: Bob) -> None:
    assert bob.box.take(letter(bob.profile, bob))
    assert not bob.told
    assert bob.box.dropped == 1


def test_what_cannot_be_opened_is_taken_so_that_it_does_not_stay(alice: Profile, bob: Bob) -> None:
    assert bob.box.take(Letter(id=b"i" * 16, body=bytes(1024)))
    assert bob.box.dropped == 1


def test_what_cannot_be_kept_stays_at_the_server(alice: Profile, bob: Bob, monkeypatch: pytest.MonkeyPatch) -> None:
    came = letter(alice, bob)

    def full(*_: object) -> None:
        raise KeystoreError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(FileKeystore, "update", full)
        assert not bob.box.take(came)
        bob.box.rang(b"d" * 16)
        bob.box.ended(b"d" * 16)
        bob.box.told(MissedCall(ALICE, called_at=1.0))
    assert not bob.told
    assert bob.box.take(came)
    assert len(bob.told) == 1


def test_a_prekey_that_expired_is_kept_until_all_is_taken(
    alice: Profile, bob: Bob, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = letter(alice, bob)
    later = time.time() + 20 * 86_400.0
    monkeypatch.setattr(time, "time", lambda: later)
    bob.profile.refresh()
    assert len(bob.profile.stored.prekeys) == 2
    assert bob.box.take(came)
    assert len(bob.told) == 1
    bob.box.all_taken()
    assert len(bob.profile.stored.prekeys) == 1
    bob.restart()
    assert len(bob.profile.stored.prekeys) == 1
