"""SFrame, RFC 9605: every encoded frame is sealed end to end before it is packetised, and opened after.

The bytes are drawn in `sframe_cipher`; here is what has state: counters, epochs and the replay window. The
key id is the rekey epoch of the call. A base key belongs to one direction and one stream, so the counter
alone makes nonces unique, and a frame moved into another stream or direction fails its tag.

    sealer = FrameSealer(0, key)             opener = FrameOpener(0, key)
    packet = sealer.seal(frame)              frame = opener.open(packet, now=now)
"""

from __future__ import annotations

from math import inf
from typing import Final

from entrenous.crypto.replay import ReplayWindow, Seen
from entrenous.crypto.sframe_cipher import (
    DEFAULT_SUITE,
    MAX_VALUE,
    FrameCipher,
    FrameRejected,
    RejectReason,
    Suite,
    decode_header,
    encode_header,
    tag_length,
)
from entrenous.errors import LocalProtocolError

__all__ = [
    "DEFAULT_SUITE",
    "EPOCH_GRACE",
    "EPOCH_LIMIT",
    "REPLAY_WINDOW",
    "FrameOpener",
    "FrameRejected",
    "FrameSealer",
    "RejectReason",
    "Suite",
    "tag_length",
]

EPOCH_GRACE: Final = 2.0
"""Seconds for which the previous epoch is still opened once a frame of the next one has arrived."""

EPOCH_LIMIT: Final = 60.0
"""Seconds without a frame after which a superseded epoch is forgotten even if none of the next one ever came."""

REPLAY_WINDOW: Final = 1024
"""How many counters behind the highest one a frame may still arrive."""


class FrameSealer:
    """Seals the frames of one stream that this device sends.

    Args:
        epoch: the first rekey epoch, or None to start without a key: then `seal` refuses until `rotate`.
        base_key: the base key of that epoch, direction and stream, 32 bytes.
        suite: the cipher suite.

    Raises:
        LocalProtocolError: only one of `epoch` and `base_key` is given, or one does not fit.
    """

    __slots__ = ("_cipher", "_counter", "_epoch", "_suite")

    def __init__(
        self, epoch: int | None = None, base_key: bytes | None = None, *, suite: Suite = DEFAULT_SUITE
    ) -> None:
        if (epoch is None) != (base_key is None):
            raise LocalProtocolError("An epoch and its base key belong together.")
        self._suite = suite
        self._cipher: FrameCipher | None = None
        self._epoch = -1
        self._counter = 0
        if epoch is not None and base_key is not None:
            self.rotate(epoch, base_key)

    def __repr__(self) -> str:
        return f"<FrameSealer epoch={self._epoch} sealed={self._counter} keyed={self.keyed}>"

    @property
    def keyed(self) -> bool:
        """Whether there is a key, without which nothing is sealed."""
        return self._cipher is not None

    @property
    def epoch(self) -> int:
        """The epoch that `seal` uses, -1 before the first."""
        return self._epoch

    @property
    def sealed(self) -> int:
        """How many frames were sealed in this epoch; also the next counter."""
        return self._counter

    @property
    def header_length(self) -> int:
        """How many bytes the header of the next frame takes: more as counter and epoch grow (RFC 9605 §4.3)."""
        return len(encode_header(max(0, self._epoch), min(self._counter, MAX_VALUE)))

    def rotate(self, epoch: int, base_key: bytes) -> None:
        """Seal with the key of a later epoch from now on; the counter starts again at 0.

        Raises:
            LocalProtocolError: `epoch` is not later than the present one: its counters may have been used.
        """
        if epoch <= self._epoch:
            raise LocalProtocolError("A frame key may only be replaced by that of a later epoch.")
        self._cipher = FrameCipher(self._suite, epoch, base_key)
        self._epoch = epoch
        self._counter = 0

    def seal(self, frame: bytes, metadata: bytes = b"") -> bytes:
        """Seal one encoded frame.

        Args:
            frame: the encoded frame, any length.
            metadata: bytes that travel beside it in clear and are authenticated with it.

        Returns:
            header ‖ ciphertext ‖ tag.

        Raises:
            LocalProtocolError: there is no key, or its 2**64 counters are used up. Nothing is ever sent in clear.
        """
        if self._cipher is None:
            raise LocalProtocolError("There is no frame key: nothing may be sent yet.")
        counter = self._counter
        if counter > MAX_VALUE:
            raise LocalProtocolError("The counters of this frame key are used up: rekey the call.")
        self._counter = counter + 1
        return self._cipher.seal(counter, frame, metadata)

    def forget(self) -> None:
        """Drop the key: `seal` refuses from now on."""
        self._cipher = None


class _Epoch:
    """One receiving epoch: its cipher, its replay window and when it stops being opened (never: the newest)."""

    __slots__ = ("cipher", "expires_at", "window")

    def __init__(self, cipher: FrameCipher) -> None:
        self.cipher = cipher
        self.window = ReplayWindow(REPLAY_WINDOW)
        self.expires_at = inf


