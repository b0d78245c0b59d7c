"""A notice of a missed call is for one device and one message, by one certified device, and not for ever."""

from __future__ import annotations

import msgspec
import pytest

from crypto.people import CALL_ID, NOW, device_of, profile, seeded
from entrenous.crypto.handshake_messages import MediaKinds
from entrenous.crypto.identity import VerifiedDevice
from entrenous.crypto.notices import STALE_SECONDS, MissedCallNotice, open_notice, seal_notice
from entrenous.crypto.prekeys import KEEP_SECONDS, ROTATE_SECONDS
from entrenous.crypto.profile import Credentials, Profile
from entrenous.crypto.ring import CLOCK_SKEW_SECONDS
from entrenous.errors import RemoteProtocolError, VerificationError
from entrenous_wire.addresses import Address
from entrenous_wire.limits import BODY_SIZES

ALICE, BOB, EVE = profile("alice"), profile("bob"), profile("eve")
ID = b"the letter's id."
BOTH = MediaKinds.AUDIO | MediaKinds.VIDEO


def notice(
    *,
    by: Credentials | None = None,
    to: VerifiedDevice | None = None,
    message_id: bytes = ID,
    at: float = NOW,
) -> bytes:
    return seal_notice(by or ALICE.credentials(), to or device_of(BOB), message_id, CALL_ID, BOTH, at)


def opened(body: bytes, *, now: float = NOW, message_id: bytes = ID, by: Profile = BOB) -> MissedCallNotice:
    return open_notice(by.credentials(), body, message_id, now)


def test_a_notice_says_who_called_when_and_how() -> None:
    body = notice(at=NOW - 5.25)
    assert len(body) == BODY_SIZES[1], "the hybrid key of the seal alone is longer than the smallest body"
    found = opened(body)
    assert (str(found.caller), found.caller_identity) == (ALICE.address, ALICE.identity.public_key)
    assert (found.call_id, found.kinds, found.started_at) == (CALL_ID, BOTH, NOW - 5.25)
    assert ALICE.address not in repr(found)


def test_a_notice_is_not_readable_for_another_device() -> None:
    with pytest.raises(VerificationError):
        opened(notice(), by=EVE)


def test_a_notice_under_another_id_is_a_replay() -> None:
    with pytest.raises(VerificationError, match="meant for another"):
        opened(notice(), message_id=b"another letter's")


@pytest.mark.parametrize("what", ["account", "device", "identity"])
def test_a_notice_for_another_is_refused_though_it_is_sealed_to_us(what: str) -> None:
    own = BOB.credentials().certificate
    match what:
        case "account":
            certificate = EVE.credentials().certificate
        case "device":
            certificate = BOB.identity.certify(own.address, "ff" * 8, own.device_key, NOW)
        case _:
            certificate = EVE.identity.certify(own.address, own.device_id, own.device_key, NOW)
    with pytest.raises(VerificationError, match="meant for another"):
        opened(notice(to=VerifiedDevice(certificate, device_of(BOB).prekey)))


def test_a_notice_that_the_certified_device_did_not_sign_is_refused() -> None:
    alice = ALICE.credentials()
    with pytest.raises(VerificationError):
        opened(notice(by=Credentials(alice.certificate, EVE.device, alice.prekeys)))


@pytest.mark.parametrize(
    ("age", "taken"),
    [
        (-CLOCK_SKEW_SECONDS, True),
        (-CLOCK_SKEW_SECONDS - 1, False),
        (STALE_SECONDS, True),
        (STALE_SECONDS + 1, False),
    ],
)
def test_a_notice_is_neither_from_the_future_nor_too_old(age: float, taken: bool) -> None:
    body = notice(at=NOW - age)
    if taken:
        opened(body)
    else:
        with pytest.raises(VerificationError, match="too old"):
            opened(body)


def test_a_notice_to_a_prekey_that_expired_meanwhile_is_opened_while_its_private_half_is_kept() -> None:
    body = notice()
    later = NOW + ROTATE_SECONDS + KEEP_SECONDS + 20 * 86_400
    back = BOB.refreshed(later, seeded("back"))
    assert len(back.prekeys) == 2
    assert opened(body, now=later, by=back).call_id == CALL_ID
    with pytest.raises(VerificationError):
        opened(body, now=later, by=back.without_expired_prekeys(later))


@pytest.mark.parametrize("at", range(0, 2048, 97))
def test_a_changed_notice_is_refused(at: int) -> None:
    body = bytearray(notice())
    body[at] ^= 1
    with pytest.raises(VerificationError):
        opened(bytes(body))


def test_no_content_is_taken_but_a_whole_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: list[bytes] = []
    monkeypatch.setattr("entrenous.crypto.notices.pad", lambda text, overhead: plain.append(text) or text)
    notice()
    for content in (plain[0][:-1], plain[0] + b"\0", b"\2" + plain[0][1:], plain[0][:41] + b"\0" + plain[0][42:], b""):
        monkeypatch.setattr("entrenous.crypto.notices.open_letter", lambda *_, content=content: content)
        monkeypatch.setattr("entrenous.crypto.notices.unpad", lambda text: text)
        with pytest.raises(RemoteProtocolError):
            opened(bytes(1024))


def test_the_longest_addresses_fit() -> None:
    longest = Address("a" * 64, f"{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.org")
    bob = Profile.create(longest, NOW, seeded("long"))
    alice = msgspec.structs.replace(
        ALICE,
        address=str(longest),
        certificate=ALICE.identity.certify(longest, ALICE.device_id, ALICE.device.public_key, NOW).raw,
    )
    body = notice(by=alice.credentials(), to=device_of(bob))
    assert len(body) in BODY_SIZES
    assert opened(body, by=bob).caller == longest
