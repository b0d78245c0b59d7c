"""Every device that is connected hears of each login of another device of its account, and nobody else does."""

from __future__ import annotations

from dataclasses import replace

from nacl.signing import SigningKey

from entrenous_wire.addresses import Address
from entrenous_wire.certificate import DeviceCertificate
from entrenous_wire.limits import SESSION_GRACE_SECONDS
from entrenous_wire.messages import Devices, FetchDevices, LoggedIn, Publish, Published
from world.hubworld import ALICE, BOB, BOB_PHONE, HubNode, HubWorld, account
from world.manyhubs import ManyHubs
from world.wirenode import Account

MINUTE = 60


def told(node: HubNode) -> list[LoggedIn]:
    """What a node has heard of logins since the last time."""
    heard, node.logins = node.logins, []
    return heard


def of(who: Account, at: float, *, new: bool) -> LoggedIn:
    return LoggedIn(device=who.device, at=int(at) // MINUTE * MINUTE, new=new)


def under_another_key(who: Account) -> Account:
    """A device with the id of another one: certified by the same identity, with a key of its own."""
    other, key = replace(who), SigningKey(b"s" * 32)
    address = Address(who.username, who.server)
    other.device_key = key
    other.certificate = DeviceCertificate.issue(
        who.identity_key, address, who.device, bytes(key.verify_key), who.not_after
    ).raw
    return other


def owned_devices(node: HubNode, who: Account) -> tuple[list[bytes], list[bytes]]:
    """The certificates of an account as the server tells them to a node: of those that can be rung, and the others."""
    answer = node.say(FetchDevices(request=1, address=who.address)).hear(Devices)
    return [entry.certificate for entry in answer.devices], answer.unreachable


def test_the_other_devices_of_the_account_hear_of_it_and_nobody_else() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    world.advance(95.0)
    phone, _ = world.login(BOB_PHONE)
    assert told(bob) == [of(BOB_PHONE, world.now, new=True)]
    assert told(phone) == told(alice) == []
    assert bob.heard == phone.heard == alice.heard == []


def test_a_known_device_is_not_new_at_its_next_login_nor_with_a_renewed_certificate() -> None:
    world = HubWorld()
    bob = world.register(BOB)
    world.login(BOB_PHONE)
    world.login(BOB_PHONE)
    world.login(account("bob", BOB_PHONE.device))
    renewed = Account("bob", BOB.server, BOB_PHONE.device, not_after=2**34)
    world.login(renewed)
    assert [login.new for login in told(bob)] == [True, False, False, False]


def test_the_id_of_a_known_device_under_another_key_is_new() -> None:
    world = HubWorld()
    bob = world.register(BOB)
    world.login(BOB_PHONE)
    world.login(under_another_key(BOB_PHONE))
    assert [login.new for login in told(bob)] == [True, True]


def test_a_registration_that_adds_a_device_is_told_as_new() -> None:
    world = HubWorld()
    bob = world.register(BOB)
    world.register(BOB_PHONE)
    assert told(bob) == [of(BOB_PHONE, world.now, new=True)]


def test_resuming_is_no_login() -> None:
    hubs = ManyHubs(2)
    bob = hubs.hubs[0].register(BOB)
    phone, welcome = hubs.hubs[1].login(BOB_PHONE)
    assert len(told(bob)) == 1
    phone.drop()
    hubs.hubs[1].resume(welcome).drop()
    hubs.hubs[0].resume(welcome)
    assert told(bob) == []


def test_a_login_that_is_refused_is_not_told() -> None:
    world = HubWorld()
    bob = world.register(BOB)
    node, hello = world.connect()
    node.say(account("bob", BOB_PHONE.device, identity="another").login(hello))
    world.store_fails = True
    node, hello = world.connect()
    node.say(BOB_PHONE.login(hello))
    assert told(bob) == []


def test_a_device_that_is_away_or_gone_is_not_told_later() -> None:
    world = HubWorld()
    bob, welcome = world.welcomed(BOB)
    bob.drop()
    world.login(BOB_PHONE)
    world.advance(SESSION_GRACE_SECONDS + 1.0)
    bob, _ = world.login(BOB)
    assert told(bob) == []
    assert welcome.address == BOB.address


def test_it_is_told_at_every_node_once() -> None:
    hubs = ManyHubs(3)
    bob, alice = hubs.hubs[0].register(BOB), hubs.hubs[1].register(ALICE)
    tablet = account("bob", "00000000000000cc")
    third, _ = hubs.hubs[1].login(tablet)
    assert told(bob) == [of(tablet, hubs.now, new=True)]
    phone, _ = hubs.hubs[2].login(BOB_PHONE)
    assert told(bob) == told(third) == [of(BOB_PHONE, hubs.now, new=True)]
    assert told(phone) == told(alice) == []


def test_a_device_that_moves_to_another_node_by_a_login_is_not_told_of_itself() -> None:
    hubs = ManyHubs(2)
    bob = hubs.hubs[0].register(BOB)
    there, _ = hubs.hubs[1].login(BOB)
    assert told(bob) == told(there) == []


def test_nodes_that_meet_tell_of_no_login() -> None:
    hubs = ManyHubs(2)
    bob = hubs.hubs[0].register(BOB)
    hubs.hubs[1].login(BOB_PHONE)
    assert len(told(bob)) == 1
    hubs.hubs[1].cut()
    hubs.advance(20.0)
    hubs.hubs[1].mend()
    hubs.advance(20.0)
    assert told(bob) == []


def test_a_device_without_prekeys_is_shown_to_its_own_account_only() -> None:
    world = HubWorld()
    alice, bob = world.register(ALICE), world.register(BOB)
    phone, _ = world.login(BOB_PHONE)
    assert owned_devices(bob, BOB) == ([BOB.certificate], [BOB_PHONE.certificate])
    assert owned_devices(alice, BOB) == ([BOB.certificate], [])
    phone.say(Publish(request=1, prekeys=[BOB_PHONE.prekey])).hear(Published)
    assert owned_devices(bob, BOB) == ([BOB.certificate, BOB_PHONE.certificate], [])


def test_a_device_whose_certificate_has_expired_is_shown_to_nobody() -> None:
    world = HubWorld()
    bob = world.register(BOB)
    world.login(Account("bob", BOB.server, BOB_PHONE.device, not_after=int(world.now) + 100))
    assert len(owned_devices(bob, BOB)[1]) == 1
    world.advance(100.0)
    assert owned_devices(bob, BOB) == ([BOB.certificate], [])
