"""Requests are matched by number, asked again, and given up in time."""

from __future__ import annotations

from entrenous.protocol.requests import MAX_REQUESTS, Deletion, Request, Requests
from entrenous.protocol.session_outputs import Answer
from entrenous_wire.messages import Deleted, Devices, FetchDevices, Publish, Published, Turn, TurnRequest


def test_a_request_is_asked_until_it_is_settled() -> None:
    requests = Requests(10.0)
    one = TurnRequest(request=requests.new_number())
    two = TurnRequest(request=requests.new_number())
    assert requests.ask(one, 0.0)
    assert requests.ask(two, 1.0)
    assert requests.take_sayable(1.0) == [one, two]
    assert requests.take_sayable(1.0) == []
    requests.rewind()
    assert requests.settle(one.request) == one
    assert requests.settle(one.request) is None
    assert requests.take_sayable(1.0) == [two]


def test_a_refusal_for_now_is_followed_unless_it_is_too_late() -> None:
    requests = Requests(10.0)
    one = TurnRequest(request=1)
    requests.ask(one, 0.0)
    requests.take_sayable(0.0)
    assert requests.refuse(1, 4.0)
    assert requests.take_sayable(3.9) == []
    assert requests.next_deadline(may_ask=True) == 4.0
    assert requests.next_deadline(may_ask=False) == 10.0
    assert requests.take_sayable(4.0) == [one]
    assert not requests.refuse(1, 10.0)
    assert not requests.refuse(2, 1.0)


def test_requests_are_bounded_in_time_and_number() -> None:
    requests = Requests(10.0)
    for number in range(MAX_REQUESTS):
        assert requests.ask(TurnRequest(request=number), 0.0)
    assert not requests.ask(TurnRequest(request=MAX_REQUESTS), 0.0)
    assert requests.take_expired(9.9) == []
    assert requests.take_expired(10.0) == list(range(MAX_REQUESTS))
    assert requests.next_deadline(may_ask=True) is None


def test_a_request_is_answered_by_an_answer_of_its_own_kind_alone() -> None:
    requests = Requests(10.0)
    asked: list[Request] = [
        FetchDevices(request=1, address="bob@calls.example.org"),
        Publish(request=2, prekeys=[b"prekey"]),
        TurnRequest(request=3),
        Deletion(4, lambda proof: proof),
    ]
    for request in asked:
        requests.ask(request, 0.0)
    for place, request in enumerate(asked):
        answers: list[Answer] = [
            Devices(request=request.request, address="bob@calls.example.org", identity_key=bytes(32), devices=[]),
            Published(request=request.request),
            Turn(request=request.request, urls=[], username="1:a", password="b", ttl=600),
            Deleted(request=request.request),
        ]
        right = answers.pop(place)
        assert not any(requests.settle_by(wrong) for wrong in answers)
        assert requests.settle_by(right)
        assert not requests.settle_by(right)
