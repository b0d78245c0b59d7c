"""How long things are kept."""

from __future__ import annotations

import msgspec
import pytest

from entrenous_signaling.limits import MessageBounds
from entrenous_signaling.retention import MessageSettings, Retention


def test_the_defaults_are_those_that_users_are_told() -> None:
    assert (Retention().call_records_days, Retention().inactive_accounts_days, MessageSettings().days) == (90, 365, 30)
    assert isinstance(MessageSettings(), MessageBounds)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Retention, {"call_records_days": 0}),
        (Retention, {"inactive_accounts_days": -1}),
        (MessageSettings, {"days": 0}),
        (MessageSettings, {"days": 91}),
        (MessageSettings, {"per_sender": 0}),
        (MessageSettings, {"weeks": 1}),
    ],
)
def test_what_is_out_of_bounds_is_refused(kind: type[Retention | MessageSettings], values: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, kind)


def test_accounts_are_kept_for_ever_or_for_some_weeks_at_least() -> None:
    Retention(inactive_accounts_days=0).check()
    Retention(inactive_accounts_days=28).check()
    with pytest.raises(ValueError, match="at least 28"):
        Retention(inactive_accounts_days=27).check()
