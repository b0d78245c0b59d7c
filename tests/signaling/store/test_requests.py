"""The results of store requests."""

from __future__ import annotations

import pytest

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.store.requests import (
    ClaimRecord,
    CloseRecord,
    DeviceOutcome,
    DiscardRecord,
    Done,
    OpenRecord,
    OpenRow,
    StoredMessage,
    StoredMessages,
    StoreMessage,
    TouchRecords,
    expect,
)


def test_a_result_of_the_expected_kind_is_handed_on() -> None:
    assert expect(DeviceOutcome.STORED, DeviceOutcome) is DeviceOutcome.STORED


def test_another_kind_is_a_mistake_of_the_store() -> None:
    with pytest.raises(TypeError, match="Done"):
        expect(Done.DONE, DeviceOutcome)


def test_no_token_tag_or_body_is_in_what_a_traceback_would_show() -> None:
    secret = b"canary"
    shown = repr(
        [
            OpenRecord(secret, 1),
            ClaimRecord(secret, 1, 1),
            TouchRecords(((secret, 1),)),
            CloseRecord(secret, 1),
            DiscardRecord(secret, 1),
            OpenRow(secret, 1, 1),
            StoreMessage("bob", "d1", b"id", secret, secret, 1, MessageBounds()),
            StoredMessages((StoredMessage(1, b"id", secret),)),
        ]
    )
    assert "canary" not in shown
