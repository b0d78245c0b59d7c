"""What encoding and decoding pictures costs, how good they are, and how a rate is followed: ours beside aiortc's.

`rates`: a talking person at 1280x720, 30 pictures a second, on one thread, at several rates. `steps`: 2 Mbit/s, then
300 kbit/s, then 2 Mbit/s again, two seconds each, by the encoder alone: what nothing else in a call can make quicker.
`scaling`: what it takes to make pictures smaller first. No network and no call; processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiortc.codecs import h264 as aiortc_h264
from aiortc.codecs import vpx as aiortc_vpx
from av.video.frame import PictureType

from entrenous.media.codecs.base import VideoCodec
from entrenous.media.pictures import PictureConverter, own_copy, pixels
from entrenous.media.video_codecs import is_key_frame, make_decoder, make_encoder

from .media_material import Clip
from .media_measures import ssim
from .media_report import Row, run

SIZE = (1280, 720)
FPS = 30
RATES = (300_000, 1_000_000, 2_000_000)
PICTURES = 150
WARM = 30
"""Pictures at the beginning that are not judged: the rate control has to find its way."""
KEY_FRAME_AT = 90
STEPS = ((0, 2_000_000), (60, 300_000), (120, 2_000_000), (180, 2_000_000))
WINDOW = 10
"""Pictures over which the rate of the output is taken in `steps`."""
PARTS = ("rates", "steps", "scaling")

Encode = Callable[[av.VideoFrame, int, bool], bytes]
"""Takes a picture, the bit rate and whether a key frame is wanted."""


def _ours(codec: VideoCodec) -> Encode:
    encoder = make_encoder(codec, *SIZE, RATES[0], FPS)
    rate = RATES[0]

    def encode(picture: av.VideoFrame, wanted: int, key_frame: bool) -> bytes:
        nonlocal rate
        if wanted != rate:
            rate = wanted
            encoder.set_rate(rate, FPS)
        return encoder.encode(picture, key_frame=key_frame).data

    return encode


def _aiortcs(codec: VideoCodec) -> Encode:
    encoder = aiortc_vpx.Vp8Encoder() if codec is VideoCodec.VP8 else aiortc_h264.H264Encoder()
    number = 0

    def encode(picture: av.VideoFrame, wanted: int, key_frame: bool) -> bytes:
        nonlocal number
        encoder.target_bitrate = wanted
        picture = own_copy(picture, *SIZE)
        picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, FPS), PictureType.NONE
        number += 1
        payloads, _ = encoder.encode(picture, key_frame)
        depayload = aiortc_vpx.vp8_depayload if codec is VideoCodec.VP8 else aiortc_h264.h264_depayload
        return b"".join(depayload(payload) for payload in payloads)

    return encode


@dataclass(frozen=True, slots=True)
class System:
    """One encoder.

    Args:
        codec: of what it makes.
        open: makes a new one.
    """

    codec: VideoCodec
    open: Callable[[], Encode]


SYSTEMS = {
    **{f"entrenous {codec}": System(codec, lambda codec=codec: _ours(codec)) for codec in VideoCodec},  # type: ignore[misc]  # a default value has no type in a lambda
    "aiortc vp8": System(VideoCodec.VP8, lambda: _aiortcs(VideoCodec.VP8)),
    "aiortc h264": System(VideoCodec.H264, lambda: _aiortcs(VideoCodec.H264)),
}


async def measure(parts: Sequence[str], systems: Sequence[str]) -> AsyncIterator[Row]:
    """Rows of each part and encoder."""
    clip = Clip(*SIZE)
    pictures = [clip.picture(number) for number in range(max(PICTURES, STEPS[-1][0]))]
    for name in systems:
        if "rates" in parts:
            for rate in RATES:
                yield _at_rate(name, SYSTEMS[name], pictures[:PICTURES], rate)
        if "steps" in parts:
            yield _over_steps(name, SYSTEMS[name], pictures)
    if "scaling" in parts:
        for height in (540, 360, 180):
            yield _scaling(pictures, height)


def _at_rate(name: str, system: System, pictures: Sequence[av.VideoFrame], rate: int) -> Row:
    encode, decoder = system.open(), make_decoder(system.codec)
    encoding = decoding = 0.0
    sizes, qualities, keys = [], [], []
    for number, picture in enumerate(pictures):
        begun = time.process_time()
        data = encode(picture, rate, number == KEY_FRAME_AT)
        encoded = time.process_time()
        shown = decoder.decode(data)
        if number >= WARM:
            encoding, decoding = encoding + encoded - begun, decoding + time.process_time() - encoded
            if shown is not None and number % 10 == 0:
                qualities.append(ssim(pixels(picture.planes[0]), pixels(shown.planes[0])))
        if is_key_frame(system.codec, data):
            keys.append(len(data))
        sizes.append(len(data))
    judged = len(pictures) - WARM
    return {
        "case": f"720p30 at {rate // 1000} kbit/s",
        "system": name,
        "encode_ms": round(1000 * encoding / judged, 2),
        "decode_ms": round(1000 * decoding / judged, 2),
        "kbps": round(sum(sizes[WARM:]) * 8 * FPS / judged / 1000),
        "ssim": round(float(np.mean(qualities)), 4),
        "key_frames": len(keys),
        "key_frame": round(keys[-1] / float(np.median(sizes[WARM:])), 1),
    }


def _over_steps(name: str, system: System, pictures: Sequence[av.VideoFrame]) -> Row:
    encode = system.open()
    sizes, keys = [], 0
    for number, picture in enumerate(pictures[: STEPS[-1][0]]):
        rate = max(step for step in STEPS if step[0] <= number)[1]
        data = encode(picture, rate, False)
        keys += is_key_frame(system.codec, data)
        sizes.append(len(data))
    down, up, end = (begin for begin, _ in STEPS[1:])
    windows = np.convolve(sizes, np.ones(WINDOW), "valid") * 8 * FPS / WINDOW
    return {
        "case": "2000 → 300 → 2000 kbit/s",
        "system": name,
        "down_s": _reached(windows[down:up] <= 1.25 * 300_000),
        "excess_kbit": round(float(sum(sizes[down : down + FPS])) * 8 / 1000 - 300),
        "up_s": _reached(windows[up:end] >= 0.75 * 2_000_000),
        "key_frames": keys,
    }


def _reached(there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float | None:
    """Seconds to the end of the first window in which the rate was reached; None where it never was."""
    return round((int(np.argmax(there)) + WINDOW) / FPS, 2) if there.any() else None


def _scaling(pictures: Sequence[av.VideoFrame], height: int) -> Row:
    converter, width = PictureConverter(), height * SIZE[0] // SIZE[1]
    begun = time.process_time()
    for picture in pictures:
        converter.readable(picture, width, height)
    taken = (time.process_time() - begun) / len(pictures)
    return {"case": f"720 to {height} lines", "system": "entrenous", "scale_ms": round(1000 * taken, 3)}


def summary(rows: Sequence[Row]) -> list[str]:
    """The three tables."""
    lines = [
        f"  {'':24}{'':18}{'encode ms':>10}{'decode ms':>10}{'kbit/s':>8}{'SSIM':>8}{'key frames':>11}{'of median':>10}"
    ]
    lines += [
        f"  {row['case']!s:24}{row['system']!s:18}{row['encode_ms']:>10}{row['decode_ms']:>10}{row['kbps']:>8}"
        f"{row['ssim']:>8}{row['key_frames']:>11}{row['key_frame']:>10}"
        for row in rows
        if "encode_ms" in row
    ]
    lines.append(f"  {'':42}{'down s':>10}{'excess kbit':>12}{'up s':>8}{'key frames':>11}")
    lines += [
        f"  {row['case']!s:24}{row['system']!s:18}{row['down_s']!s:>10}{row['excess_kbit']:>12}{row['up_s']!s:>8}"
        f"{row['key_frames']:>11}"
        for row in rows
        if "down_s" in row
    ]
    return lines + [f"  {row['case']!s:42}{row['scale_ms']:>7} ms" for row in rows if "scale_ms" in row]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="this encoder; may be repeated")
    options = parser.parse_args(arguments)
    return run("media-codecs", measure(options.part or PARTS, options.system or list(SYSTEMS)), summary)


if __name__ == "__main__":
    raise SystemExit(main())
