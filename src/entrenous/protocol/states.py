"""The call machine's states, its events, and the one transition table.

Read the table at the end beside the call machine's page of the design: what is not in it is counted and dropped.
Inputs become events in `call.py` (a stale generation, a foreign device or an unknown leg becomes no event at all),
events find their row here, and the row's action in `actions.py` says what is done and what is sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple, assert_never


class CallState(StrEnum):
    """Where one call stands on one device."""

    NEW = "new"
    """Before the first input; nobody sees it."""
    PREPARING = "preparing"
    """Caller: the device keys are being fetched."""
    INVITING = "inviting"
    """Caller: the rings are sent, no device has answered."""
    ALERTING = "alerting"
    """Caller: at least one device rings."""
    RINGING = "ringing"
    """Callee: this device rings."""
    ANSWERING = "answering"
    """Callee: the user accepted, microphone and camera are being opened."""
    CONNECTING = "connecting"
    """Accepted, no leg is secured yet."""
    ACTIVE = "active"
    """Media may flow."""
    RECONNECTING = "reconnecting"
    """Media flowed and stopped; a new leg is under way."""
    ENDED = "ended"


class Role(StrEnum):
    """Which end of the call this device is; only the caller starts new legs after the first."""

    CALLER = "caller"
    CALLEE = "callee"


class Stage(StrEnum):
    """How far a call got."""

    KEYS = "keys"
    """Fetching and checking the other's device keys."""
    RING = "ring"
    """Reaching the other's devices, and the other person."""
    PATH = "path"
    """Finding a network path (ICE)."""
    HANDSHAKE = "handshake"
    """Securing that path (DTLS)."""
    MEDIA = "media"
    """Sound and picture."""


class EndReason(StrEnum):
    """Why a call ended, as the person at this end shall read it.

    An `end` that is sent names the reason that its *receiver* shall read: hanging up says REMOTE. What may be said
    to whom stands in `heard`.
    """

    LOCAL = "local"
    """This user hung up or declined."""
    REMOTE = "remote"
    """The other user hung up."""
    DECLINED = "declined"
    BUSY = "busy"
    UNANSWERED = "unanswered"
    """Caller: it rang, nobody answered."""
    MISSED = "missed"
    """Callee: it rang, nobody answered."""
    CANCELLED = "cancelled"
    """Callee: the caller stopped calling."""
    ELSEWHERE = "elsewhere"
    """Callee: another device of this user answered or declined."""
    OFFLINE = "offline"
    """No device of the other user is connected."""
    UNKNOWN_USER = "unknown-user"
    """The other's server knows no such user."""
    FAILED = "failed"
    """It could not be set up; the stage says what did not work."""
    LOST = "lost"
    """It was connected, and the connection did not come back."""
    CROSSED = "crossed"
    """Both called each other at once; the call goes on under the other call's id."""
    RECALLED = "recalled"
    """The other's device lost this call and is calling anew."""


def heard(said: EndReason, role: Role) -> EndReason:
    """What this end reads when the other end says `said`: an end always ends, even with a reason that makes no sense.

    Args:
        said: the reason in an `end` of the other device.
        role: which end this device is.
    """
    match said:
        case EndReason.DECLINED | EndReason.BUSY:
            return said if role is Role.CALLER else EndReason.REMOTE
        case EndReason.CANCELLED | EndReason.ELSEWHERE:
            return said if role is Role.CALLEE else EndReason.REMOTE
        case EndReason.REMOTE | EndReason.FAILED | EndReason.LOST:
            return said
        case (
            EndReason.LOCAL
            | EndReason.UNANSWERED
            | EndReason.MISSED
            | EndReason.OFFLINE
            | EndReason.UNKNOWN_USER
            | EndReason.CROSSED
            | EndReason.RECALLED
        ):
            return EndReason.REMOTE
        case _:
            assert_never(said)


class CallDeadline(StrEnum):
    """What a call waits for with a limit; the durations are in `deadlines.Timeouts`."""

    RING = "ring"
    ANSWER = "answer"
    CONNECT = "connect"
    RECONNECT = "reconnect"
    ATTEMPT = "attempt"
    RETRY = "retry"
    OLD_LEG = "old-leg"


