"""What may come from one network address, under simulated time."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous_signaling.addresses import ANSWERS, BUSY_SECONDS, KEY_BYTES, SPARE_SOCKETS, Addresses, Origin
from entrenous_signaling.limits import Bounds, Rate
from entrenous_signaling.proxies import TrustedProxies

BOUNDS = Bounds(
    address_connection_rate=Rate(per_second=1.0, burst=3.0),
    address_connections=2,
    address_registration_rate=Rate(per_second=0.1, burst=1.0),
    address_login_failures=Rate(per_second=0.5, burst=2.0),
)
PROXIES = TrustedProxies.parse(["10.20.0.0/16"])


def table(capacity: int = 4, bounds: Bounds = BOUNDS) -> Addresses:
    return Addresses(bounds, PROXIES, bytes(KEY_BYTES), 0.0, capacity)


def find(addresses: Addresses, text: str, now: float = 0.0) -> Origin:
    origin = addresses.find(ip_address(text), now)
    assert origin is not None
    return origin


def test_an_address_connects_so_often_and_so_many_times_at_once() -> None:
    origin = find(table(), "192.0.2.1")
    assert [origin.connect(0.0) for _ in range(3)] == [0.0, 0.0, BUSY_SECONDS]
    origin.disconnect()
    assert origin.connect(0.0) == 0.0
    origin.disconnect()
    assert origin.connect(0.25) == pytest.approx(0.75)
    assert origin.connect(1.0) == 0.0


def test_an_address_has_so_many_sockets_beside_its_connections() -> None:
    origin = find(table(), "192.0.2.1")
    most = BOUNDS.address_connections + SPARE_SOCKETS
    assert [origin.open_socket(0.0) for _ in range(most + 1)] == [True] * most + [False]
    origin.close_socket()
    assert origin.open_socket(0.0)


def test_who_does_not_listen_to_refusals_is_not_told_any_more() -> None:
    origin = find(table(), "192.0.2.1")
    for _ in range(2):
        origin.connect(0.0)
    for _ in range(int(ANSWERS.burst)):
        assert origin.open_socket(0.0)
        assert origin.connect(0.0) > 0.0
        origin.close_socket()
    assert not origin.open_socket(0.0)
    assert origin.open_socket(1.0 / ANSWERS.per_second)


def test_registrations_and_failed_logins_have_rates_of_their_own() -> None:
    origin = find(table(), "192.0.2.1")
    assert [origin.register(0.0) for _ in range(2)] == [0.0, 10.0]
    assert [origin.may_log_in(0.0) for _ in range(9)] == [0.0] * 9  # looking costs nothing
    origin.failed_to_log_in(0.0)
    assert origin.may_log_in(0.0) == 0.0
    origin.failed_to_log_in(0.0)
    assert origin.may_log_in(0.0) == 2.0
    assert origin.connect(0.0) == 0.0


def test_ipv4_counts_whole_and_ipv6_by_its_network() -> None:
    addresses = table()
    assert find(addresses, "192.0.2.1") is find(addresses, "192.0.2.1")
    assert find(addresses, "192.0.2.1") is not find(addresses, "192.0.2.2")
    assert find(addresses, "2001:db8:1:2::1") is find(addresses, "2001:db8:1:2:ffff:ffff:ffff:ffff")
    assert find(addresses, "2001:db8:1:2::1") is not find(addresses, "2001:db8:1:3::1")


def test_proxies_sockets_of_this_machine_and_loopback_have_no_limits_unless_loopback_shall() -> None:
    addresses = table()
    for client in (None, *map(ip_address, ("127.0.0.1", "127.9.9.9", "::1", "10.20.7.7"))):
        assert addresses.find(client, 0.0) is None
    limited = table(bounds=Bounds(limit_loopback=True))
    assert find(limited, "127.0.0.1") is not find(limited, "::1")
    assert limited.find(ip_address("10.20.7.7"), 0.0) is None


def test_who_is_like_new_is_forgotten_and_nobody_else_while_there_is_place() -> None:
    addresses = table(capacity=4)
    find(addresses, "192.0.2.1").open_socket(0.0)
    find(addresses, "192.0.2.2").failed_to_log_in(0.0)
    find(addresses, "192.0.2.3")
    assert len(addresses) == 3
    find(addresses, "192.0.2.1").close_socket()
    find(addresses, "192.0.2.4", now=100.0)
    assert len(addresses) == 1


def test_no_flood_of_addresses_makes_the_table_forget_who_is_limited() -> None:
    addresses = table(capacity=4)
    there = find(addresses, "192.0.2.1")
    there.connect(0.0)
    failed = find(addresses, "192.0.2.2")
    for _ in range(2):
        failed.failed_to_log_in(0.0)
    for number in range(200):
        find(addresses, f"198.51.100.{number}").failed_to_log_in(0.0)  # not like new, and not over a limit
    assert len(addresses) == 4
    assert find(addresses, "192.0.2.1") is there
    assert find(addresses, "192.0.2.2") is failed


def test_who_was_here_longest_ago_makes_place() -> None:
    addresses = table(capacity=2)
    there = find(addresses, "192.0.2.1")
    for text in ("192.0.2.1", "192.0.2.2"):
        find(addresses, text).failed_to_log_in(0.0)
    assert find(addresses, "192.0.2.1") is there
    find(addresses, "192.0.2.3").failed_to_log_in(0.0)
    assert find(addresses, "192.0.2.1") is there


def test_newcomers_share_one_place_while_all_others_are_limited() -> None:
    addresses = table(capacity=2)
    for text in ("192.0.2.1", "192.0.2.2"):
        find(addresses, text).connect(0.0)
    first, second = find(addresses, "192.0.2.3"), find(addresses, "192.0.2.4")
    assert first is second
    assert len(addresses) == 2
    find(addresses, "192.0.2.1").disconnect()
    assert find(addresses, "192.0.2.3", now=60.0) is not first


def test_the_table_holds_no_address() -> None:
    addresses = table()
    client = ip_address("192.0.2.1")
    find(addresses, str(client))
    held = list(addresses._origins)
    assert held
    assert not any(client.packed in name or str(client).encode() in name for name in held)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["connect", "disconnect", "register", "fail"]), st.floats(0, 3)),
        max_size=200,
    )
)
def test_the_table_never_grows_above_its_bound_and_forgets_no_connection(steps: list[tuple[int, str, float]]) -> None:
    addresses, now = table(capacity=8), 0.0
    open_ones: dict[int, list[Origin]] = {}
    for number, what, pause in steps:
        now += pause
        origin = find(addresses, f"2001:db8:0:{number:x}::1", now)
        match what:
            case "connect" if origin.connect(now) == 0.0:
                open_ones.setdefault(number, []).append(origin)
            case "disconnect" if open_ones.get(number):
                open_ones[number].pop().disconnect()
            case "register":
                origin.register(now)
            case "fail":
                origin.failed_to_log_in(now)
        assert len(addresses) <= 8
        assert all(held._connections >= 0 for origins in open_ones.values() for held in origins)
    for number, origins in open_ones.items():
        for held in set(origins):
            if held is not addresses._shared:
                assert find(addresses, f"2001:db8:0:{number:x}::1", now) is held
