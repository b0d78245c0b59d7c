"""Who is where: the newest session counts, a lost node's devices are expected, and nothing stays for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.cluster.directory import Directory
from entrenous_signaling.cluster.envelopes import Session
from entrenous_signaling.mailbox import DeviceKey

M, N = b"M" * 8, b"N" * 8
BOB, EVE = DeviceKey("bob", "b" * 16), DeviceKey("eve", "e" * 16)
NOW = 1_000.0


def session(stamp: int, key: DeviceKey = BOB, token: bytes = b"t") -> Session:
    return Session(*key, stamp, token.ljust(32), 2**33, bytes(32))


def test_a_session_is_found_by_its_device_and_by_its_token() -> None:
    directory = Directory()
    assert directory.find(BOB) is None
    assert directory.put(M, session(1))
    home = directory.find(BOB)
    assert home is not None
    assert (home.node, home.lost_until) == (M, None)
    assert directory.find_session(b"t".ljust(32)) == (BOB, home)
    assert directory.find_session(bytes(32)) is None
    assert list(directory.of(M)) == [session(1)]
    assert list(directory.of(N)) == []


def test_the_newer_session_counts_whichever_is_heard_of_first() -> None:
    for order in ((M, 1, N, 2), (N, 2, M, 1)):
        directory = Directory()
        first, its_stamp, second, other_stamp = order
        directory.put(first, session(its_stamp, token=first))
        directory.put(second, session(other_stamp, token=second))
        home = directory.find(BOB)
        assert home is not None
        assert home.node == N
        assert directory.find_session(N.ljust(32)) == (BOB, home)
        assert directory.find_session(M.ljust(32)) is None
        assert len(directory) == 1


@given(st.permutations([(M, 5), (N, 5), (M, 4), (N, 3)]))
def test_all_nodes_come_to_the_same(order: list[tuple[bytes, int]]) -> None:
    directory = Directory()
    for node, stamp in order:
        directory.put(node, session(stamp))
    home = directory.find(BOB)
    assert home is not None
    assert (home.node, home.session.stamp) == (N, 5)


def test_a_stamp_is_newer_than_all_that_were_seen_however_wrong_a_clock_is() -> None:
    directory = Directory()
    directory.put(M, session(10**15))
    assert directory.stamp(NOW) == 10**15 + 1
    assert directory.stamp(NOW) == 10**15 + 2
    assert Directory().stamp(NOW) == 1_000_000


def test_the_sessions_of_an_account_are_found_wherever_they_are() -> None:
    directory = Directory()
    phone = DeviceKey("bob", "0" * 16)
    directory.put(M, session(1))
    directory.put(N, session(2, phone))
    directory.put(N, session(3, EVE))
    homes = [(home.node, home.session.device) for home in directory.of_account("bob")]
    assert homes == [(M, BOB.device), (N, phone.device)]
    directory.remove_account("bob")
    assert list(directory.of_account("bob")) == []
    assert len(directory) == 1


def test_only_the_node_that_has_a_session_ends_it() -> None:
    directory = Directory()
    directory.put(M, session(1))
    directory.put(N, session(2))
    assert not directory.remove(BOB, M)
    assert directory.remove(BOB, N)
    assert not directory.remove(BOB, N)
    assert (len(directory), directory.find_session(b"t".ljust(32))) == (0, None)


def test_the_devices_of_a_lost_node_are_expected_for_a_while_and_then_forgotten() -> None:
    directory = Directory()
    directory.put(M, session(1))
    directory.put(N, session(1, EVE))
    directory.lose(M, NOW + 60)
    home = directory.find(BOB)
    assert home is not None
    assert home.lost_until == NOW + 60
    assert directory.find_session(b"t".ljust(32)) is not None, "its session may be resumed elsewhere"
    assert directory.next_deadline() == NOW + 60
    directory.tick(NOW + 59)
    assert directory.find(BOB) is not None
    directory.tick(NOW + 60)
    assert directory.find(BOB) is None
    assert directory.find(EVE) is not None
    assert directory.next_deadline() is None


def test_two_nodes_are_lost_one_after_the_other() -> None:
    directory = Directory()
    directory.put(M, session(1))
    directory.put(N, session(1, EVE))
    directory.lose(M, NOW + 60)
    directory.lose(N, NOW + 90)
    directory.tick(NOW + 60)
    assert (directory.find(BOB), directory.next_deadline()) == (None, NOW + 90)
    directory.tick(NOW + 90)
    assert len(directory) == 0


def test_a_lost_device_is_back_with_any_session_that_is_heard_of() -> None:
    for node, stamp in ((M, 5), (N, 3)):
        directory = Directory()
        directory.put(M, session(5))
        directory.lose(M, NOW + 60)
        assert directory.put(node, session(stamp))
        directory.tick(NOW + 60)
        home = directory.find(BOB)
        assert home is not None
        assert (home.node, home.lost_until) == (node, None)


def test_nothing_of_a_deleted_account_can_be_resumed() -> None:
    directory = Directory()
    directory.put(M, session(1))
    directory.put(M, session(1, EVE, b"e"))
    directory.remove_account("bob")
    assert (directory.find(BOB), directory.find_session(b"t".ljust(32))) == (None, None)
    assert directory.find(EVE) is not None
