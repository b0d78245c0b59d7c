"""Secrets at rest: one file under a passphrase, or nothing on disk at all.

The file `keys.box` in the profile directory (mode 0600, directory 0700)::

     0     8   "entrenks"
     8     1   version, 1
     9     4   Argon2id passes, big endian
    13     8   Argon2id memory in bytes
    21    16   salt
    37    24   secretbox nonce
    61     n   secretbox of the profile (MessagePack) under the key that Argon2id makes of the passphrase
    61+n  32   SHA-256 of everything before

The last field tells a damaged file from a wrong passphrase; that nobody changed the file on purpose is what
the secretbox proves. A new state is written beside the old one, synced, and put in its place: a crash leaves
one or the other. Changes go through `update`, which holds a lock, so two processes on one profile lose nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from entrenous.crypto.identity import Entropy
from entrenous.crypto.profile import Profile
from entrenous.errors import KeystoreError, WrongPassphrase

FILE_NAME: Final = "keys.box"
LOCK_NAME: Final = "keys.lock"

_MAGIC: Final = b"entrenks"
_VERSION: Final = 1
_SALT_AT: Final = 21
_NONCE_AT: Final = 37
_BOX_AT: Final = 61
_CHECKSUM_BYTES: Final = 32
_MAX_FILE_BYTES: Final = 16 * 1024 * 1024
_MAX_PASSES: Final = 16
_LOCK_SECONDS: Final = 10.0
_LOCK_POLL_SECONDS: Final = 0.02
_MAX_MEMORY: Final = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one guess at the passphrase costs.

    Args:
        passes: Argon2id iterations.
        memory: bytes.
    """

    passes: int
    memory: int


INTERACTIVE: Final = Argon2Cost(passes=3, memory=64 * 1024 * 1024)
"""About 0.15 s on a present desktop core: RFC 9106 §4, second recommendation, on one lane."""

MINIMAL: Final = Argon2Cost(passes=argon2id.OPSLIMIT_MIN, memory=argon2id.MEMLIMIT_MIN)
"""The least that Argon2id allows; protects nothing, made for tests."""


class Keystore(Protocol):
    """Where a profile is kept."""

    def exists(self) -> bool:
        """Whether a profile was created here."""

    def create(self, profile: Profile) -> None:
        """Keep a new profile; raises KeystoreError when there is one already or it cannot be written."""

    def load(self) -> Profile:
        """The profile as it is now; raises KeystoreError, and WrongPassphrase among it."""

    def update(self, change: Callable[[Profile], Profile]) -> Profile:
        """Load, change and keep the profile in one step, and return it; raises KeystoreError."""

    def change_passphrase(self, passphrase: str) -> None:
        """Keep the profile under another passphrase; raises KeystoreError."""

    def delete(self) -> None:
        """Forget the profile for good; harmless when there is none; raises KeystoreError."""


class InMemoryKeystore:
    """Keeps a profile as long as the object lives, and writes nothing anywhere."""

    __slots__ = ("_profile",)

    def __init__(self) -> None:
        self._profile: Profile | None = None

    def __repr__(self) -> str:
        return "<InMemoryKeystore>"

    def exists(self) -> bool:
        """Whether a profile was created here."""
        return self._profile is not None

    def create(self, profile: Profile) -> None:
        """Keep a new profile; raises KeystoreError when there is one already."""
        if self._profile is not None:
            raise KeystoreError("There is a profile already.")
        self._profile = profile

    def load(self) -> Profile:
        """The profile; raises KeystoreError when none was created."""
        if self._profile is None:
            raise KeystoreError("There is no profile yet: register first.")
        return self._profile

    def update(self, change: Callable[[Profile], Profile]) -> Profile:
        """Change the profile and return it; raises KeystoreError when there is none."""
        self._profile = change(self.load())
        return self._profile

    def change_passphrase(self, passphrase: str) -> None:
        """Raises KeystoreError: what is in memory only is under none."""
        raise KeystoreError("These keys are in memory only: there is no passphrase to change.")

    def delete(self) -> None:
        """Forget the profile; harmless when there is none."""
        self._profile = None


