"""The outbox: order, and who waits for which store request."""

from __future__ import annotations

import pytest

from entrenous_signaling.outputs import Close, CloseCode, Execute, Outbox, Transmit
from entrenous_signaling.store.requests import Done, Failed, ReadAccount, StoreResult
from entrenous_wire.messages import Delivered


def test_outputs_come_in_order_and_once() -> None:
    outbox = Outbox()
    message = Delivered(ids=[bytes(16)])
    outbox.transmit(1, message)
    outbox.execute(ReadAccount("bob"), lambda result, now: None)
    outbox.close(1, CloseCode.POLICY)
    assert outbox.take() == [Transmit(1, message), Execute(1, ReadAccount("bob")), Close(1, CloseCode.POLICY)]
    assert outbox.take() == []


def test_a_result_goes_to_who_asked_once() -> None:
    outbox, seen = Outbox(), []

    def keep(result: StoreResult | Failed, now: float) -> None:
        seen.append((result, now))

    outbox.execute(ReadAccount("a"), lambda result, now: None)
    outbox.execute(ReadAccount("b"), keep)
    outbox.resolve(2, Done.DONE, 5.0)
    assert seen == [(Done.DONE, 5.0)]
    with pytest.raises(KeyError):
        outbox.resolve(2, Done.DONE, 6.0)
