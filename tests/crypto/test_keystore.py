"""Keystores: what is kept is kept whole or not at all, under one passphrase, or in no file."""

from __future__ import annotations

import fcntl
import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from crypto.people import profile, seeded
from entrenous.crypto import keystore as module
from entrenous.crypto.keystore import FILE_NAME, LOCK_NAME, MINIMAL, Argon2Cost, FileKeystore, InMemoryKeystore
from entrenous.crypto.profile import Profile
from entrenous.errors import KeystoreError, WrongPassphrase
from entrenous_wire.addresses import Address

ALICE, BOB = profile("alice"), profile("bob")
BOB_AT = Address.parse(BOB.address)


def befriended(stored: Profile) -> Profile:
    return stored.pinned(BOB_AT, BOB.identity.public_key)


def at(directory: Path, passphrase: str = "correct horse") -> FileKeystore:
    return FileKeystore(directory, passphrase, entropy=os.urandom, cost=MINIMAL)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    at(tmp_path / "profile").create(ALICE)
    return tmp_path / "profile"


def test_a_profile_comes_back_whole(directory: Path) -> None:
    assert at(directory).exists()
    assert at(directory).load() == ALICE
    assert at(directory).update(befriended) == befriended(ALICE)
    assert at(directory).load() == befriended(ALICE)


def test_only_the_owner_may_read_it(directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in (FILE_NAME, LOCK_NAME):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in directory.iterdir()) == [FILE_NAME, LOCK_NAME]


def test_the_mode_holds_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        at(tmp_path / "profile").create(ALICE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "profile" / FILE_NAME).stat().st_mode) == 0o600


def test_what_a_crash_left_behind_does_not_open_the_new_file_to_others(directory: Path) -> None:
    left = directory / FILE_NAME.replace(".box", ".new")
    left.write_bytes(b"half a profile")
    left.chmod(0o666)
    at(directory).update(befriended)
    assert stat.S_IMODE((directory / FILE_NAME).stat().st_mode) == 0o600
    assert at(directory).load() == befriended(ALICE)


def test_nothing_on_disk_says_who_or_whom(directory: Path) -> None:
    at(directory).update(befriended)
    data = (directory / FILE_NAME).read_bytes()
    known = (b"alice", b"bob", b"example", ALICE.identity_seed, ALICE.device_seed, ALICE.device_id.encode())
    assert not [text for text in (*known, ALICE.identity.public_key, BOB.identity.public_key) if text in data]


def test_a_wrong_passphrase_says_so(directory: Path) -> None:
    with pytest.raises(WrongPassphrase):
        at(directory, "battery staple").load()
    with pytest.raises(WrongPassphrase):
        at(directory, "battery staple").update(befriended)
    assert at(directory).load() == ALICE


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="empty"):
        FileKeystore(tmp_path, "")
    with pytest.raises(KeystoreError, match="empty"):
        at(tmp_path).change_passphrase("")


def test_every_damaged_byte_is_found_and_said(directory: Path) -> None:
    path = directory / FILE_NAME
    good = path.read_bytes()
    keystore = at(directory)
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes((good[position] ^ 1 << position % 8,)) + good[position + 1 :])
        with pytest.raises(KeystoreError, match=r"damaged.*restore it from a backup") as caught:
            keystore.load()
        assert type(caught.value) is KeystoreError
    for cut in (0, 1, 60, 100, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(KeystoreError, match="damaged"):
            keystore.load()
    path.write_bytes(good)
    assert keystore.load() == ALICE


def resummed(body: bytes) -> bytes:
    return body + sha256(body).digest()


def test_what_is_changed_on_purpose_opens_nothing(directory: Path) -> None:
    """With the checksum made good again the secretbox refuses; hostile parameters are not even tried."""
    path = directory / FILE_NAME
    body = path.read_bytes()[:-32]
    path.write_bytes(resummed(body[:-1] + bytes((body[-1] ^ 1,))))
    with pytest.raises(WrongPassphrase):
        at(directory).load()
    path.write_bytes(resummed(body[:13] + (2**40).to_bytes(8, "big") + body[21:]))
    with pytest.raises(KeystoreError, match="out of bounds"):
        at(directory).load()
    path.write_bytes(resummed(body[:8] + b"\2" + body[9:]))
    with pytest.raises(KeystoreError, match="newer version"):
        at(directory).load()


def test_a_missing_profile_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="register first"):
        at(tmp_path).load()
    assert not at(tmp_path).exists()


def test_a_profile_is_not_created_over_another(directory: Path) -> None:
    with pytest.raises(KeystoreError, match="already"):
        at(directory).create(BOB)
    assert at(directory).load() == ALICE


def test_a_directory_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(KeystoreError, match="cannot be used"):
        at(tmp_path / "file" / "profile").create(ALICE)


