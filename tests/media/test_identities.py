"""Stream numbers."""

from __future__ import annotations

from entrenous.media.identities import new_streams
from entrenous.media.streams import StreamKind


def test_numbers_differ_within_a_call_and_between_calls() -> None:
    numbers = []
    for _ in range(50):
        streams = new_streams().by_kind
        audio, video = streams[StreamKind.AUDIO], streams[StreamKind.VIDEO]
        numbers += [audio.ssrc, video.ssrc, video.rtx_ssrc]
        assert audio.rtx_ssrc is None
    assert len(set(numbers)) == len(numbers)
    assert all(number is not None and 0 < number < 1 << 32 for number in numbers)