class Event(StrEnum):
    """What can happen to a call, after stale and foreign inputs are sorted out."""

    DIALLED = "dialled"
    KEYS_READY = "keys ready"
    KEYS_FAILED = "keys failed"
    RANG = "rang"
    RANG_BACK = "rang back"
    """A ring from whom this device was calling: accepted without asking (glare, yield)."""
    ACCEPTED = "accepted"
    DECLINED = "declined"
    HUNG_UP = "hung up"
    MEDIA_OPENED = "media opened"
    LOCAL_FAILURE = "local failure"
    RINGING_FROM = "ringing from d"
    ACCEPT_FROM = "accept from d"
    REFUSED_FROM = "declined or busy from d"
    UNABLE_FROM = "failed from d"
    OFFLINE_FROM = "d is offline"
    TAKEN_ELSEWHERE = "elsewhere from the caller"
    ENDED_BY_PEER = "end from the peer device"
    ENDED_BY_OTHER = "end from another device"
    PLEASE_LEAD = "please(gen), stalled"
    PLEASE_IMPROVE = "please(gen), better path"
    LEG_OFFERED = "leg offered"
    PATH_FOUND = "path found"
    SECURED = "secured(gen)"
    MEDIA_STALLED = "media leg stalled"
    MEDIA_LEG_DOWN = "media leg closed or failed"
    MEDIA_FLOWED = "media leg flows"
    SPARE_LEG_DOWN = "another leg closed or failed"
    LEG_HOPELESS = "a leg that hid nothing failed for certain"
    BETTER_PATH = "better path"
    CROSSED = "the other end's call takes over"
    RECALLED = "the peer device calls anew"
    SIGNALING_LOST = "signaling lost"
    SIGNALING_RESTORED = "signaling restored"
    NETWORK_CHANGED = "network changed"
    RING_PASSED = "ring deadline"
    ANSWER_PASSED = "answer deadline"
    CONNECT_PASSED = "connect deadline"
    RECONNECT_PASSED = "reconnect deadline"
    ATTEMPT_PASSED = "attempt deadline"
    RETRY_PASSED = "retry deadline"
    OLD_LEG_PASSED = "old leg deadline"


class Action(StrEnum):
    """What a row does; each is one function in `actions.py`."""

    FETCH_KEYS = "fetch device keys"
    RING_DEVICES = "ring every device of theirs; with none, end offline"
    GIVE_UP_KEYS = "end with the reason given"
    LEAVE = "end local, send nothing"
    FAIL_QUIETLY = "end failed, send nothing"
    FAIL_HERE = "end failed, end(failed, stage): it is said of this device alone, others keep ringing"
    FAIL = "end failed, end(failed, stage) to who was rung or is pinned"
    NOTE_RINGING = "remember d; answer its leg"
    PIN = "pin d; end(elsewhere, d) to the others, close their legs"
    TAKE_REFUSAL = "end declined or busy, end(elsewhere) to the others"
    LOSE_DEVICE = "close its leg; when it was the last one, end, end(cancelled) to all"
    CANCEL = "end local, end(cancelled) to all"
    GIVE_UP_RINGING = "end unanswered (failed, when the server was away), end(cancelled) to all"
    RING = "offer a leg in ringing"
    ANSWER_BACK = "offer a leg in ringing, open media"
    OPEN_MEDIA = "open media"
    SEND_ACCEPT = "send accept"
    DECLINE = "end local, end(declined)"
    MISS = "end missed"
    GO_ELSEWHERE = "end elsewhere"
    TAKE_END = "end with the reason said"
    HANG_UP = "end local, end(remote)"
    NOTE_PATH = "remember the stage"
    NOTE_SECURED = "remember that it is secured"
    CONNECT = "open the gate"
    MOVE_MEDIA = "move media, keep the old leg until the peer is heard on the new one"
    RETIRE_OLD_LEG = "the peer has moved too: close the old leg in a moment"
    DROP_LEG = "close the leg; while no media flows, try another: after a pause, or at once after an early leg"
    FAIL_PATH = "end failed with the cause, end(failed, stage, cause); without any network only after a moment"
    RECONNECT = "caller starts a leg, callee says please(gen)"
    NOTE_STALL = "remember that this end hears nothing either"
    RESUME = "media flows on the old leg"
    LOSE = "end lost, end(lost); resume when only the other end was without media"
    TRY_LEG = "caller closes what hangs and starts the next leg, callee says please(gen)"
    HURRY = "what waits for the end of a pause is tried at once"
    LEAD = "start a leg of the next generation"
    IMPROVE = "start a leg beside the old one (callee: say please)"
    NOTE_WISH = "start a leg beside this one once it is secured"
    FOLLOW = "answer the newer leg, close an unfinished older one"
    CLOSE_OLD_LEG = "close what media moved away from"
    NOTE_SERVER = "remember whether the server is there"
    GIVE_WAY = "end crossed, end(cancelled) to all who were rung"
    FORGET = "end recalled; when it was answered, end(lost), which closes its record"
    KEEP = "nothing"


