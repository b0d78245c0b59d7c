"""Two ends deciding against each other in a simulated network: connect, move, stay, and never send blindly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.media.transport.pairs import CONSENT_LIFETIME, LEG_LIFETIME, Local, Remote
from entrenous.media.transport.paths import Paths
from entrenous.media.transport.stun import Address
from entrenous.media.transport.table import MAX_PAIRS, MAX_REMOTES
from world.pathworld import End, Link, PathWorld, direct, relays


def remote_of(end: End) -> Address:
    assert end.paths.selected is not None
    return end.paths.selected.remote.address


def test_one_round_trip_connects() -> None:
    world = PathWorld(delay=0.05)
    direct(world)
    world.start()
    world.run(0.12)
    assert [len(end.moved) for end in world.ends] == [1, 1]
    world.run(60.0)
    assert [len(end.moved) for end in world.ends] == [1, 1]
    # A call that nothing happens to costs little: about one check every second or two.
    assert all(end.checks < 60 for end in world.ends)


def test_a_call_that_starts_relayed_moves_to_the_direct_path_when_there_is_one() -> None:
    world = PathWorld()
    one, two = direct(world)
    relays(world)
    world.cut(one, two)
    world.start()
    world.run(0.5)
    assert all(end.used is not None and not end.used.is_direct for end in world.ends)
    world.run(10.0)
    world.cut(one, two, up=True)
    world.run(8.0)
    assert all(end.used is not None and end.used.is_direct for end in world.ends)
    assert all(world.gap(end, 101.0) < 0.1 for end in world.ends)
    moves = [len(end.moved) for end in world.ends]
    world.run(120.0)
    assert [len(end.moved) for end in world.ends] == moves


def test_within_the_hold_a_direct_path_is_waited_for() -> None:
    world = PathWorld(hold=0.3)
    one, two = direct(world)
    relays(world)
    world.links[one, two] = world.links[two, one] = Link(delay=0.1)
    world.start()
    world.run(5.0)
    assert all(end.moved[0][1].is_direct for end in world.ends)


@pytest.mark.parametrize("controlling", [True, False])
def test_a_new_address_is_followed_in_two_round_trips(controlling: bool) -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    world.start()
    world.run(5.0)
    mover, old = (world.a, one) if controlling else (world.b, two)
    changed_at = world.now
    world.take(mover, old)
    world.add(mover, "10.0.7.7", tell=False)
    world.changed(mover)
    world.run(3.0)
    assert world.gap(mover, changed_at) < 0.15
    assert world.gap(world.other(mover), changed_at) < 0.15
    assert {remote_of(world.other(mover)).host} == {"10.0.7.7"}


def test_ends_that_move_at_once_do_not_trust_what_worked_before() -> None:
    world = PathWorld(delay=0.02)
    olds = direct(world)
    relays(world)
    world.start()
    world.run(5.0)
    changed_at = world.now
    for end, old in zip(world.ends, olds, strict=True):
        end.locals[old].is_up = False
    for end, host in zip(world.ends, ("10.0.7.7", "10.0.7.8"), strict=True):
        world.add(end, host, tell=False)
        world.changed(end)
    world.run(3.0)
    assert max(world.gap(end, changed_at) for end in world.ends) < 0.2


@pytest.mark.parametrize("controlling", [True, False])
def test_ends_that_move_again_and_again_are_followed_as_fast_as_at_first(controlling: bool) -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    relays(world)
    mover, old = (world.a, one) if controlling else (world.b, two)
    for number in range(3):  # as many more as make too many pairs before long
        world.add(world.other(mover), f"10.0.8.{number}")
    world.start()
    world.run(5.0)
    for number in range(25):
        changed_at = world.now
        world.take(mover, old)
        old = world.add(mover, f"10.0.7.{number}")
        world.changed(mover)
        world.run(4.0)
        assert world.gap(mover, changed_at) < 0.15
        assert world.gap(world.other(mover), changed_at) < 0.15


def test_a_better_pair_has_to_show_that_it_outlived_what_broke_the_one_before() -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    near, far = relays(world)
    world.start()
    world.run(60.0)
    assert {remote_of(end) for end in world.ends} == {one, two}
    changed_at = world.now
    world.take(world.b, two)
    world.take(world.b, far)  # the peer's relay goes with its address, and was proven often before
    new = world.add(world.b, "10.9.0.3", "relay")
    world.links[one, new] = world.links[new, one] = Link(up=False)
    world.changed(world.b)
    world.run(3.0)
    assert [pair.remote.address for at, pair in world.a.moved if at >= changed_at] == [new]
    assert {remote_of(end) for end in world.ends} == {near, new}


def test_a_socket_that_goes_is_replaced_towards_where_the_peer_is_now() -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    near = world.add(world.a, "10.9.0.1", "relay")
    world.links[one, two] = world.links[two, one] = Link(up=False)
    world.start()
    world.run(5.0)
    assert {remote_of(end) for end in world.ends} == {near, two}
    world.take(world.b, two)
    new = world.add(world.b, "10.0.7.7")
    world.changed(world.b)
    world.run(5.0)
    assert {remote_of(end) for end in world.ends} == {one, new}
    world.take(world.a, one)
    changed_at = world.now
    world.changed(world.a)
    world.run(2.0)
    assert [pair.remote.address for at, pair in world.a.moved if at >= changed_at] == [new]
    assert world.gap(world.b, changed_at) < 0.1


def test_silence_moves_to_the_warm_pair() -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    relays(world)
    world.start()
    world.run(10.0)
    cut_at = world.now
    world.cut(one, two)
    world.run(3.0)
    assert all(world.gap(end, cut_at) < 0.5 for end in world.ends)
    world.cut(one, two, up=True)
    world.run(30.0)
    assert all(end.used is not None and end.used.is_direct for end in world.ends)


def test_answers_that_were_held_up_for_a_moment_do_not_slow_the_next_move() -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    relays(world)
    world.start()
    world.run(10.0)
    for way in ((one, two), (two, one)):
        world.links[way] = Link(delay=0.5)  # a radio that sleeps, a router that is looked for
    world.run(0.6)
    world.links.clear()
    world.run(3.0)
    cut_at = world.now
    world.cut(one, two)
    world.run(3.0)
    assert all(world.gap(end, cut_at) < 0.5 for end in world.ends)


def test_media_is_back_as_soon_as_the_link_is() -> None:
    world = PathWorld(delay=0.02)
    one, two = direct(world)
    world.start()
    world.run(5.0)
    world.cut(one, two)
    world.run(10.0)
    world.cut(one, two, up=True)
    back_at = world.now
    world.run(2.0)
    assert all(next(at for at in end.heard if at >= back_at) - back_at < 0.1 for end in world.ends)


def test_consent_ends_and_nothing_more_is_sent() -> None:
    world = PathWorld()
    one, two = direct(world)
    world.start()
    world.run(5.0)
    world.cut(one, two)
    world.run(CONSENT_LIFETIME + 1.0)
    for end in world.ends:
        assert not end.paths.is_lost(world.now)
        assert end.paths.selected is not None
        assert not end.paths.selected.may_send(world.now)
    world.run(LEG_LIFETIME - CONSENT_LIFETIME)
    assert all(end.paths.is_lost(world.now) for end in world.ends)


@pytest.mark.parametrize("before", [0.5, 1.5, 2.5, 3.5])
def test_after_half_a_minute_without_any_network_media_is_back_at_once(before: float) -> None:
    world = PathWorld()
    one, two = direct(world)
    world.start()
    world.run(5.0 + before)
    world.cut(one, two)
    world.run(33.0)
    assert not any(end.paths.is_lost(world.now) for end in world.ends)
    world.cut(one, two, up=True)
    back_at = world.now
    world.run(2.0)
    assert all(next(at for at in end.heard if at >= back_at) - back_at < 0.5 for end in world.ends)


def test_a_slow_path_with_jitter_and_loss_lives() -> None:
    world = PathWorld(delay=0.4, loss=0.05)
    world.default.jitter = 0.1
    direct(world)
    world.start()
    world.run(300.0)
    assert all(len(end.moved) == 1 for end in world.ends)
    assert all(world.gap(end, 105.0) < 0.5 for end in world.ends)


def test_a_hopeless_leg_is_known_as_such() -> None:
    world = PathWorld()
    one, two = direct(world)
    world.cut(one, two)
    world.start()
    world.run(10.0)
    assert not world.a.paths.is_hopeless(world.now, 3.0)  # more addresses may come
    world.a.paths.complete(world.now)
    world.run(2.9)
    assert not world.a.paths.is_hopeless(world.now, 3.0)
    world.run(0.2)
    assert world.a.paths.is_hopeless(world.now, 3.0)


def test_the_table_and_the_rate_of_checks_are_bounded() -> None:
    world = PathWorld()
    for number in range(6):
        world.add(world.a, f"10.0.0.{number}")
    for number in range(1000):
        world.a.paths.add_remote(Remote(Address(f"192.0.{number // 250}.{number % 250}", 9), "host"), world.now)
    world.start()
    world.run(10.0)
    assert len(list(world.a.paths.pairs)) <= MAX_PAIRS
    assert (
        sum(1 for number in range(1000) if world.a.paths.knows(Address(f"192.0.{number // 250}.{number % 250}", 9)))
        <= MAX_REMOTES
    )
    assert world.a.checks <= 510


def test_a_late_nomination_does_not_undo_a_newer_one() -> None:
    paths = Paths(controlling=False, hold=0.0)
    local = Local(is_ipv6=False)
    first, second = Remote(Address("10.0.0.1", 1), "host"), Remote(Address("10.0.0.2", 1), "host")
    paths.add_local(local, 0.0)
    for remote in (first, second):
        paths.add_remote(remote, 0.0)
    paths.start(0.0)
    for pair in paths.pairs:
        paths.answered(pair, 0.0, 0.01)
    paths.check_heard(local, second, 0.02, nominated=True, nomination=2)
    paths.poll(0.02)
    assert paths.selected is not None
    assert paths.selected.remote is second
    paths.check_heard(local, first, 0.03, nominated=True, nomination=1)
    paths.poll(0.03)
    assert paths.selected.remote is second


def test_media_from_elsewhere_moves_nothing_before_that_address_has_answered() -> None:
    world = PathWorld()
    direct(world)
    world.start()
    world.run(5.0)
    local = next(iter(world.a.locals.values()))
    stranger = Address("203.0.113.9", 9)
    for _ in range(100):
        world.a.paths.media_heard(local, stranger, world.now)
        world.run(0.02)
        assert remote_of(world.a) != stranger


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    loss=st.sampled_from([0.0, 0.05, 0.2]),
    delay=st.sampled_from([0.005, 0.05, 0.4]),
    steps=st.lists(
        st.tuples(st.sampled_from(["cut", "mend", "move", "both", "quiet"]), st.integers(0, 1)), min_size=1, max_size=6
    ),
)
def test_whatever_happens_the_ends_meet_again_and_rest(
    seed: int, loss: float, delay: float, steps: list[tuple[str, int]]
) -> None:
    world = PathWorld(seed=seed, loss=loss, delay=delay, media=0.04)
    hosts = list(direct(world))
    relays(world)
    world.start()
    world.run(10.0)
    for step, who in steps:
        end = world.ends[who]
        match step:
            case "cut" | "mend":
                world.cut(hosts[who], up=step == "mend")
            case "move" | "both":
                for number in (who,) if step == "move" else (0, 1):
                    mover = world.ends[number]
                    world.take(mover, hosts[number])
                    hosts[number] = world.add(mover, f"10.1.{len(world.links) % 200}.{world.random.randrange(200)}")
                    world.changed(mover)
            case _:
                end.sends_media = not end.sends_media
        world.run(3.0)
    world.cut(*hosts, up=True)
    world.run(40.0)
    for end in world.ends:
        assert end.used is not None
        assert end.used.may_send(world.now)
    if loss < 0.2:
        assert all(end.used is not None and end.used.is_direct for end in world.ends)
        before = [len(end.moved) for end in world.ends]
        world.run(20.0)
        assert [len(end.moved) for end in world.ends] == before
