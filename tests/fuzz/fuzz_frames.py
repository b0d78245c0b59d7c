"""Bytes made by a fuzzer that sees which branches they take, against the reader of WebSocket frames.

Run it in `tests/`, for so many inputs or until it is stopped::

    python -m fuzz.fuzz_frames 100000

An input says of what a stream is made, part by part, frames of a client or any bytes; and where it is cut into reads.
"""

from __future__ import annotations

from itertools import pairwise

import atheris

from fuzz.runner import main

with atheris.instrument_imports(include=["entrenous_signaling.frames"]):
    from entrenous_signaling.frames import Fault, FrameError, FrameReader, Opcode

_LARGEST = 200
_LONGEST_HEAD = 14
_MOST_IN_CONTROL = 125
_MOST_PARTS = 12
_MOST_CUTS = 6
_FIRSTS = (0x81, 0x01, 0x00, 0x80, 0x02, 0x82, 0x89, 0x8A, 0x88)

Heard = tuple[list[tuple[Opcode, bytes]], Fault | None, bool]


def check_stream(data: bytes) -> None:
    """Read it as a whole and in pieces: the same comes out, no message is too large, and little is kept."""
    given = atheris.FuzzedDataProvider(data)
    cuts = [given.ConsumeIntInRange(0, 600) for _ in range(given.ConsumeIntInRange(0, _MOST_CUTS))]
    parts = [_part(given) for _ in range(given.ConsumeIntInRange(0, _MOST_PARTS))]
    stream = b"".join(parts) + given.ConsumeBytes(len(data))
    whole = _read([stream])
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert _read([stream[begin:end] for begin, end in pairwise(edges)]) == whole
    for opcode, payload in whole[0]:
        assert len(payload) <= (_MOST_IN_CONTROL if opcode >= Opcode.CLOSE else _LARGEST)


def _part(given: atheris.FuzzedDataProvider) -> bytes:
    """A frame with any first byte, any of those that may come in the most cases; or no frame at all."""
    kind = given.ConsumeIntInRange(0, len(_FIRSTS) + 1)
    if kind > len(_FIRSTS):
        return bytes(given.ConsumeBytes(given.ConsumeIntInRange(0, 20)))
    first = _FIRSTS[kind] if kind < len(_FIRSTS) else given.ConsumeIntInRange(0, 255)
    size = given.ConsumeIntInRange(0, _LARGEST + 1)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + bytes(4) + bytes(size)


def _read(pieces: list[bytes]) -> Heard:
    """What comes of it, why it ended, if it did, and whether something is kept of a frame."""
    reader = FrameReader(_LARGEST)
    found: list[tuple[Opcode, bytes]] = []
    for piece in pieces:
        try:
            found.extend(reader.read(piece))
        except FrameError as error:
            return found, error.fault, False
        assert len(reader._held or b"") <= _LARGEST + _LONGEST_HEAD
    return found, None, reader._held is not None


if __name__ == "__main__":
    main(check_stream, [bytes(range(begin, begin + 200, step)) for begin, step in ((0, 1), (40, 3), (7, 11), (50, 2))])
