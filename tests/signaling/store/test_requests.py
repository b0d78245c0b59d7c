"""The results of store requests."""

from __future__ import annotations

import pytest

from entrenous_signaling.store.requests import DeviceOutcome, Done, expect


def test_a_result_of_the_expected_kind_is_handed_on() -> None:
    assert expect(DeviceOutcome.STORED, DeviceOutcome) is DeviceOutcome.STORED


def test_another_kind_is_a_mistake_of_the_store() -> None:
    with pytest.raises(TypeError, match="Done"):
        expect(Done.DONE, DeviceOutcome)
