"""What facts say of themselves."""

from __future__ import annotations

import pytest

from entrenous.doctor.facts import Attempt, EndpointFacts, RelayProblem, Way


@pytest.mark.parametrize(("address", "is_ipv6"), [("192.0.2.1", False), ("2001:db8::1", True)])
def test_the_family_shows_in_the_address(address: str, is_ipv6: bool) -> None:
    assert Attempt(address).is_ipv6 is is_ipv6
    assert EndpointFacts("turn:a", "a", Way.UDP, 3478, address).is_ipv6 is is_ipv6


@pytest.mark.parametrize(
    ("changes", "works", "answers"),
    [
        ({"relayed": "192.0.2.1"}, True, True),
        ({"refusal": 401}, False, True),
        ({"problem": RelayProblem.TIMEOUT}, False, False),
    ],
)
def test_a_relay_that_refuses_answers(changes: dict, works: bool, answers: bool) -> None:
    end = EndpointFacts("turn:a", "a", Way.UDP, 3478, "192.0.2.1", **changes)
    assert (end.works, end.answers) == (works, answers)
