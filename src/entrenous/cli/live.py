"""The live line of a call: a pure function from what is known to text, and the terminal it is drawn on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from entrenous import (
    Active,
    Alerting,
    CallEvent,
    CallStats,
    Connecting,
    DeviceChange,
    Ended,
    FirstMedia,
    MediaProblem,
    PathChanged,
    PeerMedia,
    Reconnecting,
    Rekeyed,
    SendingEnded,
    StreamKind,
    WordsKnown,
)

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class View:
    """What the live line shows.

    Args:
        peer: the other address.
        state: in a word or two.
        words: the three words, once known.
        verified: the identities are known already, nobody needs to read the words out.
        path: `direct` or `relay`, once media flows.
        muted: our microphone is off.
        held: we put the call on hold.
        camera: our camera is on.
        shares: our screen is shared.
        peer_muted: theirs is.
        peer_shares: they share a screen.
        peer_holds: they put the call on hold.
        stats: figures of the running call.
        hint: the keys that do something now.
    """

    peer: str
    state: str
    words: tuple[str, str, str] | None = None
    verified: bool = False
    path: str | None = None
    muted: bool = False
    held: bool = False
    camera: bool = False
    shares: bool = False
    peer_muted: bool = False
    peer_shares: bool = False
    peer_holds: bool = False
    stats: CallStats | None = None
    hint: str = ""


def after(view: View, event: CallEvent) -> View:
    """The view once `event` has happened."""
    match event:
        case Alerting():
            return replace(view, state="ringing")
        case WordsKnown(words=words, verified=verified):
            return replace(view, words=words, verified=verified)
        case Connecting():
            return replace(view, state="connecting")
        case Active(path=path):
            return replace(view, state="in call", path=path)
        case PathChanged(path=path):
            return replace(view, path=path)
        case Reconnecting():
            return replace(view, state="reconnecting")
        case PeerMedia(audio_muted=muted, screen_on=screen, held=held):
            return replace(view, peer_muted=muted, peer_shares=screen, peer_holds=held)
        case Ended():
            return replace(view, state="ended", hint="")
        case FirstMedia() | Rekeyed() | SendingEnded() | MediaProblem() | DeviceChange():
            return view


def sentence(event: CallEvent) -> str | None:
    """One plain line about `event` for where no live line can be drawn; None for what nobody needs to read."""
    match event:
        case Alerting():
            return "It rings."
        case WordsKnown(words=words, verified=True):
            return f"Verified. The three words are: {' '.join(words)}"
        case WordsKnown(words=words):
            return f"Not verified yet. Both of you must see the same three words: {' '.join(words)}"
        case Connecting():
            return "Answered, connecting …"
        case Active(path=path):
            return f"In call, {path}." if path else "In call."
        case PathChanged(path=path):
            return f"The call goes on over another path, {path}."
        case Reconnecting():
            return "The connection is interrupted, looking for another path …"
        case PeerMedia():
            return _switched_off(event)
        case MediaProblem(sentence=text):
            return text
        case DeviceChange():
            return _other_device(event)
        case SendingEnded(kind=kind):
            return f"Your {_NAMES[kind]} has come to its end; the call goes on."
        case Ended(outcome=outcome):
            return outcome.sentence
        case FirstMedia() | Rekeyed():
            return None


def _switched_off(media: PeerMedia) -> str:
    """What of theirs is to be expected and what is not."""
    if media.held:
        return "They put the call on hold."
    sound = "muted" if media.audio_muted else "on"
    camera = "on" if media.camera_on and not media.video_muted else "off"
    screen = ", and they share a screen" if media.screen_on else ""
    return f"Their sound is {sound}, their camera {camera}{screen}."


def _other_device(change: DeviceChange) -> str:
    what = change.direction.value
    if change.device is None:
        return f"There is no {what} any more; plug one in, and the call goes on with it."
    return f"The {what} is now {change.device}{'' if change.wanted else ', since the chosen one is gone'}."


_NAMES = {StreamKind.AUDIO: "sound", StreamKind.VIDEO: "picture", StreamKind.SCREEN: "screen"}


def render(view: View) -> str:
    """The live line, most important first, since a narrow terminal cuts off the end.

    ``bob@calls.example.org · in call · river lamp oak · direct · 01:12 · ↑33 ↓865 kbit/s · loss 0.4 % · 21 ms · …``
    """
    parts = [view.peer, view.state]
    if view.words is not None:
        parts.append(" ".join(view.words) + ("" if view.verified else " (compare!)"))
    if view.path is not None:
        parts.append(view.path)
    if view.stats is not None:
        parts += _figures(view.stats)
    for is_so, text in ((view.held, "ON HOLD"), (view.muted, "MUTED"), (view.shares, "SCREEN SHARED")):
        if is_so:
            parts.append(text)
    if view.peer_holds:
        parts.append("they put the call on hold")
    elif view.peer_muted:
        parts.append("they are muted")
    if view.peer_shares:
        parts.append("they share a screen")
    if view.hint:
        parts.append(view.hint)
    return " · ".join(parts)


def _figures(stats: CallStats) -> list[str]:
    streams = (stats.audio, stats.video, stats.screen)
    sent, received = sum(each.send_bitrate for each in streams), sum(each.receive_bitrate for each in streams)
    figures = [
        duration(stats.seconds),
        f"↑{round(sent / 1000)} ↓{round(received / 1000)} kbit/s",
        f"loss {100 * max(stats.audio.loss, stats.video.loss):.1f} %",
    ]
    if stats.round_trip_ms is not None:
        figures.append(f"{round(stats.round_trip_ms)} ms")
    if stats.quality is not None:
        figures.append(f"MOS {stats.quality.mos:.1f}")
    return figures


def duration(seconds: float) -> str:
    """`mm:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class LiveLine:
    """The last line of a terminal, drawn anew when something changes and wiped on leaving.

    Args:
        console: the terminal; what is printed on it meanwhile scrolls by above the line.
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveLine:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def draw(self, view: View) -> None:
        """Draw the line, cut to the width of the terminal."""
        self._live.update(Text(render(view), no_wrap=True, overflow="ellipsis"), refresh=True)
