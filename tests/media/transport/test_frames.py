"""Messages cut out of a stream."""

from __future__ import annotations

import pytest

from entrenous.errors import RemoteProtocolError
from entrenous.media.transport.frames import MAX_FRAME, Framer
from entrenous.media.transport.stun import Class, Message, Method


def test_a_stream_is_cut_into_messages() -> None:
    framer = Framer()
    stun = Message(Method.BINDING, Class.SUCCESS, bytes(12)).encode()
    channel = b"\x40\x00\x00\x05media\0\0\0"
    stream = stun + channel + stun
    got = [message for byte in stream for message in framer.feed(bytes([byte]))]
    assert got == [stun, channel, stun]
    assert Framer().feed(stream) == got
    for nonsense in (b"\x80\0\0\0", b"\x40\0" + MAX_FRAME.to_bytes(2, "big")):
        with pytest.raises(RemoteProtocolError):
            Framer().feed(nonsense)