def test_a_full_disk_leaves_the_old_profile(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fsync", full)
        with pytest.raises(KeystoreError, match="No space left on device"):
            at(directory).update(befriended)
    assert at(directory).load() == ALICE
    assert sorted(path.name for path in directory.iterdir()) == [FILE_NAME, LOCK_NAME]


def test_what_cannot_be_created_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(KeystoreError, match="No space left on device"):
        at(tmp_path / "profile").create(ALICE)
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_profile_is_gone_and_nothing_else(directory: Path) -> None:
    at(directory).delete()
    assert not directory.exists()
    at(directory).delete()
    at(directory).create(BOB)
    (directory / "notes").write_text("mine")
    at(directory).delete()
    assert [path.name for path in directory.iterdir()] == ["notes"]


def test_who_waits_for_the_lock_of_a_deleted_profile_locks_the_new_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = (directory / LOCK_NAME).open("w")
    fcntl.flock(held, fcntl.LOCK_EX)

    def delete_meanwhile(seconds: float) -> None:
        at(directory)._remove()
        held.close()

    monkeypatch.setattr(module.time, "sleep", delete_meanwhile)
    with at(directory)._locked(), (directory / LOCK_NAME).open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_new_file_is_on_disk_before_it_replaces_the_old(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def seen_fsync(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def seen_replace(path: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(path, target)

    monkeypatch.setattr(module.os, "fsync", seen_fsync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    at(directory).update(befriended)
    assert steps == ["file", "replace", "directory"]


def test_a_failing_change_writes_nothing(directory: Path) -> None:
    def failing(stored: Profile) -> Profile:
        raise LookupError

    before = (directory / FILE_NAME).read_bytes()
    with pytest.raises(LookupError):
        at(directory).update(failing)
    at(directory).update(lambda stored: stored)
    assert (directory / FILE_NAME).read_bytes() == before
    at(directory).update(befriended)


def test_two_keystores_on_one_profile_lose_nothing(directory: Path) -> None:
    one, other = at(directory), at(directory)
    one.load()
    other.load()
    eve = profile("eve")
    one.update(befriended)
    other.update(lambda stored: stored.pinned(Address.parse(eve.address), eve.identity.public_key))
    assert set(at(directory).load().contacts) == {BOB.address, eve.address}


def test_a_lock_that_is_never_given_back_is_not_waited_for_without_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.0)
    with (directory / LOCK_NAME).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KeystoreError, match="Another process"):
            at(directory).update(befriended)
    at(directory).update(befriended)


def test_the_passphrase_is_changed(directory: Path) -> None:
    keystore = at(directory)
    salt = (directory / FILE_NAME).read_bytes()[21:37]
    keystore.change_passphrase("battery staple")
    assert (directory / FILE_NAME).read_bytes()[21:37] != salt
    assert keystore.load() == at(directory, "battery staple").load() == ALICE
    with pytest.raises(WrongPassphrase):
        at(directory).load()


def test_argon2_runs_once_for_a_salt_and_nonces_are_fresh(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    kdf = module.argon2id.kdf
    monkeypatch.setattr(module.argon2id, "kdf", lambda *args: runs.append(args[2]) or kdf(*args))
    keystore = at(directory)
    nonces = set()
    for who in ("bob", "eve", "mallory"):
        friend = profile(who)
        keystore.update(lambda stored, friend=friend: stored.pinned(
            Address.parse(friend.address), friend.identity.public_key
        ))  # fmt: skip
        nonces.add((directory / FILE_NAME).read_bytes()[37:61])
    assert len(runs) == 1
    assert len(nonces) == 3


def test_the_cost_is_written_and_read(tmp_path: Path) -> None:
    cost = Argon2Cost(passes=2, memory=16384)
    FileKeystore(tmp_path, "p", entropy=seeded("k"), cost=cost).create(ALICE)
    head = (tmp_path / FILE_NAME).read_bytes()
    assert (int.from_bytes(head[9:13], "big"), int.from_bytes(head[13:21], "big")) == (2, 16384)
    assert at(tmp_path, "p").load() == ALICE


def test_a_closed_keystore_opens_nothing(directory: Path) -> None:
    keystore = at(directory)
    keystore.load()
    keystore.close()
    with pytest.raises(KeystoreError, match="closed"):
        keystore.load()


def test_in_memory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    keystore = InMemoryKeystore()
    assert not keystore.exists()
    with pytest.raises(KeystoreError, match="register first"):
        keystore.load()
    keystore.create(ALICE)
    assert keystore.update(befriended) == keystore.load() == befriended(ALICE)
    with pytest.raises(KeystoreError, match="already"):
        keystore.create(BOB)
    with pytest.raises(KeystoreError, match="no passphrase"):
        keystore.change_passphrase("battery staple")
    keystore.delete()
    assert not keystore.exists()
    assert list(tmp_path.iterdir()) == []


def test_nothing_secret_is_shown(directory: Path) -> None:
    keystore = at(directory)
    keystore.load()
    assert repr(keystore) == f"<FileKeystore in {directory}>"
    memory = InMemoryKeystore()
    memory.create(ALICE)
    assert repr(memory) == "<InMemoryKeystore>"
