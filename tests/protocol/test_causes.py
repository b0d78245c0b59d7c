"""Causes: what is certain, and whose side it is on."""

from __future__ import annotations

import pytest

from entrenous.media.events import PathFailure
from entrenous.protocol.causes import Cause, Side, is_certain, side_of


def test_every_failure_of_a_leg_is_a_cause() -> None:
    assert {failure.value for failure in PathFailure} <= {cause.value for cause in Cause}


def test_what_takes_too_long_may_go_better_next_time() -> None:
    uncertain = {failure for failure in PathFailure if not is_certain(Cause(failure.value))}
    assert uncertain == {PathFailure.TIMEOUT}
    assert not is_certain(None)


@pytest.mark.parametrize("cause", Cause)
def test_what_is_here_for_one_end_is_there_for_the_other(cause: Cause) -> None:
    sides = (side_of(cause, ours=True), side_of(cause, ours=False))
    assert sides in ((Side.HERE, Side.THERE), (Side.BETWEEN, Side.BETWEEN))
