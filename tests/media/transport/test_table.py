"""Which pairs the addresses of both ends make, within bounds."""

from __future__ import annotations

from entrenous.media.transport.pairs import Local, Remote
from entrenous.media.transport.stun import Address
from entrenous.media.transport.table import MAX_REMOTES, PairTable


def remote(number: int, kind: str = "host") -> Remote:
    return Remote(Address(f"192.0.2.{number}", 9), kind)


def test_only_addresses_of_one_kind_make_a_pair() -> None:
    table = PairTable()
    four, six = Local(is_ipv6=False), Local(is_ipv6=True, relayed=True)
    assert not table.add_local(four, 0.0)
    assert not table.add_local(six, 0.0)
    assert table.has_hosts
    assert table.add_remote(remote(1), 0.0, None) == (True, [])
    assert table.add_remote(Remote(Address("2001:db8::1", 9), "host"), 0.0, None) == (True, [])
    assert len(list(table.pairs)) == 2
    assert table.find(four, Address("2001:db8::1", 9)) is None


def test_the_peer_may_tell_more_of_a_known_address() -> None:
    table = PairTable()
    local = Local(is_ipv6=False)
    table.add_local(local, 0.0)
    table.add_remote(remote(1, "prflx"), 0.0, None)
    assert table.add_remote(remote(1, "relay"), 0.0, None) == (False, [])
    pair = table.find(local, remote(1).address)
    assert pair is not None
    assert pair.remote.kind == "relay"


def test_what_was_of_no_use_for_the_longest_makes_room_but_never_what_is_used() -> None:
    table = PairTable()
    local = Local(is_ipv6=False)
    table.add_local(local, 0.0)
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
        table.add_local(local, 0.0)
    table.add_remote(remote(1), 0.0, None)
    (gone,) = table.drop_local(one)
    assert gone.local is one
    assert [pair.local for pair in table.pairs] == [two]
