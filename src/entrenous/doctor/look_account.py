"""Looking at the account, and with it at the server: the profile, the login, relay credentials, somebody's devices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Devices, ErrorCode, Turn

from ..account import Nobody, credentials_of
from ..config import NodeConfig
from ..crypto.contacts import check_identity
from ..crypto.identity import VerifiedDevice
from ..errors import (
    IdentityChanged,
    KeystoreError,
    RequestRefused,
    ServerUnreachable,
    VerificationError,
    WrongPassphrase,
)
from ..link import Link
from ..profile import Profile
from .facts import AccountFacts, AccountProblem, LoginFacts, PeerFacts, PeerProblem

LOGIN_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 4.0


async def look_at_account(open_profile: Callable[[], Profile]) -> tuple[AccountFacts, Profile | None]:
    """Open the profile.

    Args:
        open_profile: opens it, in another thread since it takes a moment; raises KeystoreError.
    """
    try:
        profile = await asyncio.to_thread(open_profile)
    except WrongPassphrase as error:
        return AccountFacts(AccountProblem.WRONG_PASSPHRASE, str(error)), None
    except KeystoreError as error:
        return AccountFacts(AccountProblem.UNUSABLE, str(error)), None
    if not profile.stored.registered:
        return AccountFacts(AccountProblem.UNREGISTERED), None
    return AccountFacts(contacts=len(profile.contacts)), profile


@asynccontextmanager
async def log_in(config: NodeConfig, profile: Profile) -> AsyncIterator[tuple[LoginFacts, Link | None]]:
    """Log in like a node; the link is closed afterwards.

    Args:
        config: where the server is.
        profile: whose account; a certificate that has almost run out is renewed, as a node would.
    """
    try:
        await asyncio.to_thread(profile.refresh)
        link = Link(config, credentials_of(profile), Nobody())
        await link.open(LOGIN_SECONDS)
    except RequestRefused as error:
        yield LoginFacts(refusal=error.code, sentence=str(error)), None
        return
    except (ServerUnreachable, KeystoreError) as error:
        yield LoginFacts(failed=True, sentence=str(error)), None
        return
    try:
        yield LoginFacts(), link
    finally:
        await link.close()


async def ask_for_relays(link: Link) -> Turn | str | None:
    """The relays with credentials; None where the operator runs none, a sentence where there was no answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await link.fetch_turn()
    except RequestRefused as error:
        return None if error.code == ErrorCode.NO_RELAY else str(error)
    except ServerUnreachable as error:
        return str(error)
    except TimeoutError:
        return "it did not answer in time"


async def look_at_peer(link: Link | None, profile: Profile, peer: Address) -> PeerFacts:
    """What the server shows for somebody, held against the contacts; nothing is pinned or remembered by it.

    Args:
        link: a session, or None when there is none.
        profile: whose contacts.
        peer: whom to look at.
    """
    pin = profile.stored.contact(peer)
    is_contact, is_verified = pin is not None, pin is not None and pin.verified

    def found(problem: PeerProblem | None = None, *, devices: int = 0, sentence: str = "") -> PeerFacts:
        return PeerFacts(str(peer), problem, is_contact, is_verified, devices, sentence)

    if peer == profile.address:
        return found(PeerProblem.IS_SELF)
    if pin is not None and pin.refused_key is not None:
        return found(PeerProblem.KEY_CHANGED)
    if peer.host != profile.address.host:
        return found(PeerProblem.ELSEWHERE)
    if link is None:
        return found(PeerProblem.UNCHECKED)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await link.fetch_devices(peer)
    except RequestRefused as error:
        unknown = error.code == ErrorCode.UNKNOWN_USER
        return found(PeerProblem.UNKNOWN if unknown else PeerProblem.UNCHECKED, sentence=str(error))
    except ServerUnreachable as error:
        return found(PeerProblem.UNCHECKED, sentence=str(error))
    except TimeoutError:
        return found(PeerProblem.UNCHECKED, sentence="The server did not answer in time.")
    if answer.address != str(peer):
        return found(PeerProblem.UNVERIFIABLE)
    try:
        check_identity(peer, pin, answer.identity_key)
    except IdentityChanged:
        return found(PeerProblem.KEY_CHANGED)
    now = time.time()
    verified = _verified(peer, answer, now)
    if answer.devices and not verified:
        return found(PeerProblem.UNVERIFIABLE)
    ringable = sum(device.can_ring(now) for device in verified)
    return found(None if ringable else PeerProblem.NO_DEVICE, devices=ringable)


def _verified(peer: Address, answer: Devices, now: float) -> list[VerifiedDevice]:
    """The devices that verify."""
    verified = []
    for entry in answer.devices:
        try:
            device = VerifiedDevice.verify(peer, answer.identity_key, entry.certificate, entry.prekey, now)
        except VerificationError:
            continue
        verified.append(device)
    return verified
