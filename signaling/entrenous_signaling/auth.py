"""Who may come in: checks of logins and registrations against what the store holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, assert_never

from entrenous_wire.addresses import MAX_ADDRESS_LENGTH, Address, is_username
from entrenous_wire.certificate import CertificateError, DeviceCertificate, SignedPrekey, names_key, same_key
from entrenous_wire.limits import MAX_LETTER_DAYS
from entrenous_wire.login import verify_deletion, verify_login, verify_prekeys, verify_registration
from entrenous_wire.messages import DeleteAccount, DeviceEntry, ErrorCode, Login, Register

from .store.requests import Account, DeviceOutcome, Failed, PrekeysOutcome, RegisterOutcome, StoredDevice, StoreResult

RETRY_SECONDS: Final = 1.0
"""When a node may try again what could not be stored or queued."""

_KEPT_SECONDS: Final = MAX_LETTER_DAYS * 86_400
"""How long a device keeps the private half of a prekey that has expired."""

_NO_ACCOUNT: Final = "No such account on this server."


class Refused(Exception):  # noqa: N818 - names the event
    """A request is refused.

    Args:
        code: what to answer with.
        message: one sentence, without a name.
        retry_after: seconds after which a repetition may succeed, or None.
    """

    def __init__(self, code: ErrorCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


def local_user(address: str, server: str) -> str:
    """The username in an address of this server.

    Raises:
        Refused: it is no address (`malformed`), or one of another server (`unknown-user`).
    """
    user, at, host = address.partition("@")
    if host == server and at and is_username(user) and len(address) <= MAX_ADDRESS_LENGTH:
        return user  # the way of nearly all: `server` is spelled as `canonical_host` spells it
    try:
        parsed = Address.parse(address)
    except ValueError as error:
        raise Refused(ErrorCode.MALFORMED, str(error)) from None
    if parsed.host != server:
        raise Refused(ErrorCode.UNKNOWN_USER, "This server does not serve that host.")
    return parsed.user


def check_login(login: Login, account: Account, *, server: str, nonce: bytes, now: float) -> DeviceCertificate:
    """Verify a login.

    Args:
        login: what the node said.
        account: what is registered under the username.
        server: the name of this server.
        nonce: the nonce of this connection's `Hello`.
        now: Unix seconds.

    Raises:
        Refused: `bad-signature`.
    """
    try:
        return verify_login(
            server=server,
            nonce=nonce,
            address=login.address,
            device=login.device,
            certificate=login.certificate,
            identity_key=account.identity_key,
            signature=login.signature,
            now=now,
        )
    except CertificateError as error:
        raise Refused(ErrorCode.BAD_SIGNATURE, str(error)) from None


def has_device(account: Account, certificate: DeviceCertificate) -> bool:
    """Whether a device is stored, with the key that this certificate names."""
    mine = (known.certificate for known in account.devices if known.device == certificate.device_id)
    return any(names_key(known, certificate.device_key) for known in mine)


def check_registration(
    message: Register, *, server: str, nonce: bytes, now: float
) -> tuple[DeviceCertificate, tuple[bytes, ...]]:
    """Verify a registration; whether the name and the invite are free only the store can say.

    Args:
        message: what the node said.
        server, nonce, now: as for `check_login`.

    Returns:
        The verified certificate of the device, and its prekeys, newest last.

    Raises:
        Refused: `bad-signature`.
    """
    try:
        certificate, prekeys = verify_registration(
            server=server,
            nonce=nonce,
            username=message.username,
            identity_key=message.identity_key,
            certificate=message.certificate,
            prekeys=message.prekeys,
            identity_signature=message.identity_signature,
            signature=message.signature,
            now=now,
            invite=message.invite,
        )
    except ValueError as error:
        raise Refused(ErrorCode.BAD_SIGNATURE, str(error)) from None
    return certificate, _newest_last(prekeys)


def check_deletion(message: DeleteAccount, account: Account, *, server: str, nonce: bytes, username: str) -> None:
    """Verify that the owner of an account wants it deleted.

    Args:
        message: what the node said.
        account: what is registered under the username.
        server: the name of this server.
        nonce: the nonce of this connection's `Hello`.
        username: of the device that is logged in on this connection.

    Raises:
        Refused: `bad-signature`.
    """
    try:
        verify_deletion(
            server=server,
            nonce=nonce,
            address=f"{username}@{server}",
            identity_key=account.identity_key,
            signature=message.signature,
        )
    except CertificateError as error:
        raise Refused(ErrorCode.BAD_SIGNATURE, str(error)) from None


def check_prekeys(device_key: bytes, prekeys: list[bytes], now: float) -> tuple[bytes, ...]:
    """Verify prekeys to be published and sort them, newest last.

    Raises:
        Refused: `bad-signature`.
    """
    try:
        parsed = verify_prekeys(device_key, prekeys, now)
    except CertificateError as error:
        raise Refused(ErrorCode.BAD_SIGNATURE, str(error)) from None
    return _newest_last(parsed)


def known_account(result: StoreResult | Failed) -> Account:
    """The account that was looked up.

    Raises:
        Refused: `unknown-user`, when there is none.
    """
    if not isinstance(result, Account):
        raise Refused(ErrorCode.UNKNOWN_USER, _NO_ACCOUNT)
    return result


def refuse_failure(result: StoreResult | Failed) -> None:
    """Turn a request that could not be carried out into a refusal.

    Raises:
        Refused: `unavailable`, when it could not.
    """
    if isinstance(result, Failed):
        raise Refused(ErrorCode.UNAVAILABLE, "The server cannot store or read it now.", RETRY_SECONDS)


def refuse_registration(outcome: RegisterOutcome) -> None:
    """Turn what the store said into a refusal.

    Raises:
        Refused: unless the account is registered.
    """
    match outcome:
        case RegisterOutcome.REGISTERED:
            return
        case RegisterOutcome.NAME_TAKEN:
            raise Refused(ErrorCode.NAME_TAKEN, "That username is registered under another identity key.")
        case RegisterOutcome.CLOSED:
            raise Refused(ErrorCode.REGISTRATION_CLOSED, "This server takes no registrations.")
        case RegisterOutcome.BAD_INVITE:
            raise Refused(ErrorCode.BAD_INVITE, "The invite code is missing, unknown or used.")
        case RegisterOutcome.TOO_MANY_DEVICES:
            refuse_device(DeviceOutcome.TOO_MANY_DEVICES)
        case _:
            assert_never(outcome)


def refuse_device(outcome: DeviceOutcome) -> None:
    """Turn what the store said into a refusal.

    Raises:
        Refused: unless the device is stored.
    """
    match outcome:
        case DeviceOutcome.STORED:
            return
        case DeviceOutcome.TOO_MANY_DEVICES:
            raise Refused(ErrorCode.TOO_MANY, "The account has as many devices as it may have.")
        case DeviceOutcome.NO_ACCOUNT:
            raise Refused(ErrorCode.UNKNOWN_USER, _NO_ACCOUNT)
        case _:
            assert_never(outcome)


def refuse_prekeys(outcome: PrekeysOutcome) -> None:
    """Turn what the store said into a refusal.

    Raises:
        Refused: unless the prekeys are stored.
    """
    match outcome:
        case PrekeysOutcome.REPLACED:
            return
        case PrekeysOutcome.OTHER_KEY:
            raise Refused(ErrorCode.BAD_SIGNATURE, "The device has another key by now.")
        case _:
            assert_never(outcome)


def reachable_devices(account: Account, now: float) -> list[DeviceEntry]:
    """The devices that can be rung now, and those that are away for longer than their prekeys hold.

    What is stored for the latter is sealed to their newest prekey although that has expired, as long as a device keeps
    its private half: whoever calls sees by its date that no ring may be sealed to it.

    Only dates are looked at. Every signature was checked before it was stored, and the store keeps no prekey of a key
    that its device had before. Whoever asked checks them all again, and need not trust this server or its database: to
    do it here as well would cost a millisecond a look-up and tell that node nothing.
    """
    entries = (_reachable(account.identity_key, device, now) for device in account.devices)
    return [entry for entry in entries if entry is not None]


def unreachable_devices(account: Account, reachable: Sequence[DeviceEntry], now: float) -> list[bytes]:
    """The certificates that hold of the devices that `reachable_devices` has left out."""
    told = {entry.certificate for entry in reachable}
    left_out = (device.certificate for device in account.devices if device.certificate not in told)
    return [certificate for certificate in left_out if _holds(account.identity_key, certificate, now)]


def _holds(identity_key: bytes, certificate: bytes, now: float) -> bool:
    """Whether a stored certificate is still good."""
    try:
        parsed = DeviceCertificate.parse(certificate)
    except CertificateError:
        return False
    return same_key(identity_key, parsed.identity_key) and now < parsed.not_after


def _reachable(identity_key: bytes, device: StoredDevice, now: float) -> DeviceEntry | None:
    if not _holds(identity_key, device.certificate, now):
        return None
    for then in (now, now - _KEPT_SECONDS):
        for raw in reversed(device.prekeys):
            try:
                prekey = SignedPrekey.parse(raw)
            except CertificateError:
                continue
            if then < prekey.not_after:
                return DeviceEntry(certificate=device.certificate, prekey=raw)
    return None


def _newest_last(prekeys: Sequence[SignedPrekey]) -> tuple[bytes, ...]:
    return tuple(prekey.raw for prekey in sorted(prekeys, key=lambda prekey: prekey.not_after))


def hash_invite(code: str) -> bytes:
    """What the database holds of an invite code; the code has enough randomness to need no salt."""
    return hashlib.sha256(b"entrenous invite v1" + code.strip().encode()).digest()


def hash_token(token: bytes) -> bytes:
    """What a session is looked up by instead of its token, so that the time of the look-up tells nothing about it."""
    return hashlib.sha256(token).digest()
