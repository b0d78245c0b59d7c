"""The E-model: the points that G.107 gives, and that nothing which harms a call ever raises its rating."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.media.quality import CLEAN, Quality, rate_call

delays = st.floats(0, 3)
shares = st.floats(0, 1)
rates = st.integers(6_000, 128_000)


def test_a_call_without_impairment_has_the_best_rating() -> None:
    assert rate_call(delay=0, concealed=0, bitrate=64_000) == Quality(CLEAN, 4.41)


@pytest.mark.parametrize(("delay", "r"), [(0.1, 90.8), (0.1773, 88.9), (0.3, 72.5), (0.4, 59.1)])
def test_delay_costs_what_the_model_says(delay: float, r: float) -> None:
    assert rate_call(delay=delay, concealed=0, bitrate=64_000).r == pytest.approx(r, abs=0.1)


def test_as_much_loss_as_the_codec_is_robust_takes_half_of_what_there_is_to_lose() -> None:
    assert rate_call(delay=0, concealed=0.2, bitrate=64_000).r == pytest.approx(CLEAN - 47.5, abs=0.1)


@given(delay=delays, more=delays, concealed=shares, worse=shares, bitrate=rates, higher=rates)
def test_what_harms_a_call_never_raises_its_rating(
    delay: float, more: float, concealed: float, worse: float, bitrate: int, higher: int
) -> None:
    delay, more = sorted((delay, more))
    concealed, worse = sorted((concealed, worse))
    bitrate, higher = sorted((bitrate, higher))
    good = rate_call(delay=delay, concealed=concealed, bitrate=higher)
    bad = rate_call(delay=more, concealed=worse, bitrate=bitrate)
    assert 0 <= bad.r <= good.r <= CLEAN
    assert 1 <= bad.mos <= good.mos <= 4.5