class FrameOpener:
    """Opens the frames of one stream that the peer sends.

    Two epochs exist at most: the newest and the one before it. The peer may change over only after this side
    has, so the older epoch ends `EPOCH_GRACE` seconds after the first authentic frame of the newer one; if that
    never comes, when the older one has been silent for `EPOCH_LIMIT` seconds.

    `latest_epoch_opened` is the newest epoch in which the peer was heard (-1: none), `opened` and `rejected`
    count frames.

    Args:
        epoch: the first rekey epoch, or None to start without a key: then every frame is refused.
        base_key: the base key of that epoch, direction and stream, 32 bytes.
        suite: the cipher suite.

    Raises:
        LocalProtocolError: only one of `epoch` and `base_key` is given, or one does not fit.
    """

    __slots__ = ("_epochs", "_newest", "_suite", "latest_epoch_opened", "opened", "rejected")

    def __init__(
        self, epoch: int | None = None, base_key: bytes | None = None, *, suite: Suite = DEFAULT_SUITE
    ) -> None:
        if (epoch is None) != (base_key is None):
            raise LocalProtocolError("An epoch and its base key belong together.")
        self._suite = suite
        self._epochs: dict[int, _Epoch] = {}
        self._newest = -1
        self.latest_epoch_opened = -1
        self.opened = 0
        self.rejected: dict[RejectReason, int] = dict.fromkeys(RejectReason, 0)
        if epoch is not None and base_key is not None:
            self.add_epoch(epoch, base_key, now=0.0)

    def __repr__(self) -> str:
        return f"<FrameOpener epochs={sorted(self._epochs)} opened={self.opened} rejected={self.total_rejected}>"

    @property
    def total_rejected(self) -> int:
        """How many frames were refused, for any reason."""
        return sum(self.rejected.values())

    def add_epoch(self, epoch: int, base_key: bytes, now: float) -> None:
        """Open frames of a later epoch as well.

        Args:
            epoch: later than every epoch before.
            base_key: its base key for this direction and stream.
            now: monotonic seconds.

        Raises:
            LocalProtocolError: `epoch` is not later: its counters may have been seen.
        """
        if epoch <= self._newest:
            raise LocalProtocolError("A frame key may only be replaced by that of a later epoch.")
        cipher = FrameCipher(self._suite, epoch, base_key)
        self.expire(now)
        previous = self._epochs.get(self._newest)
        self._epochs = {}
        if previous is not None:
            previous.expires_at = now + EPOCH_LIMIT
            self._epochs[self._newest] = previous
        self._epochs[epoch] = _Epoch(cipher)
        self._newest = epoch

    def expire(self, now: float) -> None:
        """Forget the key of an epoch whose time is over; `open` does so too, a silent stream needs this one."""
        for epoch, held in list(self._epochs.items()):
            if now >= held.expires_at:
                del self._epochs[epoch]

    def open(self, sealed: bytes, metadata: bytes = b"", *, now: float) -> bytes:
        """Open one sealed frame.

        Args:
            sealed: header ‖ ciphertext ‖ tag.
            metadata: the bytes that travelled beside it in clear, exactly as they were sealed.
            now: monotonic seconds.

        Returns:
            The encoded frame.

        Raises:
            FrameRejected: it must be dropped; nothing but a counter of refusals has changed.
        """
        try:
            frame = self._open(sealed, metadata, now)
        except FrameRejected as rejection:
            self.rejected[rejection.reason] += 1
            raise
        self.opened += 1
        return frame

    def _open(self, sealed: bytes, metadata: bytes, now: float) -> bytes:
        if len(self._epochs) > 1:
            self.expire(now)
        if not self._epochs:
            raise FrameRejected(RejectReason.NO_KEY)
        header = decode_header(sealed)
        held = self._epochs.get(header.kid)
        if held is None:
            raise FrameRejected(RejectReason.UNKNOWN_EPOCH)
        match held.window.state(header.ctr):
            case Seen.FRESH:
                pass
            case Seen.REPEATED:
                raise FrameRejected(RejectReason.REPEATED)
            case Seen.TOO_OLD:
                raise FrameRejected(RejectReason.TOO_OLD)
        frame = held.cipher.open(header, sealed, metadata)
        held.window.commit(header.ctr)
        if header.kid == self._newest:
            self.latest_epoch_opened = header.kid
            if len(self._epochs) > 1:
                self._end_previous(now)
        elif self.latest_epoch_opened != self._newest:
            held.expires_at = now + EPOCH_LIMIT  # the peer has not changed over yet
        return frame

    def _end_previous(self, now: float) -> None:
        for epoch, held in self._epochs.items():
            if epoch != self._newest:
                held.expires_at = min(held.expires_at, now + EPOCH_GRACE)

    def forget(self) -> None:
        """Drop every key: each frame is refused from now on."""
        self._epochs = {}
