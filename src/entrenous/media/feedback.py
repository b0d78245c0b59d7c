"""Transport-wide feedback: which packets arrived and when, over all streams of a session (pure).

The receiver tells for each transport-wide sequence number whether it arrived, and when by its own clock; the sender
works out delay and loss (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1)::

    |V=2|P| FMT=15  |    PT=205     |            length             |
    |                     SSRC of packet sender                     |
    |                      SSRC of media source                     |
    |      base sequence number     |      packet status count      |
    |         reference time (64 ms)                |   fb count    |
    |  packet chunk (2 bytes) ...   |   deltas (1 or 2 bytes) ...   |

A chunk gives the status of a run of packets, or of 7 or 14 packets one by one; a delta is the time between an arrival
and the one before in units of 250 µs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from entrenous.errors import RemoteProtocolError

from .rtp import SequenceCounter
from .stats import RateMeter

FEEDBACK_FORMAT = 15
"""The RTPFB message type."""

TICK = 0.000_250
"""Seconds of one step of a delta."""

REFERENCE_TICKS = 256
"""Steps in one of the reference time: 64 ms."""

MAX_STATUSES = 4096
"""Packets that one feedback may speak of; at 10 Mbit/s it is four seconds of them."""

STATUSES_WRITTEN = 400
"""Packets that one of ours speaks of: even with every delta of two bytes it stays below 1 kB."""

SHORTEST_INTERVAL = 0.050
LONGEST_INTERVAL = 0.250
"""Seconds between feedbacks."""

FEEDBACK_SHARE = 0.05
"""Feedback a second for what is received, within those bounds."""

REACH = 512
"""Packets behind the newest report that are still reported when they come late."""

_RTPFB = 205
_HEADER = Struct("!BBHIIHHI")
_CHUNK = Struct("!H")
_LOST, _SMALL, _LARGE = 0, 1, 2
_MAX_RUN = 0x1FFF
_ONE_BIT = 0x8000
_TWO_BIT = 0xC000
_ONE_BIT_STATUSES = 14
_TWO_BIT_STATUSES = 7
_SMALL_DELTAS = range(256)
_LARGE_DELTAS = range(-32768, 32768)
_ASSUMED_LENGTH = 90
"""Bytes of one feedback on the wire, roughly."""


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """What one feedback says.

    Args:
        base_sequence: the transport-wide sequence number of the first packet, 16 bits.
        count: of feedbacks so far, 8 bits.
        reference: the receiver's clock at the beginning, in units of 64 ms, 24 bits.
        arrivals: for each packet from the base on, its arrival in ticks after the reference; None when it is missing.
    """

    base_sequence: int
    count: int
    reference: int
    arrivals: tuple[int | None, ...]


def write_feedback(sender_ssrc: int, media_ssrc: int, feedback: TransportFeedback) -> bytes:
    """Write one feedback as an RTCP packet.

    Args:
        sender_ssrc: of whoever sends it.
        media_ssrc: one of the streams that it is about.
        feedback: its deltas must fit into 16 bits.
    """
    statuses = bytearray()
    deltas = bytearray()
    last = 0
    for arrival in feedback.arrivals:
        if arrival is None:
            statuses.append(_LOST)
            continue
        delta, last = arrival - last, arrival
        if delta in _SMALL_DELTAS:
            statuses.append(_SMALL)
            deltas.append(delta)
        else:
            statuses.append(_LARGE)
            deltas += delta.to_bytes(2, "big", signed=True)
    body = _write_chunks(statuses) + deltas
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes([padding])
    words = (_HEADER.size + len(body)) // 4 - 1
    return (
        _HEADER.pack(
            0x80 | (0x20 if padding else 0) | FEEDBACK_FORMAT,
            _RTPFB,
            words,
            sender_ssrc,
            media_ssrc,
            feedback.base_sequence,
            len(feedback.arrivals),
            feedback.reference << 8 | feedback.count,
        )
        + body
    )


def _write_chunks(statuses: bytearray) -> bytearray:
    chunks = bytearray()
    at = 0
    while at < len(statuses):
        symbol = statuses[at]
        following = statuses[at : at + _ONE_BIT_STATUSES]
        run = len(following) - len(following.lstrip(statuses[at : at + 1]))
        if run == len(following):
            rest = statuses[at : at + _MAX_RUN]
            run = len(rest) - len(rest.lstrip(statuses[at : at + 1]))
            chunk = symbol << 13 | run
        elif _LARGE not in following:
            chunk, run = _ONE_BIT, len(following)
            for place, status in enumerate(following):
                chunk |= status << (_ONE_BIT_STATUSES - 1 - place)
        elif run >= _TWO_BIT_STATUSES:
            chunk = symbol << 13 | run
        else:
            few = following[:_TWO_BIT_STATUSES]
            chunk, run = _TWO_BIT, len(few)
            for place, status in enumerate(few):
                chunk |= status << (2 * (_TWO_BIT_STATUSES - 1 - place))
        chunks += _CHUNK.pack(chunk)
        at += run
    return chunks


def read_feedback(data: bytes) -> TransportFeedback:
    """Read the RTCP packet of one feedback.

    Args:
        data: the whole packet, its padding removed or not.

    Raises:
        RemoteProtocolError: it is truncated, speaks of too many packets or of none, or has bytes too many.
    """
    if len(data) < _HEADER.size:
        raise RemoteProtocolError("A transport feedback is shorter than its header.")
    first, _, _, _, _, base, status_count, times = _HEADER.unpack_from(data)
    end = len(data)
    if first & 0x20:
        if not 0 < data[-1] <= end - _HEADER.size:
            raise RemoteProtocolError("A transport feedback has more padding than bytes.")
        end -= data[-1]
    if not 0 < status_count <= MAX_STATUSES:
        raise RemoteProtocolError("A transport feedback speaks of no packets or of too many.")
    statuses, at = _read_chunks(data, end, status_count)
    arrivals, at = _read_deltas(data, at, end, statuses)
    if end - at > 3:
        raise RemoteProtocolError("A transport feedback has bytes that belong to no packet.")
    return TransportFeedback(base, times & 0xFF, times >> 8, arrivals)


def _read_chunks(data: bytes, end: int, status_count: int) -> tuple[list[int], int]:
    statuses: list[int] = []
    at = _HEADER.size
    while len(statuses) < status_count:
        if at + _CHUNK.size > end:
            raise RemoteProtocolError("A transport feedback lacks the status of a packet.")
        chunk = data[at] << 8 | data[at + 1]
        at += _CHUNK.size
        if chunk < _ONE_BIT:
            run = chunk & _MAX_RUN
            if run == 0:
                raise RemoteProtocolError("A transport feedback has a run of no packets.")
            statuses += [chunk >> 13] * min(run, status_count - len(statuses))
        elif chunk < _TWO_BIT:
            statuses += [chunk >> shift & 1 for shift in range(_ONE_BIT_STATUSES - 1, -1, -1)]
        else:
            statuses += [chunk >> shift & 3 for shift in range(2 * _TWO_BIT_STATUSES - 2, -1, -2)]
    del statuses[status_count:]
    return statuses, at


def _read_deltas(data: bytes, at: int, end: int, statuses: list[int]) -> tuple[tuple[int | None, ...], int]:
    arrivals: list[int | None] = []
    time = 0
    # One bound for all reads: a status that needs more bytes than there are is caught after the loop has consumed
    # what there is, since each of them takes one or two.
    if at + sum(statuses) > end:
        raise RemoteProtocolError("A transport feedback lacks the time of an arrival.")
    for status in statuses:
        if status == _LOST:
            arrivals.append(None)
        elif status == _SMALL:
            time += data[at]
            at += 1
            arrivals.append(time)
        elif status == _LARGE:
            time += (data[at] << 8 | data[at + 1]) - ((data[at] & 0x80) << 9)
            at += 2
            arrivals.append(time)
        else:
            raise RemoteProtocolError("A transport feedback has a reserved packet status.")
    return tuple(arrivals), at


class FeedbackMaker:
    """Collects arrivals and makes feedback of them, often enough to steer by and seldom enough to be cheap.

    Nothing has to be timed for it: `poll` is asked after each arrival and whenever one looks after the session anyway.

    Args:
        sender_ssrc: of a stream of ours.
        media_ssrc: of a stream of the peer.
    """

    def __init__(self, sender_ssrc: int, media_ssrc: int) -> None:
        self.made = 0
        """Feedbacks so far."""
        self._ssrcs = sender_ssrc, media_ssrc
        self._sequences = SequenceCounter()
        self._arrivals: dict[int, float] = {}
        self._next = 0
        """The endless number from which on nothing is reported yet."""
        self._fresh = False
        self._origin = 0.0
        self._received = RateMeter()
        self._made_at = float("-inf")

    def arrived(self, transport_sequence: int, size: int, at: float) -> None:
        """Note one packet.

        Args:
            transport_sequence: its transport-wide sequence number, 16 bits.
            size: its bytes.
            at: monotonic seconds, stamped at the socket.
        """
        self._received.add(size, at)
        first = self._sequences.highest is None
        extended = self._sequences.extend(transport_sequence)
        if first:
            self._next = extended
            self._origin = at - 1.0  # our clock since it was started is nobody's business
        if extended < self._next - REACH or extended in self._arrivals:
            return
        self._arrivals[extended] = at
        self._fresh = True
        if extended < self._next:
            self._next = extended  # reported as missing: that and all after it once more
        elif extended - self._next >= MAX_STATUSES:
            self._next = extended - MAX_STATUSES + 1
            self._forget()

    def poll(self, now: float) -> list[bytes]:
        """The RTCP packets to send now: mostly none or one, more after an outage."""
        since = now - self._made_at
        if not self._fresh or since < SHORTEST_INTERVAL or since < self._interval(now):
            return []
        self._fresh = False
        self._made_at = now
        newest = max(self._arrivals)
        packets = []
        while self._next <= newest:
            packets.append(self._make(newest))
        self._forget()
        return packets

    def _interval(self, now: float) -> float:
        affordable = FEEDBACK_SHARE * self._received.per_second(now)
        return max(SHORTEST_INTERVAL, min(LONGEST_INTERVAL, _ASSUMED_LENGTH / max(1.0, affordable)))

    def _make(self, newest: int) -> bytes:
        base = self._next
        arrivals: list[int | None] = []
        reference: int | None = None
        last = 0
        while self._next <= newest and len(arrivals) < STATUSES_WRITTEN:
            at = self._arrivals.get(self._next)
            if at is None:
                arrivals.append(None)
            else:
                ticks = round((at - self._origin) / TICK)
                if reference is None:
                    reference = ticks // REFERENCE_TICKS
                    last = reference * REFERENCE_TICKS
                if ticks - last not in _LARGE_DELTAS:
                    break  # a pause this long begins another feedback
                arrivals.append(ticks - reference * REFERENCE_TICKS)
                last = ticks
            self._next += 1
        feedback = TransportFeedback(base & 0xFFFF, self.made & 0xFF, (reference or 0) & 0xFF_FFFF, tuple(arrivals))
        self.made += 1
        return write_feedback(*self._ssrcs, feedback)

    def _forget(self) -> None:
        behind: Sequence[int] = [sequence for sequence in self._arrivals if sequence < self._next - REACH]
        for sequence in behind:
            del self._arrivals[sequence]
