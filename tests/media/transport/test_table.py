"""Which pairs the addresses of both ends make, within bounds."""

from __future__ import annotations

from entrenous.media.transport.pairs import Local, Remote
from entrenous.media.transport.stun import Address
from entrenous.media.transport.table import MAX_PAIRS, MAX_REMOTES, PairTable


def remote(number: int, kind: str = "host") -> Remote:
    return Remote(Address(f"192.0.2.{number}", 9), kind)


def test_only_addresses_of_one_kind_make_a_pair() -> None:
    table = PairTable()
    four, six = Local(is_ipv6=False), Local(is_ipv6=True, relayed=True)
    assert table.add_local(four, 0.0, None) == (False, [])
    assert table.add_local(six, 0.0, None) == (False, [])
    assert table.has_hosts
    assert table.add_remote(remote(1), 0.0, None) == (True, [])
    assert table.add_remote(Remote(Address("2001:db8::1", 9), "host"), 0.0, None) == (True, [])
    assert len(list(table.pairs)) == 2
    assert table.find(four, Address("2001:db8::1", 9)) is None


def test_the_peer_may_tell_more_of_a_known_address() -> None:
    table = PairTable()
    local = Local(is_ipv6=False)
    table.add_local(local, 0.0, None)
    table.add_remote(remote(1, "prflx"), 0.0, None)
    assert table.add_remote(remote(1, "relay"), 0.0, None) == (False, [])
    pair = table.find(local, remote(1).address)
    assert pair is not None
    assert pair.remote.kind == "relay"


def test_what_was_of_no_use_for_the_longest_makes_room_but_never_what_is_used() -> None:
    table = PairTable()
    local = Local(is_ipv6=False)
    table.add_local(local, 0.0, None)
    for number in range(MAX_REMOTES):
        table.add_remote(remote(number), 0.0, None)
    used, unused = (table.find(local, remote(number).address) for number in (0, 5))
    for pair in table.pairs:
        pair.answered_at = 50.0
    assert used is not None
    assert unused is not None
    used.answered_at, unused.answered_at = 1.0, 2.0
    made, dropped = table.add_remote(remote(200), 60.0, used)
    assert made
    assert dropped == [unused]
    assert not table.knows(remote(5).address)
    assert table.knows(remote(0).address)


def test_a_socket_takes_its_pairs_along() -> None:
    table = PairTable()
    one, two = Local(is_ipv6=False), Local(is_ipv6=False)
    for local in (one, two):
        table.add_local(local, 0.0, None)
    table.add_remote(remote(1), 0.0, None)
    (gone,) = table.drop_local(one)
    assert gone.local is one
    assert [pair.local for pair in table.pairs] == [two]


def test_new_addresses_of_either_end_are_paired_however_many_there_were_before() -> None:
    table = PairTable()
    first = Local(is_ipv6=False)
    table.add_local(first, 0.0, None)
    table.add_remote(remote(0), 0.0, None)
    used = table.find(first, remote(0).address)
    for number in range(1, 31):
        now = 10.0 * number
        local, theirs = Local(is_ipv6=False), remote(number)
        assert table.add_local(local, now, used)[0]
        made, dropped = table.add_remote(theirs, now, used)
        assert made
        assert used not in dropped
        assert table.find(local, theirs.address) is not None
        assert table.find(first, theirs.address) is not None
        assert len(list(table.pairs)) <= MAX_PAIRS
    assert not table.knows(remote(1).address)
    assert table.knows(remote(0).address)


def test_what_the_peer_named_or_used_last_is_checked_first() -> None:
    table = PairTable()
    ours = Local(is_ipv6=False)
    table.add_local(ours, 0.0, None)
    kinds = ("host", "srflx", "relay")
    for number in range(9):  # three networks, one after the other
        table.add_remote(remote(number, kinds[number % 3]), 10.0 * (number // 3), None)
    assert [pair.remote.address for pair in table.due(30.0, None)[:3]] == [remote(n).address for n in (6, 7, 8)]
    alive, left = (table.find(ours, remote(number).address) for number in (1, 0))
    assert alive is not None
    assert left is not None
    alive.heard_at = 25.0
    left.next_check = 31.0
    order = table.due(30.0, alive)
    assert order[0] is alive
    assert [pair.remote.address for pair in order[1:3]] == [remote(n).address for n in (6, 8)]
    assert left not in order
