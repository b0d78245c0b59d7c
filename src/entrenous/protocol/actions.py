"""What each row of the transition table does: one short function an action, found by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .causes import Cause
from .inputs import (
    AcceptReceived,
    Crossed,
    DeadlinePassed,
    DeviceOffline,
    Dialled,
    EarlyLeg,
    EndReceived,
    KeysFailed,
    KeysReady,
    Leg,
    LegClosed,
    LegFailed,
    LegOffered,
    LocalFailure,
    PathFound,
    PleaseReceived,
    Rang,
    RingingReceived,
    Secured,
    SignalingLost,
    SignalingRestored,
    Stalled,
)
from .moves import Move
from .outputs import (
    AnswerLeg,
    CarryOver,
    FetchKeys,
    Output,
    SendAccept,
    SendPlease,
    SendRing,
    SendRinging,
    StateChanged,
)
from .states import Action, CallDeadline, CallState, EndReason, Role, Stage, heard, is_answered

if TYPE_CHECKING:
    from .call import CallFact, CallMachine
    from .deadlines import Timeouts


# --- caller, before accept ---


def _fetch_keys(move: Move, _: Dialled) -> None:
    move.set(state=CallState.PREPARING)
    move.arm(CallDeadline.RING, move.call.timeouts.ring)
    move.ask(FetchKeys(move.call.id, move.call.address))


def _ring_devices(move: Move, keys: KeysReady) -> None:
    if not keys.devices:
        move.end(EndReason.OFFLINE)
        return
    move.set(state=CallState.INVITING, devices=tuple(dict.fromkeys(keys.devices)))
    move.ask(SendRing(move.call.id, move.call.devices))


def _give_up_keys(move: Move, failure: KeysFailed) -> None:
    move.end(failure.reason, words=failure.sentence, cause=failure.cause)


def _note_ringing(move: Move, ringing: RingingReceived) -> None:
    device = ringing.device
    move.set(state=CallState.ALERTING, rung=move.call.rung | {device}, gone=move.call.gone - {device})
    if ringing.leg_offered:
        _answer_first_leg(move, Leg(device, 0))


def _answer_first_leg(move: Move, leg: Leg) -> None:
    move.open_leg(leg)
    move.ask(AnswerLeg(move.call.id, leg))


def _pin(move: Move, accept: AcceptReceived) -> None:
    device = accept.device
    move.say_end(EndReason.ELSEWHERE, move.others(device), accepted=device)
    move.close_legs(*(leg for leg in move.call.legs if leg.device != device))
    move.set(device=device)
    if accept.leg_offered and not move.call.legs:
        move.set(first_is_fresh=True)
        _answer_first_leg(move, Leg(device, 0))
    move.open_media()
    move.connect()


def _take_refusal(move: Move, end: EndReceived) -> None:
    move.say_end(EndReason.ELSEWHERE, move.others(end.device))
    move.end(heard(end.reason, Role.CALLER))


def _lose_device(move: Move, fact: DeviceOffline | EndReceived) -> None:
    move.close_legs(*(leg for leg in move.call.legs if leg.device == fact.device))
    move.set(gone=move.call.gone | {fact.device})
    if len(move.call.gone) == len(move.call.devices):
        move.say_end(EndReason.CANCELLED, move.everybody())  # the ring may have arrived, and its answer not
        if isinstance(fact, DeviceOffline):
            move.end(EndReason.OFFLINE)
        else:
            move.end(EndReason.FAILED, fact.stage, cause=fact.cause, ours=False, relays=fact.relays)


def _cancel(move: Move, _: object) -> None:
    move.say_end(EndReason.CANCELLED, move.everybody())
    move.end(EndReason.LOCAL)


def _give_up_ringing(move: Move, _: object) -> None:
    move.say_end(EndReason.CANCELLED, move.everybody())
    if move.call.server_away and not move.call.rung:
        move.end(EndReason.FAILED, cause=Cause.SERVER_UNREACHABLE)
    else:
        move.end(EndReason.UNANSWERED)


def _give_way(move: Move, crossed: Crossed) -> None:
    move.say_end(EndReason.CANCELLED, move.everybody())
    if crossed.to is not None:
        move.ask(CarryOver(move.call.id, crossed.to))
    move.end(EndReason.CROSSED)


# --- callee, before accept ---


def _ring(move: Move, ring: Rang) -> None:
    move.set(state=CallState.RINGING, device=ring.device, early_leg=ring.early_leg)
    move.arm(CallDeadline.RING, move.call.timeouts.ring)
    move.ask(SendRinging(move.call.id, ring.device, ring.early_leg))
    if ring.early_leg is not EarlyLeg.NONE:
        move.open_leg(Leg(ring.device, 0))


def _answer_back(move: Move, ring: Rang) -> None:
    _ring(move, ring)
    _open_media(move, ring)


def _open_media(move: Move, _: object) -> None:
    move.set(state=CallState.ANSWERING)
    move.disarm(CallDeadline.RING)
    move.arm(CallDeadline.ANSWER, move.call.timeouts.answer)
    move.open_media()


def _send_accept(move: Move, _: object) -> None:
    offer = move.call.early_leg is EarlyLeg.NONE
    move.ask(SendAccept(move.call.id, move.peer, offer_leg=offer))
    if offer:
        move.set(first_is_fresh=True)
        move.open_leg(Leg(move.peer, 0))
    move.connect()


def _decline(move: Move, _: object) -> None:
    move.say_end(EndReason.DECLINED, move.everybody())
    move.end(EndReason.LOCAL)


def _miss(move: Move, _: object) -> None:
    move.end(EndReason.MISSED)


def _go_elsewhere(move: Move, _: object) -> None:
    move.end(EndReason.ELSEWHERE)


# --- legs ---


def _note_path(move: Move, path: PathFound) -> None:
    move.set(paths=move.call.paths | {path.leg})


def _note_secured(move: Move, fact: Secured) -> None:
    move.set(paths=move.call.paths | {fact.leg}, secured=move.call.secured | {fact.leg})


def _connect(move: Move, fact: Secured) -> None:
    _note_secured(move, fact)
    move.carry_media(fact.leg)


def _reconnect(move: Move, fact: Stalled | LegClosed | LegFailed) -> None:
    if not isinstance(fact, Stalled):
        move.close_legs(fact.leg)
    move.set(deaf=True)
    move.reconnect()
    if move.call.pending_leg is None:
        move.seek_leg()


def _note_stall(move: Move, _: object) -> None:
    move.set(deaf=True)


def _resume(move: Move, _: object) -> None:
    move.set(state=CallState.ACTIVE, deaf=False)
    move.disarm(CallDeadline.RECONNECT, CallDeadline.RETRY)


def _resume_heard(move: Move, _: object) -> None:
    _resume(move, None)
    move.retire_old_leg()


def _retire_old_leg(move: Move, _: object) -> None:
    move.retire_old_leg()


def _drop_leg(move: Move, fact: LegClosed | LegFailed) -> None:
    if isinstance(fact, LegFailed) and fact.stage is Stage.HANDSHAKE:
        move.set(paths=move.call.paths | {fact.leg})
    move.set(offline_until=None)
    was_pending = fact.leg == move.call.pending_leg
    move.close_legs(fact.leg)
    if was_pending:
        move.disarm(CallDeadline.ATTEMPT)
    if fact.leg == move.call.media_leg:
        move.set(deaf=True)
    without_media = is_answered(move.call.state) and move.call.state is not CallState.ACTIVE
    if not without_media or move.call.pending_leg is not None:
        return
    if move.call.is_early(fact.leg) and move.call.state is CallState.CONNECTING:
        move.seek_leg()
    else:
        move.arm(CallDeadline.RETRY, _pause_after(fact, move.call.timeouts))


def _pause_after(fact: LegClosed | LegFailed, timeouts: Timeouts) -> float:
    """Without any network nothing changes before the network does, and then nobody waits for the end of a pause."""
    offline = isinstance(fact, LegFailed) and fact.cause is Cause.NO_NETWORK
    return timeouts.attempt if offline else timeouts.retry


def _try_leg(move: Move, _: DeadlinePassed) -> None:
    pending = move.call.pending_leg
    if pending is not None:
        move.close_legs(pending)
        move.set(offline_until=None)
    if move.call.state is CallState.CONNECTING and move.call.offline_until is not None:
        move.say_failed(Stage.PATH, Cause.NO_NETWORK)
        move.end(EndReason.FAILED, Stage.PATH, cause=Cause.NO_NETWORK)
    elif move.call.state is not CallState.ACTIVE:
        move.seek_leg()


def _hurry(move: Move, _: object) -> None:
    if move.call.deadlines.at(CallDeadline.RETRY) is None:
        return
    move.seek_leg()
    if move.call.state is CallState.CONNECTING and move.call.offline_until is not None and not move.call.legs:
        move.awaits_network()


def _lead(move: Move, _: object) -> None:
    pending = move.call.pending_leg
    if move.call.state is CallState.ACTIVE:
        move.reconnect()
    if move.affords_leg():
        if pending is not None:
            move.close_legs(pending)
        move.start_leg()
    elif pending is None:
        move.arm(CallDeadline.RETRY, move.call.timeouts.retry)


def _improve(move: Move, _: object) -> None:
    if move.call.pending_leg is not None or not move.affords_leg():
        return
    if move.call.role is Role.CALLER:
        move.start_leg()
    else:
        move.ask(SendPlease(move.call.id, Leg(move.peer, move.call.newest), stalled=False))


def _note_wish(move: Move, please: PleaseReceived) -> None:
    move.set(wish=please.leg.generation)


def _follow(move: Move, offer: LegOffered) -> None:
    if not move.affords_leg():
        move.set(dropped=move.call.dropped + 1)
        return
    pending = move.call.pending_leg
    if pending is not None:
        move.close_legs(pending)
    move.set(offline_until=None)
    move.open_leg(offer.leg)
    move.ask(AnswerLeg(move.call.id, offer.leg))
    move.await_leg()


def _close_old_leg(move: Move, _: object) -> None:
    media = move.call.media or 0
    move.close_legs(*(leg for leg in move.call.legs if leg.generation < media))


# --- ends of either role ---


def _leave(move: Move, _: object) -> None:
    move.end(EndReason.LOCAL)


def _hang_up(move: Move, _: object) -> None:
    move.say_end(EndReason.REMOTE, move.everybody())
    move.end(EndReason.LOCAL)


def _fail_quietly(move: Move, fact: LocalFailure) -> None:
    move.end(EndReason.FAILED, fact.stage, fact.sentence, cause=fact.cause)


def _fail_here(move: Move, fact: LocalFailure | DeadlinePassed) -> None:
    if isinstance(fact, LocalFailure):
        move.say_failed(fact.stage, fact.cause)
        _fail_quietly(move, fact)
    else:
        move.say_failed(Stage.MEDIA, Cause.MEDIA)
        move.end(EndReason.FAILED, Stage.MEDIA, cause=Cause.MEDIA)


def _fail(move: Move, fact: LocalFailure | DeadlinePassed) -> None:
    if isinstance(fact, LocalFailure):
        move.say_failed(fact.stage, fact.cause)
        _fail_quietly(move, fact)
    else:
        # Once there is a path nobody needs the server.
        needs_server = move.call.stage is not Stage.HANDSHAKE
        cause = Cause.SERVER_UNREACHABLE if move.call.server_away and needs_server else Cause.TIMEOUT
        move.say_failed(move.call.stage, cause)
        move.end(EndReason.FAILED, cause=cause)


def _fail_path(move: Move, fact: LegFailed) -> None:
    if fact.cause is Cause.NO_NETWORK and move.awaits_network():
        move.close_legs(fact.leg)
        move.disarm(CallDeadline.ATTEMPT)
        return
    move.say_failed(fact.stage, fact.cause)
    move.end(EndReason.FAILED, fact.stage, cause=fact.cause, relays=fact.relays)


def _lose(move: Move, _: object) -> None:
    if not move.call.deaf:  # the other end asked for a new leg; whether it hears us is for it to tell
        _resume(move, None)
        return
    move.say_end(EndReason.LOST, move.everybody())
    move.end(EndReason.LOST)


def _take_end(move: Move, end: EndReceived) -> None:
    reason = heard(end.reason, move.call.role)
    if reason is EndReason.FAILED:
        move.end(reason, end.stage, cause=end.cause, ours=False, relays=end.relays)
    else:
        move.end(reason)


def _note_server(move: Move, fact: SignalingLost | SignalingRestored) -> None:
    move.set(server_away=isinstance(fact, SignalingLost))


def _forget(move: Move, _: object) -> None:
    if is_answered(move.call.state):
        move.say_end(EndReason.LOST, move.everybody())  # nobody reads it: it closes the record at the server
    move.end(EndReason.RECALLED)


def _keep(move: Move, _: object) -> None:
    """The event is expected here and needs nothing."""


ACTIONS: Final[dict[Action, Callable[[Move, Any], None]]] = {
    Action.FETCH_KEYS: _fetch_keys,
    Action.RING_DEVICES: _ring_devices,
    Action.GIVE_UP_KEYS: _give_up_keys,
    Action.LEAVE: _leave,
    Action.FAIL_QUIETLY: _fail_quietly,
    Action.FAIL_HERE: _fail_here,
    Action.FAIL: _fail,
    Action.FAIL_PATH: _fail_path,
    Action.NOTE_RINGING: _note_ringing,
    Action.PIN: _pin,
    Action.TAKE_REFUSAL: _take_refusal,
    Action.LOSE_DEVICE: _lose_device,
    Action.CANCEL: _cancel,
    Action.GIVE_UP_RINGING: _give_up_ringing,
    Action.RING: _ring,
    Action.ANSWER_BACK: _answer_back,
    Action.OPEN_MEDIA: _open_media,
    Action.SEND_ACCEPT: _send_accept,
    Action.DECLINE: _decline,
    Action.MISS: _miss,
    Action.GO_ELSEWHERE: _go_elsewhere,
    Action.TAKE_END: _take_end,
    Action.HANG_UP: _hang_up,
    Action.NOTE_PATH: _note_path,
    Action.NOTE_SECURED: _note_secured,
    Action.CONNECT: _connect,
    Action.MOVE_MEDIA: _connect,
    Action.DROP_LEG: _drop_leg,
    Action.RECONNECT: _reconnect,
    Action.NOTE_STALL: _note_stall,
    Action.RESUME: _resume_heard,
    Action.RETIRE_OLD_LEG: _retire_old_leg,
    Action.LOSE: _lose,
    Action.TRY_LEG: _try_leg,
    Action.HURRY: _hurry,
    Action.LEAD: _lead,
    Action.IMPROVE: _improve,
    Action.NOTE_WISH: _note_wish,
    Action.FOLLOW: _follow,
    Action.CLOSE_OLD_LEG: _close_old_leg,
    Action.NOTE_SERVER: _note_server,
    Action.GIVE_WAY: _give_way,
    Action.FORGET: _forget,
    Action.KEEP: _keep,
}


def perform(action: Action, call: CallMachine, fact: CallFact, now: float) -> tuple[CallMachine, tuple[Output, ...]]:
    """The call after `action` on a copy of it, and what it asks for; the state change is told last."""
    move = Move(call, now)
    ACTIONS[action](move, fact)
    after = move.call
    if after.state is not call.state:
        why = (after.reason, after.sentence, after.cause, after.side)
        move.ask(StateChanged(call.id, call.state, after.state, after.stage, *why))
    return after, tuple(move.outputs)
