"""Files are played in real time, sound and picture together; bad ones are refused or end."""

from __future__ import annotations

import threading
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from entrenous.assets import asset_path
from entrenous.errors import LocalProtocolError, MediaFileError
from entrenous.media.sinks import Recorder
from entrenous.media.sources import FileSource, TestCardSource
from entrenous.media.sources.testcard import read_frame_number
from entrenous.media.streams import Picture, SoundBlock
from lab.calls import until
from lab.recordings import Recording, dominant_hz, read_sound
from world.media_clock import SimulatedClock


def write_wav(path: Path, samples: NDArray[np.int16], rate: int = 48_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def tone(hz: float, seconds: float, rate: int = 48_000) -> NDArray[np.int16]:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


async def record_card(path: Path, seconds: float, fps: int = 10) -> Path:
    """A film of a test card with beeps."""
    source, shown = (TestCardSource(160, 120, fps, beep=True, clock=SimulatedClock()) for _ in range(2))
    recorder = Recorder(path)

    def recorder_has_room() -> bool:
        return recorder._queue.qsize() < 20  # pictures come faster here than ever from a camera

    await source.start()
    await shown.start()
    await recorder.start()
    assert source.audio is not None
    assert shown.video is not None
    for number in range(round(seconds * fps)):
        picture = await shown.video.read()
        assert picture is not None
        await until(recorder_has_room)
        recorder.show(picture.frame, 1000 + number / fps)
    for number in range(round(seconds * 50)):
        block = await source.audio.read()
        assert block is not None
        await until(recorder_has_room)
        recorder.play(block.samples, 1000 + number / 50)
    await recorder.close()
    assert recorder.dropped == 0
    return path


async def all_blocks(source: FileSource, limit: int = 10_000) -> list[SoundBlock]:
    assert source.audio is not None
    blocks: list[SoundBlock] = []
    while len(blocks) < limit and (block := await source.audio.read()) is not None:
        blocks.append(block)
    return blocks


async def all_pictures(source: FileSource, limit: int = 10_000) -> list[Picture]:
    assert source.video is not None
    pictures: list[Picture] = []
    while len(pictures) < limit and (picture := await source.video.read()) is not None:
        pictures.append(picture)
    return pictures


def joined(blocks: list[SoundBlock]) -> NDArray[np.int16]:
    return np.concatenate([block.samples for block in blocks])


async def test_a_wav_file_is_played_sample_by_sample(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-20000, 20000, 4900).astype(np.int16)
    source = FileSource(write_wav(tmp_path / "noise.wav", samples), clock=SimulatedClock())
    await source.start()
    blocks = await all_blocks(source)
    assert [block.captured_at for block in blocks] == pytest.approx([1000 + n * 0.02 for n in range(6)])
    assert all(block.samples.shape == (960,) and block.samples.dtype == np.int16 for block in blocks)
    heard = joined(blocks)
    assert np.array_equal(heard[:4900], samples)
    assert not heard[4900:].any(), "the last block is filled up with silence"
    assert source.video is None
    await source.close()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2)])
async def test_other_rates_and_channels_become_48_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    samples = np.repeat(tone(600, 1.0, rate), channels)
    source = FileSource(write_wav(tmp_path / "tone.wav", samples, rate, channels), clock=SimulatedClock())
    await source.start()
    heard = joined(await all_blocks(source))
    assert len(heard) == pytest.approx(48_000, abs=1920)
    assert dominant_hz(heard) == pytest.approx(600, abs=3)
    await source.close()


async def test_the_speech_of_the_demonstration_plays() -> None:
    source = FileSource(asset_path("speech-a.opus"), clock=SimulatedClock())
    await source.start()
    heard = joined(await all_blocks(source))
    assert np.array_equal(heard[:800_000], read_sound(asset_path("speech-a.opus"))[:800_000])
    await source.close()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
async def test_a_film_keeps_sound_and_picture_together(tmp_path: Path, suffix: str) -> None:
    path = await record_card(tmp_path / f"film{suffix}", 3)
    source = FileSource(path, clock=SimulatedClock())
    await source.start()
    blocks = await all_blocks(source)
    await source.close()
    source = FileSource(path, clock=SimulatedClock())
    await source.start()
    pictures = await all_pictures(source)
    await source.close()
    assert [read_frame_number(picture.frame) for picture in pictures] == list(range(30))
    beginning = blocks[0].captured_at
    film = Recording(joined(blocks), [(picture.captured_at - beginning, picture.frame) for picture in pictures])
    assert film.offsets() == pytest.approx([0, 0], abs=0.01)


async def test_looping_repeats_both_on_one_period(tmp_path: Path) -> None:
    path = await record_card(tmp_path / "film.mkv", 2)
    with av.open(str(path)) as container:
        period = (container.duration or 0) / av.time_base
    source = FileSource(path, loop=True, clock=SimulatedClock())
    await source.start()
    blocks = await all_blocks(source, 500)
    await source.close()
    source = FileSource(path, loop=True, clock=SimulatedClock())
    await source.start()
    pictures = await all_pictures(source, 80)
    await source.close()
    starts = [picture.captured_at for picture in pictures if read_frame_number(picture.frame) == 0]
    assert starts == pytest.approx([1000 + period * turn for turn in range(len(starts))], abs=0.008)
    assert len(starts) >= 3
    beeps = Recording(joined(blocks), []).beeps()
    assert beeps == pytest.approx([1 + period * turn for turn in range(len(beeps))], abs=0.01)
    assert len(beeps) == 5


