"""Camera and screen of whole sessions: started, switched, stopped, in every codec, through loss and falling rates."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import av
import pytest

from entrenous.errors import DeviceError, LocalProtocolError
from entrenous.media import codec_choice
from entrenous.media.codecs.base import VideoCodec
from entrenous.media.events import FirstScreen, FirstVideo, SourceEnded
from entrenous.media.identities import new_streams
from entrenous.media.pictures import black_picture
from entrenous.media.rtp import is_rtcp
from entrenous.media.sinks import Recorder
from entrenous.media.sources import CombinedSource, FileSource, ToneSource
from entrenous.media.sources.testcard import TestCardSource, read_frame_number, shows_flash
from entrenous.media.streams import Picture, StreamKind, VideoSource
from entrenous.media.video_receiver import VideoReceiver
from entrenous.media.video_sender import KEY_FRAME_INTERVAL, VideoSender
from lab.calls import SETTINGS, CallEnd, SoundSource, close_call, make_call, open_call, psnr, until
from world.virtual_time import in_virtual_time

pytestmark = pytest.mark.usefixtures("without_threads")


class RememberedCard:
    """A test card that remembers what it drew, by frame number."""

    def __init__(self, width: int = 320, height: int = 180, fps: int = 15) -> None:
        self.card = TestCardSource(width, height, fps)
        self.audio = None
        self.video: VideoSource | None = self
        self.drawn: dict[int, Picture] = {}
        self.closed = False

    async def start(self) -> None:
        await self.card.start()

    async def read(self) -> Picture | None:
        assert self.card.video is not None
        picture = await self.card.video.read()
        if picture is not None:
            self.drawn[read_frame_number(picture.frame) or 0] = picture
        return picture

    async def close(self) -> None:
        self.closed = True
        await self.card.close()

    def likeness(self, seen: list[tuple[av.VideoFrame, float]]) -> list[float]:
        """PSNR of each picture against what was drawn under its number; 0: no such was drawn, or another size."""
        return [self._of(picture) for picture, _ in seen]

    def _of(self, picture: av.VideoFrame) -> float:
        drawn = self.drawn.get(read_frame_number(picture) or 0)
        same = drawn is not None and (drawn.frame.width, drawn.frame.height) == (picture.width, picture.height)
        return psnr(drawn, picture) if drawn is not None and same else 0.0


async def talking(*sources: object, **options: object) -> tuple[CallEnd, CallEnd]:
    """A call that has begun; silence from whoever has no source."""
    first, second = (*sources, SoundSource(), SoundSource())[:2]
    ends = make_call((first, second), **options)  # type: ignore[arg-type]
    await open_call(*ends)
    return ends


@in_virtual_time
async def test_a_camera_comes_in_the_middle_of_the_call_is_switched_and_goes(tmp_path: Path) -> None:
    film = await _filmed(tmp_path)
    ends = await talking()
    here, there = ends
    await until(lambda: there.session.stats().audio.played > 5)
    assert there.sink.seen == []
    assert not here.session.sends(StreamKind.VIDEO)

    file = FileSource(film)
    await here.session.use_source(file, (StreamKind.VIDEO,))
    assert here.session.sends(StreamKind.VIDEO)
    await there.log.wait_for(FirstVideo)
    assert {(picture.width, picture.height) for picture, _ in there.sink.seen} == {(128, 96)}

    card = RememberedCard()
    await here.session.use_source(card, (StreamKind.VIDEO,))
    await until(lambda: sum(quality > 28 for quality in card.likeness(there.sink.seen)) > 8)

    await here.session.use_source(None, (StreamKind.VIDEO,))
    assert card.closed
    assert not here.session.sends(StreamKind.VIDEO)
    sent, played = here.session.stats().video.sent, there.session.stats().audio.played
    await until(lambda: there.session.stats().audio.played > played + 10)
    assert here.session.stats().video.sent == sent
    await close_call(*ends)
    assert there.session.packets_rejected == 0
    assert not here.log.of(SourceEnded)


async def _filmed(folder: Path) -> Path:
    """Eight seconds of black in a file."""
    path = folder / "film.mkv"
    recorder = Recorder(path)
    await recorder.start()
    for number in range(8):
        recorder.show(black_picture(128, 96), float(number))
    await recorder.close()
    return path


@in_virtual_time
async def test_a_screen_is_shown_beside_the_camera() -> None:
    camera, screen = RememberedCard(), RememberedCard(480, 270, 10)
    ends = await talking(camera)
    here, there = ends
    await there.log.wait_for(FirstVideo)
    await here.session.share_screen(screen)
    await there.log.wait_for(FirstScreen)
    await until(lambda: len(there.sink.screens) > 10 and len(there.sink.seen) > 20)
    assert sum(quality > 28 for quality in screen.likeness(there.sink.screens)) > 8
    assert sum(quality > 28 for quality in camera.likeness(there.sink.seen)) > 12
    offsets = [
        receiver.last_offset
        for receiver in (there.session.video_receiver, there.session.screen_receiver)
        if receiver is not None
    ]
    assert len(offsets) == 2
    assert all(offset is not None for offset in offsets)
    await here.session.share_screen(None)
    assert screen.closed
    assert not camera.closed
    count = len(there.sink.seen)
    await until(lambda: len(there.sink.seen) > count + 5)
    await close_call(*ends)


@in_virtual_time
async def test_what_cannot_be_shared_changes_nothing() -> None:
    class NoScreen(RememberedCard):
        async def start(self) -> None:
            raise DeviceError("There is no screen.")

    ends = await talking()
    with pytest.raises(LocalProtocolError, match="without pictures"):
        await ends[0].session.share_screen(ToneSource(440))
    broken = NoScreen()
    with pytest.raises(DeviceError):
        await ends[0].session.share_screen(broken)
    assert broken.closed
    assert not ends[0].session.sends(StreamKind.SCREEN)
    await close_call(*ends)
    with pytest.raises(LocalProtocolError):
        await ends[0].session.share_screen(RememberedCard())


@pytest.mark.parametrize("codec", VideoCodec)
@in_virtual_time
async def test_the_codec_is_one_that_both_take(codec: VideoCodec) -> None:
    others = [each for each in VideoCodec if each is not codec]
    streams = (new_streams([codec, others[0]]), new_streams([others[1], codec]))
    card = RememberedCard()
    ends = await talking(card, streams=streams)
    await until(lambda: len(ends[1].sink.seen) > 10)
    sender, receiver = ends[0].session.video_sender, ends[1].session.video_receiver
    assert sender is not None
    assert receiver is not None
    assert sender.codec is receiver.codec is codec
    assert sum(quality > 28 for quality in card.likeness(ends[1].sink.seen)) > 5
    await close_call(*ends)
    assert ends[1].session.packets_rejected == 0


@in_virtual_time
async def test_the_codec_changes_with_what_the_peer_takes() -> None:
    card = RememberedCard()
    ends = await talking(card)
    await until(lambda: len(ends[1].sink.seen) > 3)
    sender, receiver = ends[0].session.video_sender, ends[1].session.video_receiver
    assert sender is not None
    assert receiver is not None
    other = next(codec for codec in VideoCodec if codec is not sender.codec)
    sender.accept([other])
    await until(lambda: receiver.codec is other)
    count = len(ends[1].sink.seen)
    await until(lambda: len(ends[1].sink.seen) > count + 5)
    await close_call(*ends)
    assert receiver.rejected == receiver.dropped == 0


@in_virtual_time
async def test_the_codec_follows_the_rate_and_the_receiver_follows_the_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_choice, "PLENTY_HOLD", 0.5)
    card = RememberedCard()
    ends = await talking(card)
    sender, receiver = ends[0].session.video_sender, ends[1].session.video_receiver
    assert sender is not None
    assert receiver is not None
    assert sender.codec is VideoCodec.VP9
    await until(lambda: receiver.codec is VideoCodec.VP8)
    monkeypatch.setattr(codec_choice, "PLENTY", math.inf)
    monkeypatch.setattr(codec_choice, "SCARCE", math.inf)
    await until(lambda: receiver.codec is VideoCodec.VP9)
    count = len(ends[1].sink.seen)
    await until(lambda: len(ends[1].sink.seen) > count + 5)
    await close_call(*ends)
    assert receiver.rejected == receiver.dropped == receiver.key_frames_requested == 0
    assert sender.key_frames == receiver.key_frames == 3
    assert sum(quality > 28 for quality in card.likeness(ends[1].sink.seen)) > 0.9 * len(ends[1].sink.seen) - 3


@in_virtual_time
async def test_on_hold_nothing_is_seen_or_heard_at_either_end_and_sound_keeps_its_size() -> None:
    camera = RememberedCard(128, 96)
    ends = await talking(CombinedSource(audio=ToneSource(440), video=camera), ToneSource(660))
    here, there = ends
    await until(lambda: len(there.sink.seen) > 3 and len(here.sink.heard) > 10)
    here.session.hold(True)
    heard, sent = len(here.sink.heard), here.session.stats().video.sent
    played = there.session.stats().audio.played
    await until(lambda: there.session.stats().audio.played > played + 40)
    assert len(here.sink.heard) == heard
    assert here.session.stats().video.sent <= sent + 1
    assert max(abs(int(sample)) for block, _ in there.sink.heard[-5:] for sample in block[::40]) < 100
    sound = here.path.local.by_kind[StreamKind.AUDIO].ssrc.to_bytes(4, "big")
    assert len({len(packet) for packet in here.path.sent if packet[8:12] == sound and not is_rtcp(packet)}) == 1
    here.session.hold(False)
    count = len(there.sink.seen)
    await until(lambda: len(here.sink.heard) > heard + 10 and len(there.sink.seen) > count + 3)
    await close_call(*ends)


@in_virtual_time
async def test_on_hold_what_the_peer_still_shows_is_not_decoded() -> None:
    here, there = await talking(RememberedCard(128, 96))
    await until(lambda: len(there.sink.seen) > 3)
    receiver = there.session.video_receiver
    assert receiver is not None
    there.session.hold(True)
    await until(lambda: receiver.ignored > 1)
    decoded = receiver.decoded
    ignored = receiver.ignored
    await until(lambda: receiver.ignored > ignored + 5)
    assert receiver.decoded <= decoded + 1, "one may have been in the decoder"
    there.session.hold(False)
    await comes_back(there)
    assert receiver.key_frames_requested == 1
    await close_call(here, there)


async def comes_back(end: CallEnd) -> None:
    """Wait for pictures, which begin with a key frame a second after the last one at most."""
    seen, since = len(end.sink.seen), time.monotonic()
    await until(lambda: len(end.sink.seen) > seen + 3)
    assert time.monotonic() - since < KEY_FRAME_INTERVAL + 0.5


@in_virtual_time
async def test_what_the_peer_says_is_off_is_not_decoded_until_it_says_that_it_is_on() -> None:
    here, there = await talking(RememberedCard(128, 96))
    await until(lambda: len(there.sink.seen) > 3)
    receiver = there.session.video_receiver
    assert receiver is not None
    there.session.peer_sends((StreamKind.AUDIO,))
    await until(lambda: receiver.ignored > 1)
    decoded, ignored, requested = receiver.decoded, receiver.ignored, receiver.key_frames_requested
    await until(lambda: receiver.ignored > ignored + 5)
    assert receiver.decoded <= decoded + 1, "one may have been in the decoder"
    assert receiver.key_frames_requested == requested
    there.session.peer_sends((StreamKind.AUDIO, StreamKind.VIDEO))
    await comes_back(there)
    assert receiver.key_frames_requested > requested
    await close_call(here, there)


@in_virtual_time
async def test_muting_on_hold_outlasts_it() -> None:
    ends = await talking(RememberedCard(128, 96))
    await until(lambda: len(ends[1].sink.seen) > 1)
    for held, muted in ((True, True), (False, True)):
        ends[0].session.hold(held)
        ends[0].session.mute(StreamKind.VIDEO, muted)
        sender = ends[0].session.video_sender
        assert sender is not None
        assert sender.paused
    await close_call(*ends)


@in_virtual_time
async def test_a_lower_rate_reaches_the_encoder_without_a_key_frame() -> None:
    ends = await talking(TestCardSource(640, 360, 30))
    sender = ends[0].session.video_sender
    assert sender is not None
    await until(lambda: len(ends[1].sink.seen) > 10)
    before, size = sender.key_frames, sender.size
    rate = sender._rate
    assert rate > 100_000
    ends[0].session.outgoing._rates_changed({StreamKind.VIDEO: round(0.95 * rate)})
    frames = sender.frames
    await until(lambda: sender.frames > frames + 5)
    assert sender._encoder_rate is not None
    assert sender._encoder_rate[0] < rate
    assert (sender.key_frames, sender.size) == (before, size)
    ends[0].session.outgoing._rates_changed({StreamKind.VIDEO: 0})
    frames = sender.frames
    skipped = sender.skipped
    await until(lambda: sender.skipped > skipped + 5)
    assert sender.frames <= frames + 1
    await close_call(*ends)


@in_virtual_time
async def test_a_picture_freezes_for_a_bounded_time() -> None:
    ends = await talking(RememberedCard(128, 96, 30))
    here, there = ends
    pictures = here.path.local.by_kind[StreamKind.VIDEO]
    names = {ssrc.to_bytes(4, "big") for ssrc in (pictures.ssrc, pictures.rtx_ssrc) if ssrc is not None}
    await until(lambda: len(there.sink.seen) > 10)
    lossy_since = time.monotonic()
    here.path.drops = lambda packet: packet[8:12] in names and not is_rtcp(packet)
    await asyncio.sleep(0.3)  # as long as packets are lost
    here.path.drops = lambda packet: False
    lossy_until = time.monotonic()
    count = len(there.sink.seen)
    await until(lambda: len(there.sink.seen) > count + 3)
    receiver = there.session.video_receiver
    assert receiver is not None
    gaps = [after - before for (_, before), (_, after) in zip(there.sink.seen, there.sink.seen[1:], strict=False)]
    await close_call(*ends)
    # What was lost is repaired, or given up for a key frame, which comes a second after the last one at most.
    assert max(gaps) < lossy_until - lossy_since + 1.0 + 0.4
    assert receiver.freezes >= 1
    assert receiver.frozen_seconds >= 0.25


@pytest.mark.parametrize("kind", [StreamKind.VIDEO, StreamKind.SCREEN])
@in_virtual_time
async def test_what_cannot_be_repaired_is_asked_for_anew_and_comes_as_one_key_frame(kind: StreamKind) -> None:
    here, there = ends = await talking(RememberedCard(128, 96, 30))
    await here.session.share_screen(RememberedCard(128, 96, 30))
    seen = there.sink.seen if kind is StreamKind.VIDEO else there.sink.screens
    await until(lambda: len(seen) > 40)  # the sender makes one key frame a second: the first one is over
    (sender, other), (receiver, bystander) = _senders(here, kind), _receivers(there, kind)
    before, others = sender.key_frames, other.key_frames
    pictures = here.path.local.by_kind[kind]
    first, repairs = (ssrc.to_bytes(4, "big") for ssrc in (pictures.ssrc, pictures.rtx_ssrc or 0))
    lost: list[bytes] = []

    def drops(packet: bytes) -> bool:
        """One packet, and every repair from then on."""
        if is_rtcp(packet) or packet[8:12] not in (first, repairs) or (lost and packet[8:12] == first):
            return False
        lost.append(packet)
        return True

    here.path.drops = drops
    await until(lambda: bool(lost))
    lost_at, count = time.monotonic(), len(seen)
    await until(lambda: len(seen) > count + 3)
    waited = time.monotonic() - lost_at
    await close_call(*ends)
    assert len(lost) > 1, "repairs were tried first"
    assert waited < SETTINGS.video_hold + 0.2
    assert (receiver.key_frames_requested, sender.key_frames, receiver.key_frames) == (1, before + 1, before + 1)
    assert (bystander.key_frames_requested, other.key_frames) == (0, others)


def _senders(end: CallEnd, kind: StreamKind) -> tuple[VideoSender, VideoSender]:
    """That of a kind, and the other one."""
    first, second = end.session.outgoing.senders
    return (first, second) if first.kind is kind else (second, first)


def _receivers(end: CallEnd, kind: StreamKind) -> tuple[VideoReceiver, VideoReceiver]:
    """That of a kind, and the other one."""
    camera, screen = end.session.video_receiver, end.session.screen_receiver
    assert camera is not None
    assert screen is not None
    return (camera, screen) if kind is StreamKind.VIDEO else (screen, camera)


@in_virtual_time
async def test_sound_and_picture_stay_together_through_a_switch_of_sources() -> None:
    ends = await talking(TestCardSource(320, 180, 30, beep=True))
    here, there = ends
    await until(lambda: len(there.sink.seen) > 20)
    await here.session.use_source(TestCardSource(320, 180, 30, beep=True))
    switched_at = there.sink.seen[-1][1]
    await until(lambda: there.sink.heard[-1][1] - switched_at > 3.2)
    await close_call(*ends)
    loud = [at for block, at in there.sink.heard if at > switched_at and abs(block.astype(float)).mean() > 1000]
    beeps = [at for before, at in zip([-9.0, *loud], loud, strict=False) if at - before > 0.5]
    lit = [at for picture, at in there.sink.seen if at > switched_at and shows_flash(picture)]
    flashes = [at for before, at in zip([-9.0, *lit], lit, strict=False) if at - before > 0.5]
    offsets = sorted(min(abs(flash - beep) for flash in flashes) for beep in beeps)
    assert len(offsets) >= 2
    assert max(offsets) < 0.045