class Row(NamedTuple):
    """One row of the table: in one of `states`, `event` leads to one of `to` (empty: no change) and does `do`."""

    roles: tuple[Role, ...]
    states: tuple[CallState, ...]
    event: Event
    to: tuple[CallState, ...]
    do: Action


class Rule(NamedTuple):
    """What the table says for one role, state and event."""

    to: tuple[CallState, ...]
    do: Action


_S, _V, _A = CallState, Event, Action
_CALLER, _CALLEE, _BOTH = (Role.CALLER,), (Role.CALLEE,), (Role.CALLER, Role.CALLEE)
_SAME: Final[tuple[CallState, ...]] = ()
_CALLING = (_S.INVITING, _S.ALERTING)
_CALLED = (_S.RINGING, _S.ANSWERING)
_ANSWERED = (_S.CONNECTING, _S.ACTIVE, _S.RECONNECTING)
_NO_MEDIA = (_S.CONNECTING, _S.RECONNECTING)
_HAD_MEDIA = (_S.ACTIVE, _S.RECONNECTING)
_UP = (_S.CONNECTING, _S.ACTIVE)

# fmt: off
TABLE: Final = (
    # who      in               event                   to                        do
    Row(_CALLER, (_S.NEW,),       _V.DIALLED,             (_S.PREPARING,),          _A.FETCH_KEYS),
    Row(_CALLER, (_S.PREPARING,), _V.KEYS_READY,          (_S.INVITING, _S.ENDED),  _A.RING_DEVICES),
    Row(_CALLER, (_S.PREPARING,), _V.KEYS_FAILED,         (_S.ENDED,),              _A.GIVE_UP_KEYS),
    Row(_CALLER, (_S.PREPARING,), _V.HUNG_UP,             (_S.ENDED,),              _A.LEAVE),
    Row(_CALLER, (_S.PREPARING,), _V.LOCAL_FAILURE,       (_S.ENDED,),              _A.FAIL_QUIETLY),
    Row(_CALLER, (_S.PREPARING,), _V.RING_PASSED,         (_S.ENDED,),              _A.FAIL),
    Row(_CALLER, _CALLING,        _V.RINGING_FROM,        (_S.ALERTING,),           _A.NOTE_RINGING),
    Row(_CALLER, _CALLING,        _V.ACCEPT_FROM,         _UP,                      _A.PIN),
    Row(_CALLER, _CALLING,        _V.REFUSED_FROM,        (_S.ENDED,),              _A.TAKE_REFUSAL),
    Row(_CALLER, _CALLING,        _V.UNABLE_FROM,         (*_CALLING, _S.ENDED),    _A.LOSE_DEVICE),
    Row(_CALLER, _CALLING,        _V.OFFLINE_FROM,        (*_CALLING, _S.ENDED),    _A.LOSE_DEVICE),
    Row(_CALLER, _CALLING,        _V.HUNG_UP,             (_S.ENDED,),              _A.CANCEL),
    Row(_CALLER, _CALLING,        _V.RING_PASSED,         (_S.ENDED,),              _A.GIVE_UP_RINGING),
    Row(_CALLER, _CALLING,        _V.LOCAL_FAILURE,       (_S.ENDED,),              _A.FAIL),
    Row(_CALLER, (_S.ALERTING,),  _V.PATH_FOUND,          _SAME,                    _A.NOTE_PATH),
    Row(_CALLER, (_S.ALERTING,),  _V.SECURED,             _SAME,                    _A.NOTE_SECURED),
    Row(_CALLER, (_S.ALERTING,),  _V.SPARE_LEG_DOWN,      _SAME,                    _A.DROP_LEG),

    Row(_CALLEE, (_S.NEW,),       _V.RANG,                (_S.RINGING,),            _A.RING),
    Row(_CALLEE, (_S.NEW,),       _V.RANG_BACK,           (_S.ANSWERING,),          _A.ANSWER_BACK),
    Row(_CALLEE, (_S.RINGING,),   _V.ACCEPTED,            (_S.ANSWERING,),          _A.OPEN_MEDIA),
    Row(_CALLEE, (_S.RINGING,),   _V.RING_PASSED,         (_S.ENDED,),              _A.MISS),
    Row(_CALLEE, (_S.ANSWERING,), _V.MEDIA_OPENED,        _UP,                      _A.SEND_ACCEPT),
    Row(_CALLEE, (_S.ANSWERING,), _V.ANSWER_PASSED,       (_S.ENDED,),              _A.FAIL_HERE),
    Row(_CALLEE, _CALLED,         _V.DECLINED,            (_S.ENDED,),              _A.DECLINE),
    Row(_CALLEE, _CALLED,         _V.HUNG_UP,             (_S.ENDED,),              _A.DECLINE),
    Row(_CALLEE, _CALLED,         _V.LOCAL_FAILURE,       (_S.ENDED,),              _A.FAIL_HERE),
    Row(_CALLEE, _CALLED,         _V.ENDED_BY_PEER,       (_S.ENDED,),              _A.TAKE_END),
    Row(_CALLEE, _CALLED,         _V.PATH_FOUND,          _SAME,                    _A.NOTE_PATH),
    Row(_CALLEE, _CALLED,         _V.SECURED,             _SAME,                    _A.NOTE_SECURED),
    Row(_CALLEE, _CALLED,         _V.SPARE_LEG_DOWN,      _SAME,                    _A.DROP_LEG),
    # An accepting device is ACTIVE as soon as its early leg is secured, which may be before it hears that it was late.
    Row(_CALLEE, (*_CALLED, *_ANSWERED), _V.TAKEN_ELSEWHERE, (_S.ENDED,),           _A.GO_ELSEWHERE),

    Row(_BOTH, (_S.CONNECTING,),  _V.SECURED,             (_S.ACTIVE,),             _A.CONNECT),
    Row(_BOTH, (_S.CONNECTING,),  _V.CONNECT_PASSED,      (_S.ENDED,),              _A.FAIL),
    Row(_BOTH, (_S.CONNECTING,),  _V.LEG_HOPELESS,        (_S.ENDED, _S.CONNECTING), _A.FAIL_PATH),
    Row(_BOTH, _HAD_MEDIA,        _V.LEG_HOPELESS,        _SAME,                    _A.DROP_LEG),
    Row(_BOTH, (_S.ACTIVE,),      _V.MEDIA_STALLED,       (_S.RECONNECTING,),       _A.RECONNECT),
    Row(_CALLER, (_S.RECONNECTING,), _V.MEDIA_STALLED,      _SAME,                    _A.NOTE_STALL),
    Row(_BOTH, (_S.ACTIVE,),      _V.MEDIA_LEG_DOWN,      (_S.RECONNECTING,),       _A.RECONNECT),
    Row(_BOTH, (_S.ACTIVE,),      _V.BETTER_PATH,         _SAME,                    _A.IMPROVE),
    Row(_BOTH, _HAD_MEDIA,        _V.SECURED,             (_S.ACTIVE,),             _A.MOVE_MEDIA),
    Row(_BOTH, (_S.RECONNECTING,), _V.MEDIA_FLOWED,       (_S.ACTIVE,),             _A.RESUME),
    Row(_BOTH, (_S.ACTIVE,),      _V.MEDIA_FLOWED,        _SAME,                    _A.RETIRE_OLD_LEG),
    Row(_BOTH, (_S.RECONNECTING,), _V.MEDIA_LEG_DOWN,     _SAME,                    _A.DROP_LEG),
    Row(_BOTH, (_S.RECONNECTING,), _V.RECONNECT_PASSED,   (_S.ENDED, _S.ACTIVE),    _A.LOSE),
    Row(_BOTH, _ANSWERED,         _V.PATH_FOUND,          _SAME,                    _A.NOTE_PATH),
    Row(_BOTH, _ANSWERED,         _V.SPARE_LEG_DOWN,      _SAME,                    _A.DROP_LEG),
    Row(_BOTH, (_S.CONNECTING,),  _V.RETRY_PASSED,        (_S.CONNECTING, _S.ENDED), _A.TRY_LEG),
    Row(_BOTH, (_S.RECONNECTING,), _V.RETRY_PASSED,       _SAME,                    _A.TRY_LEG),
    Row(_BOTH, _ANSWERED,         _V.ATTEMPT_PASSED,      _SAME,                    _A.TRY_LEG),
    Row(_BOTH, _HAD_MEDIA,        _V.OLD_LEG_PASSED,      _SAME,                    _A.CLOSE_OLD_LEG),
    Row(_CALLER, (_S.CONNECTING, _S.RECONNECTING), _V.PLEASE_LEAD, _SAME,           _A.LEAD),
    Row(_CALLER, (_S.ACTIVE,),    _V.PLEASE_LEAD,         (_S.RECONNECTING,),       _A.LEAD),
    Row(_CALLER, (_S.CONNECTING,), _V.PLEASE_IMPROVE,     _SAME,                    _A.NOTE_WISH),
    Row(_CALLER, (_S.ACTIVE,),    _V.PLEASE_IMPROVE,      _SAME,                    _A.IMPROVE),
    Row(_CALLEE, _ANSWERED,       _V.LEG_OFFERED,         _SAME,                    _A.FOLLOW),
    Row(_BOTH, _ANSWERED,         _V.ENDED_BY_PEER,       (_S.ENDED,),              _A.TAKE_END),
    Row(_BOTH, _ANSWERED,         _V.ENDED_BY_OTHER,      _SAME,                    _A.KEEP),
    Row(_BOTH, _ANSWERED,         _V.HUNG_UP,             (_S.ENDED,),              _A.HANG_UP),
    Row(_BOTH, _ANSWERED,         _V.LOCAL_FAILURE,       (_S.ENDED,),              _A.FAIL),
    Row(_BOTH, _ANSWERED,         _V.MEDIA_OPENED,        _SAME,                    _A.KEEP),
    Row(_BOTH, _ANSWERED,         _V.OFFLINE_FROM,        _SAME,                    _A.KEEP),
    Row(_CALLEE, _CALLED,         _V.OFFLINE_FROM,        _SAME,                    _A.KEEP),
    # What the desk decides when a ring meets a live call.
    Row(_CALLER, (_S.PREPARING, *_CALLING), _V.CROSSED,   (_S.ENDED,),              _A.GIVE_WAY),
    Row(_CALLEE, _CALLED,         _V.RECALLED,            (_S.ENDED,),              _A.FORGET),
    Row(_BOTH, _ANSWERED,         _V.RECALLED,            (_S.ENDED,),              _A.FORGET),
    # A live call needs no server; an unanswered one has its ring deadline, and the session says all again.
    Row(_CALLER, (_S.PREPARING, *_CALLING, *_ANSWERED), _V.SIGNALING_LOST, _SAME,   _A.NOTE_SERVER),
    Row(_CALLER, (_S.PREPARING, *_CALLING, *_ANSWERED), _V.SIGNALING_RESTORED, _SAME, _A.NOTE_SERVER),
    Row(_CALLEE, (*_CALLED, *_ANSWERED), _V.SIGNALING_LOST, _SAME,                  _A.NOTE_SERVER),
    Row(_CALLEE, (*_CALLED, *_ANSWERED), _V.SIGNALING_RESTORED, _SAME,              _A.NOTE_SERVER),
    # The legs that are open look after themselves; what waits because everything was gone need not wait longer.
    Row(_CALLER, (_S.PREPARING, *_CALLING), _V.NETWORK_CHANGED, _SAME,              _A.KEEP),
    Row(_CALLEE, _CALLED,         _V.NETWORK_CHANGED,     _SAME,                    _A.KEEP),
    Row(_BOTH, (_S.ACTIVE,),      _V.NETWORK_CHANGED,     _SAME,                    _A.KEEP),
    Row(_BOTH, _NO_MEDIA,         _V.NETWORK_CHANGED,     _SAME,                    _A.HURRY),
)
# fmt: on

_RULES: Final = {
    (role, state, row.event): Rule(row.to or (state,), row.do)
    for row in TABLE
    for role in row.roles
    for state in row.states
}


def rule(role: Role, state: CallState, event: Event) -> Rule | None:
    """The table's rule, or None: then the event is counted and dropped."""
    return _RULES.get((role, state, event))


def is_live(state: CallState) -> bool:
    """Whether a call in this state occupies its device."""
    match state:
        case CallState.NEW | CallState.ENDED:
            return False
        case (
            CallState.PREPARING
            | CallState.INVITING
            | CallState.ALERTING
            | CallState.RINGING
            | CallState.ANSWERING
            | CallState.CONNECTING
            | CallState.ACTIVE
            | CallState.RECONNECTING
        ):
            return True
        case _:
            assert_never(state)


def is_answered(state: CallState) -> bool:
    """Whether this device accepted, or knows which device did."""
    match state:
        case CallState.CONNECTING | CallState.ACTIVE | CallState.RECONNECTING:
            return True
        case (
            CallState.NEW
            | CallState.PREPARING
            | CallState.INVITING
            | CallState.ALERTING
            | CallState.RINGING
            | CallState.ANSWERING
            | CallState.ENDED
        ):
            return False
        case _:
            assert_never(state)
