"""Frames made by a fuzzer that sees which branches they take, against the codec.

Run it in `tests/`, for so many inputs or until it is stopped::

    python -m fuzz.fuzz_wire 100000

What it finds stays in a folder that is named at the start, and is the corpus of the next run when `--corpus` names it.
"""

from __future__ import annotations

import atheris

from fuzz.runner import main

with atheris.instrument_imports(include=["entrenous_wire"]):
    from entrenous_wire import codec, messages
    from fuzz.corpus import frames


def check_frame(data: bytes) -> None:
    """Decode it as both sides do; what comes out must survive being said again."""
    for decode in (codec.decode_from_node, codec.decode_from_server):
        for frame in (data, data.decode("utf-8", "surrogateescape")):
            try:
                message: messages.Message = decode(frame)
            except codec.WireError as error:
                assert len(codec.encode(messages.Error(code=error.code, message=str(error)))) < 2048
                continue
            try:
                again = codec.encode(message)
            except codec.WireError:
                continue  # base64 and numbers may be written in fewer bytes than we write them
            assert decode(again) == message


if __name__ == "__main__":
    main(check_frame, frames())