async def test_a_picture_that_is_late_is_skipped_for_the_newest(tmp_path: Path) -> None:
    clock = SimulatedClock()
    source = FileSource(await record_card(tmp_path / "film.mkv", 4), clock=clock)
    await source.start()
    (first,) = await all_pictures(source, 1)
    clock.advance(3.05)
    (second,) = await all_pictures(source, 1)
    assert read_frame_number(first.frame) == 0
    assert read_frame_number(second.frame) == 30
    assert second.captured_at == pytest.approx(1003.0)
    await source.close()


async def test_a_slow_reader_of_the_picture_does_not_hold_up_the_sound(tmp_path: Path) -> None:
    source = FileSource(await record_card(tmp_path / "film.mkv", 3), clock=SimulatedClock())
    await source.start()
    assert len(await all_blocks(source)) == pytest.approx(150, abs=2)
    await source.close()


@pytest.mark.parametrize("suffix", [".mkv", ".wav"])
async def test_a_file_that_is_cut_off_ends(tmp_path: Path, suffix: str) -> None:
    if suffix == ".wav":
        whole = write_wav(tmp_path / "whole.wav", tone(440, 3))
    else:
        whole = await record_card(tmp_path / "whole.mkv", 3)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source = FileSource(cut, clock=SimulatedClock())
    await source.start()
    blocks = await all_blocks(source)
    assert 20 <= len(blocks) < 150
    if source.video is not None:
        assert len(await all_pictures(source)) < 30
    await source.close()


@pytest.mark.parametrize("stream", ["sound", "picture"])
async def test_a_file_that_is_damaged_in_the_middle_ends_there(tmp_path: Path, stream: str) -> None:
    path = await record_card(tmp_path / "film.mp4", 3)
    content = bytearray(path.read_bytes())
    begin, end = content.index(b"mdat"), content.index(b"moov")
    middle = (begin + end) // 2
    content[middle : end - 4] = np.random.default_rng(3).bytes(end - 4 - middle)
    path.write_bytes(content)
    source = FileSource(path, clock=SimulatedClock())
    await source.start()
    count = len(await all_blocks(source)) if stream == "sound" else len(await all_pictures(source))
    assert 0 < count <= (150 if stream == "sound" else 30)
    await source.close()


async def test_a_gap_in_the_time_stamps_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for pts, hz in ((0, 500), (96_000, 900)):
            frame = av.AudioFrame.from_ndarray(tone(hz, 1.0).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), pts
            container.mux(stream.encode(frame))
    source = FileSource(path, clock=SimulatedClock())
    await source.start()
    heard = joined(await all_blocks(source))
    assert len(heard) == pytest.approx(3 * 48_000, abs=960)
    assert dominant_hz(heard[:48_000]) == pytest.approx(500, abs=2)
    assert not heard[48_100:95_900].any()
    assert dominant_hz(heard[96_000:]) == pytest.approx(900, abs=2)
    await source.close()


@pytest.mark.parametrize("content", [None, b"", b"not a film at all" * 100, b"RIFF\x00\x00\x00\x00WAVE"])
async def test_what_is_no_film_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "film.wav"
    if content is not None:
        path.write_bytes(content)
    before = threading.active_count()
    with pytest.raises(MediaFileError, match=r"film\.wav"):
        await FileSource(path).start()
    assert threading.active_count() <= before + 1, "one idle worker of the event loop is not ours"


async def test_what_a_file_holds_is_known_before_the_start(tmp_path: Path) -> None:
    film = FileSource(await record_card(tmp_path / "film.mkv", 0.5), clock=SimulatedClock())
    audio, video = film.audio, film.video
    assert audio is not None
    assert video is not None
    assert not {thread.name for thread in threading.enumerate()} & {"file sound", "file picture"}
    with pytest.raises(LocalProtocolError, match="started"):
        await audio.read()
    with pytest.raises(LocalProtocolError, match="started"):
        await video.read()
    await film.close()
    await film.start()
    assert (film.audio, film.video) == (audio, video)
    assert await audio.read() is not None
    await film.close()
    sound = FileSource(write_wav(tmp_path / "tone.wav", tone(440, 0.1)))
    assert sound.audio is not None
    assert sound.video is None


async def test_a_file_that_cannot_be_read_has_neither_and_says_so_when_asked(tmp_path: Path) -> None:
    source = FileSource(tmp_path / "film.wav", clock=SimulatedClock())
    assert (source.audio, source.video) == (None, None)
    with pytest.raises(MediaFileError, match="no such file"):
        source.check()
    write_wav(tmp_path / "film.wav", tone(440, 0.1))
    assert source.audio is not None
    source.check()
    (tmp_path / "film.wav").unlink()
    with pytest.raises(MediaFileError, match="no such file"):
        await source.start()
    assert source.audio is None


async def test_a_source_that_is_started_again_begins_again(tmp_path: Path) -> None:
    source = FileSource(write_wav(tmp_path / "tone.wav", tone(440, 0.1)), clock=SimulatedClock())
    for _ in range(2):
        await source.start()
        beginning = source.timeline.due(0.0)
        assert [block.captured_at - beginning for block in await all_blocks(source)] == pytest.approx(
            [0, 0.02, 0.04, 0.06, 0.08]
        )
        await source.close()


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaFileError, match="no such file"):
        await FileSource(tmp_path).start()


async def test_closing_in_the_middle_leaves_no_thread(tmp_path: Path) -> None:
    source = FileSource(await record_card(tmp_path / "film.mkv", 3), loop=True)
    await source.start()
    assert source.audio is not None
    assert await source.audio.read() is not None
    await source.close()
    await source.close()
    assert not {thread.name for thread in threading.enumerate()} & {"file sound", "file picture"}
