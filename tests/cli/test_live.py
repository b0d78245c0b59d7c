"""The live line: what happened becomes a view, a view becomes text."""

from __future__ import annotations

import io
from typing import get_args

import pytest
from rich.console import Console

from entrenous import (
    Active,
    Alerting,
    CallEvent,
    CallOutcome,
    CallStats,
    Connecting,
    DeviceChange,
    Direction,
    Ended,
    EndReason,
    FirstMedia,
    MediaProblem,
    PathChanged,
    PeerMedia,
    Reconnecting,
    Rekeyed,
    SendingEnded,
    Stage,
    StreamKind,
    WordsKnown,
)
from entrenous.cli.live import LiveLine, View, after, duration, render, sentence

OVER = Ended(CallOutcome(EndReason.REMOTE, Stage.MEDIA, "They hung up.", 12.0))


def peer_media(**switched: bool) -> PeerMedia:
    nothing = dict.fromkeys(("audio_muted", "video_muted", "camera_on", "screen_on", "held"), False)
    return PeerMedia(**{**nothing, **switched})


EVENTS: list[CallEvent] = [
    Alerting(),
    WordsKnown(("river", "lamp", "oak"), verified=False),
    Connecting(),
    Active("direct"),
    FirstMedia(StreamKind.AUDIO, 1.0),
    Reconnecting(),
    PathChanged("relay"),
    peer_media(audio_muted=True),
    Rekeyed(1),
    SendingEnded(StreamKind.AUDIO),
    MediaProblem("The film has ended."),
    DeviceChange(Direction.SPEAKER, None, wanted=False),
    OVER,
]


def stats(**audio: float) -> CallStats:
    empty = CallStats()
    return CallStats(
        seconds=72.4,
        path="direct",
        round_trip_ms=20.6,
        audio=type(empty.audio)(**audio),
        video=empty.video,  # type: ignore[arg-type]  # figures by name
    )


def test_a_call_as_it_goes() -> None:
    view = View("bob@calls.example.org", "dialling", hint="m mute, h hang up")
    assert render(view) == "bob@calls.example.org · dialling · m mute, h hang up"
    view = after(after(view, Alerting()), WordsKnown(("river", "lamp", "oak"), verified=False))
    assert render(view) == "bob@calls.example.org · ringing · river lamp oak (compare!) · m mute, h hang up"
    view = after(after(view, Connecting()), Active("relay"))
    assert render(view).startswith("bob@calls.example.org · in call · river lamp oak (compare!) · relay · ")
    assert " · direct · " in render(after(view, PathChanged("direct")))
    view = after(view, Reconnecting())
    assert "reconnecting" in render(view)
    assert render(after(view, OVER)) == "bob@calls.example.org · ended · river lamp oak (compare!) · relay"


def test_verified_words_need_no_comparing() -> None:
    view = after(View("bob@x.org", "ringing"), WordsKnown(("river", "lamp", "oak"), verified=True))
    assert render(view) == "bob@x.org · ringing · river lamp oak"


def test_the_figures_of_a_running_call() -> None:
    figures = stats(send_bitrate=33_400, receive_bitrate=864_600, loss=0.004)
    line = render(View("bob@x.org", "in call", path="direct", stats=figures))
    assert line == "bob@x.org · in call · direct · 01:12 · ↑33 ↓865 kbit/s · loss 0.4 % · 21 ms"


def test_who_is_muted() -> None:
    view = after(View("bob@x.org", "in call", muted=True), peer_media(audio_muted=True))
    assert render(view) == "bob@x.org · in call · MUTED · they are muted"
    view = after(view, peer_media(audio_muted=True, video_muted=True))
    assert "they are muted" in render(view)
    assert "they" not in render(after(view, peer_media(video_muted=True)))


def test_what_the_peer_holds_and_shares() -> None:
    view = after(View("bob@x.org", "in call"), peer_media(audio_muted=True, held=True))
    assert render(view) == "bob@x.org · in call · they put the call on hold"
    view = after(view, peer_media(screen_on=True))
    assert render(view) == "bob@x.org · in call · they share a screen"


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ({}, "Their sound is on, their camera off."),
        ({"audio_muted": True, "camera_on": True}, "Their sound is muted, their camera on."),
        ({"camera_on": True, "video_muted": True}, "Their sound is on, their camera off."),
        ({"screen_on": True}, "Their sound is on, their camera off, and they share a screen."),
        ({"held": True, "screen_on": True}, "They put the call on hold."),
    ],
)
def test_what_the_peer_sends_in_a_sentence(media: dict[str, bool], said: str) -> None:
    assert sentence(peer_media(**media)) == said


@pytest.mark.parametrize(
    ("device", "wanted", "said"),
    [
        ("Headset", True, "The microphone is now Headset."),
        ("Desk", False, "The microphone is now Desk, since the chosen one is gone."),
        (None, False, "There is no microphone any more; plug one in, and the call goes on with it."),
    ],
)
def test_another_device_in_a_sentence(device: str | None, wanted: bool, said: str) -> None:
    assert sentence(DeviceChange(Direction.MICROPHONE, device, wanted)) == said


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "00:00"), (61, "01:01"), (3599, "59:59"), (3600, "1:00:00")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_every_event_is_known_to_both_ways_of_showing_it() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(CallEvent))
    for event in EVENTS:
        assert isinstance(after(View("bob@x.org", "dialling"), event), View)
        said = sentence(event)
        assert said is None or said.endswith((".", "…", "oak"))


def test_a_plain_line_says_whether_to_compare_the_words() -> None:
    assert sentence(WordsKnown(("a", "b", "c"), verified=False)) == (
        "Not verified yet. Both of you must see the same three words: a b c"
    )
    assert sentence(WordsKnown(("a", "b", "c"), verified=True)) == "Verified. The three words are: a b c"
    assert sentence(OVER) == "They hung up."


def test_the_line_is_cut_to_the_terminal_and_wiped_at_the_end() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=30, height=10)
    with LiveLine(console) as line:
        line.draw(View("somebody.with.a.long.name@calls.example.org", "in call"))
        drawn = screen.getvalue()
        assert "somebody.with.a.long.name" in drawn
        assert "…" in drawn
        assert "in call" not in drawn
    assert "\x1b[2K" in screen.getvalue()[len(drawn) :]