class FileKeystore:
    """Keeps a profile in a directory, encrypted under a passphrase.

    Argon2id runs in the calling thread, once for a file and its salt; the key is kept until `close`.

    Args:
        directory: of the profile; made when it is first written.
        passphrase: any text; an empty one is refused.
        entropy: where salts and nonces come from.
        cost: of Argon2id, for files that are written; a file that is read says its own.

    Raises:
        KeystoreError: the passphrase is empty.
    """

    __slots__ = ("_cost", "_directory", "_entropy", "_key", "_key_of", "_passphrase")

    def __init__(
        self,
        directory: Path,
        passphrase: str,
        *,
        entropy: Entropy = os.urandom,
        cost: Argon2Cost = INTERACTIVE,
    ) -> None:
        if not passphrase:
            raise KeystoreError("The passphrase is empty; choose one, or keep the profile in memory only.")
        self._directory = directory
        self._passphrase = passphrase.encode()
        self._entropy = entropy
        self._cost = cost
        self._key = b""
        self._key_of: tuple[bytes, Argon2Cost] | None = None

    def __repr__(self) -> str:
        return f"<FileKeystore in {self._directory}>"

    @property
    def path(self) -> Path:
        """The file."""
        return self._directory / FILE_NAME

    @property
    def _lock_path(self) -> Path:
        return self._directory / LOCK_NAME

    def exists(self) -> bool:
        """Whether there is a profile file, readable or not."""
        return self.path.exists()

    def create(self, profile: Profile) -> None:
        """Write a new profile.

        Raises:
            KeystoreError: there is one already, or it cannot be written; then nothing of it is left.
        """
        with self._locked():
            if self.exists():
                raise KeystoreError(f"There is a profile in {self._directory} already; name another directory.")
            try:
                self._write(profile)
            except KeystoreError:
                self._remove()
                raise

    def delete(self) -> None:
        """Remove the file, and the directory when nothing else is in it; harmless when there is none.

        Raises:
            KeystoreError: it cannot be removed.
        """
        with self._locked():
            self._remove()

    def load(self) -> Profile:
        """Read the profile.

        Raises:
            WrongPassphrase: the passphrase does not open it.
            KeystoreError: it is missing, unreadable or damaged.
        """
        return self._parse(self._read())

    def update(self, change: Callable[[Profile], Profile]) -> Profile:
        """Read, change and write the profile while no other process does; nothing is written if `change` does nothing.

        Args:
            change: gets the profile as it is on disk now, returns it as it should be.

        Raises:
            WrongPassphrase, KeystoreError: as for `load`, or it cannot be written; the old file is still there.
        """
        with self._locked():
            before = self.load()
            after = change(before)
            if after != before:
                self._write(after)
        return after

    def change_passphrase(self, passphrase: str) -> None:
        """Encrypt the profile under another passphrase, with a new salt; raises like `update`."""
        if not passphrase:
            raise KeystoreError("The new passphrase is empty.")
        with self._locked():
            profile = self.load()
            old = (self._passphrase, self._key, self._key_of)
            self._passphrase, self._key, self._key_of = passphrase.encode(), b"", None
            try:
                self._write(profile)
            except KeystoreError:
                self._passphrase, self._key, self._key_of = old
                raise

    def close(self) -> None:
        """Forget the passphrase and the key; the object cannot be used afterwards."""
        self._passphrase, self._key, self._key_of = b"", b"", None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the profile's lock; raises KeystoreError when the directory cannot be used."""
        descriptor = self._take_lock()
        try:
            yield
        finally:
            os.close(descriptor)

    def _take_lock(self) -> int:
        while True:
            descriptor = self._open_lock()
            try:
                self._wait_for_lock(descriptor)
                taken = self._is_lock(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if taken:
                return descriptor
            os.close(descriptor)  # who held it has removed the profile, and this file with it

    def _open_lock(self) -> int:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeystoreError(f"The profile directory {self._directory} cannot be used: {error.strerror}.") from None

    def _is_lock(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._lock_path.stat())
        except OSError:
            return False

    def _wait_for_lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise KeystoreError(
                        f"Another process has kept the profile in {self._directory} locked for {_LOCK_SECONDS:.0f} "
                        "seconds; end it and try again."
                    ) from None
                time.sleep(_LOCK_POLL_SECONDS)
            else:
                return

    def _derive(self, salt: bytes, cost: Argon2Cost) -> bytes:
        if self._key_of != (salt, cost):
            if not self._passphrase:
                raise KeystoreError("The keystore has been closed.")
            try:
                key = argon2id.kdf(SecretBox.KEY_SIZE, self._passphrase, salt, cost.passes, cost.memory)
            except (CryptoError, MemoryError):
                raise KeystoreError(
                    f"There is not enough memory to open the keys ({cost.memory // 1024 // 1024} MiB are needed)."
                ) from None
            self._key, self._key_of = key, (salt, cost)
        return self._key

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            raise KeystoreError(f"There is no profile in {self._directory} yet: register first.") from None
        except OSError as error:
            raise KeystoreError(f"The profile {self.path} cannot be read: {error.strerror}.") from None
        return data

    def _damaged(self, what: str) -> KeystoreError:
        return KeystoreError(f"The profile {self.path} is damaged ({what}); restore it from a backup or register anew.")

    def _parse(self, data: bytes) -> Profile:
        body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if not data.startswith(_MAGIC) or len(body) <= _BOX_AT or len(data) > _MAX_FILE_BYTES:
            raise self._damaged("it is no keystore")
        if sha256(body).digest() != checksum:
            raise self._damaged("its checksum is wrong")
        if body[8] != _VERSION:
            raise KeystoreError(f"The profile {self.path} was written by a newer version; update this program.")
        cost = Argon2Cost(int.from_bytes(body[9:13], "big"), int.from_bytes(body[13:_SALT_AT], "big"))
        if not (MINIMAL.passes <= cost.passes <= _MAX_PASSES and MINIMAL.memory <= cost.memory <= _MAX_MEMORY):
            raise self._damaged("its Argon2id parameters are out of bounds")
        key = self._derive(body[_SALT_AT:_NONCE_AT], cost)
        try:
            plaintext = SecretBox(key).decrypt(body[_BOX_AT:], body[_NONCE_AT:_BOX_AT])
        except CryptoError:
            raise WrongPassphrase(f"The passphrase does not open the profile in {self._directory}.") from None
        try:
            profile = msgspec.msgpack.decode(plaintext, type=Profile)
        except msgspec.DecodeError:
            raise self._damaged("its contents are not those of a profile") from None
        profile.check()
        return profile

    def _write(self, profile: Profile) -> None:
        """Replace the file; the salt stays with the passphrase, so Argon2id runs once."""
        profile.check()
        if self._key_of is not None:
            salt, cost = self._key_of
        else:
            salt, cost = self._entropy(argon2id.SALTBYTES), self._cost
        key = self._derive(salt, cost)
        nonce = self._entropy(SecretBox.NONCE_SIZE)
        box = SecretBox(key).encrypt(msgspec.msgpack.encode(profile), nonce).ciphertext
        head = _MAGIC + bytes((_VERSION,)) + cost.passes.to_bytes(4, "big") + cost.memory.to_bytes(8, "big")
        body = head + salt + nonce + box
        self._replace(body + sha256(body).digest())

    def _remove(self) -> None:
        """Remove what was written here; the lock is held, and its file goes last."""
        try:
            self.path.unlink(missing_ok=True)
            self._lock_path.unlink(missing_ok=True)
        except OSError as error:
            raise KeystoreError(f"The profile {self.path} cannot be removed: {error.strerror}.") from None
        with suppress(OSError):  # something else is in it
            self._directory.rmdir()

    def _replace(self, data: bytes) -> None:
        """Put a new file in the place of the old one, so that a crash leaves one of the two."""
        beside = self.path.with_suffix(".new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise KeystoreError(f"The profile {self.path} cannot be written: {error.strerror}.") from None
