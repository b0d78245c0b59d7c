"""What goes by itself, at the start and every hour; and the week in which an account was used."""

from __future__ import annotations

from entrenous_signaling.accounts import Accounts
from entrenous_signaling.housekeeping import EXPIRE_SECONDS, Housekeeping
from entrenous_signaling.limits import Bounds
from entrenous_signaling.mailbox import DeviceKey
from entrenous_signaling.outputs import Execute, Outbox
from entrenous_signaling.retention import Retention
from entrenous_signaling.settings import HubSettings
from entrenous_signaling.store.requests import WEEK_SECONDS, Expire, MarkActive
from entrenous_wire.messages import Accepted
from world.hubworld import ALICE, BOB, SERVER, HubWorld, stored, two

DAY = 86_400.0


def rounds(world: HubWorld) -> list[Expire]:
    return [request for request in world.requests if isinstance(request, Expire)]


def marks(world: HubWorld) -> list[MarkActive]:
    return [request for request in world.requests if isinstance(request, MarkActive)]


def test_a_round_at_the_start_and_every_hour() -> None:
    world = HubWorld()
    assert world.hub.next_deadline() == world.now
    world.advance(3 * EXPIRE_SECONDS)
    assert [request.now - int(world.now) for request in rounds(world)] == [-10800, -7200, -3600, 0]


def test_a_round_that_failed_is_tried_again_soon() -> None:
    world = HubWorld()
    world.store_fails = True
    world.advance(100.0)
    world.store_fails = False
    world.advance(100.0)
    assert len(rounds(world)) == 3
    world.advance(EXPIRE_SECONDS / 2)
    assert len(rounds(world)) == 3


def test_while_the_store_is_at_it_no_second_round_begins() -> None:
    world = HubWorld()
    world.store_waits = True
    world.advance(5 * EXPIRE_SECONDS)
    assert len(rounds(world)) == 1


def test_a_message_that_nobody_fetches_goes_after_its_days() -> None:
    world, alice, bob = two()
    bob.drop()
    alice.say(ALICE.message(1, BOB)).hear(Accepted)
    world.advance(30 * DAY)
    assert len(stored(world)) == 1
    world.advance(DAY + EXPIRE_SECONDS)
    assert not stored(world)


def test_records_are_kept_for_so_many_days() -> None:
    retention = Retention(call_records_days=7)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), retention=retention))
    world.advance(1.0)
    assert rounds(world)[0].now - rounds(world)[0].records_before == 7 * DAY


def test_the_week_of_a_login_is_noted_once_and_of_who_stays_each_week() -> None:
    world, _, bob = two()
    world.advance(100.0)
    bob.drop()
    world.login(BOB)
    assert [mark.username for mark in marks(world)] == ["alice", "bob"]
    world.advance(WEEK_SECONDS)
    assert sorted(mark.username for mark in marks(world)[2:]) == ["alice", "bob"]
    assert all(mark.week == int(world.now) // WEEK_SECONDS for mark in marks(world)[2:])


def test_a_week_that_could_not_be_noted_is_noted_in_the_next_round() -> None:
    world = HubWorld()
    world.register(ALICE).drop()
    world.advance(2 * WEEK_SECONDS)
    world.store_waits = True
    node, hello = world.connect()
    node.say(ALICE.login(hello))
    ticket, request = world.waiting.pop(0)
    world.run(world.hub.stored(ticket, world.store.apply(request), world.now))
    world.store_fails, world.store_waits = True, False
    world.answer_store()
    world.store_fails = False
    assert world.store.weeks == {"alice": int(world.now) // WEEK_SECONDS - 2}
    world.advance(EXPIRE_SECONDS)
    assert world.store.weeks == {"alice": int(world.now) // WEEK_SECONDS}


def test_an_account_goes_when_it_was_not_used_for_its_days_and_not_before() -> None:
    retention = Retention(inactive_accounts_days=28)
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), retention=retention))
    world.register(ALICE).drop()
    world.register(BOB)
    world.advance(28 * DAY)
    assert set(world.store.identities) == {"alice", "bob"}
    world.advance(8 * DAY)
    assert set(world.store.identities) == {"bob"}  # whose device has been here all the time


def test_accounts_stay_for_ever_when_the_operator_wants_it() -> None:
    world = HubWorld(HubSettings(name=SERVER, message_key=bytes(32), retention=Retention(inactive_accounts_days=0)))
    world.register(ALICE).drop()
    world.advance(EXPIRE_SECONDS)
    assert {request.inactive_before_week for request in rounds(world)} == {0}


def test_in_a_new_week_everybody_who_stays_is_noted_a_part_at_a_time_before_anything_goes() -> None:
    outbox = Outbox()
    accounts = Accounts(Bounds())
    for number in range(600):
        accounts.enter(DeviceKey(f"user-{number}", "0" * 16), 0.0)
    keeping = Housekeeping(Retention(), outbox, 0.0)
    asked = []
    while (due := keeping.next_deadline()) is not None:
        keeping.tick(due, accounts.present())
        asked.append([type(output.request) for output in outbox.take() if isinstance(output, Execute)])
    assert [requests.count(MarkActive) for requests in asked] == [256, 256, 88]
    assert [requests.count(Expire) for requests in asked] == [0, 0, 1]
