"""The keys of one call between two devices once the handshake stands: channel, words, frame keys, rekeying.

A rekey is led by the caller, so two ends cannot cross::

    a → b   RekeyOffer(n+1, fresh hybrid key)   b opens frames of n+1 from here on
    b → a   RekeyAnswer(n+1, fresh secret)      a opens and seals with n+1
    a → b   RekeyDone(n+1)                      b seals with n+1 too

Each side seals with an epoch only when the other is known to open it, so no frame is lost to a rekey. If
`RekeyDone` gets lost, the first frame of the new epoch, or the next offer, says the same. An offer that stays
unanswered is sent again, unchanged.
"""

from __future__ import annotations

import hmac
from typing import Final, TypeVar, assert_never

from entrenous.crypto import messages
from entrenous.crypto.handshake_messages import commitment
from entrenous.crypto.hybrid import SEED_BYTES, HybridPrivateKey, seal_to
from entrenous.crypto.identity import Entropy
from entrenous.crypto.key_schedule import Root, Side
from entrenous.crypto.messages import (
    Accept,
    End,
    InnerMessage,
    RekeyAnswer,
    RekeyDone,
    RekeyMessage,
    RekeyOffer,
    Reveal,
)
from entrenous.crypto.sealed import SealedChannel
from entrenous.crypto.sframe import FrameOpener, FrameSealer
from entrenous.crypto.words import SEED_BYTES as WORD_SEED_BYTES
from entrenous.crypto.words import Words, three_words
from entrenous.errors import LocalProtocolError, RemoteProtocolError, VerificationError

STREAMS: Final = ("audio", "video", "screen")
"""The streams that have frame keys of their own in each direction."""

REKEY_SECONDS: Final = 60.0
"""The least time between two rekeys."""

REKEY_REPEAT_SECONDS: Final = 5.0
"""After this an unanswered rekey offer is sent again."""

END_BODY: Final = 2048
"""The least body of every end, so that declined, busy, cancelled and hung up look alike."""

ACCEPT_BODY: Final = 4096
"""The least body of an accept, so that it does not show whether a leg was offered before."""

_SECRET_BYTES: Final = 32
_Protector = TypeVar("_Protector", FrameSealer, FrameOpener)


class _Offer:
    """A rekey that the caller has offered and the callee has not answered."""

    __slots__ = ("key", "message", "sent_at")

    def __init__(self, epoch: int, seed: bytes) -> None:
        self.key = HybridPrivateKey(seed)
        self.message = RekeyOffer(epoch, self.key.public_bytes)
        self.sent_at = 0.0


class _Prepared:
    """A root that the callee has answered with and does not seal with yet."""

    __slots__ = ("answer", "offer", "root")

    def __init__(self, root: Root, offer: RekeyOffer, answer: RekeyAnswer) -> None:
        self.root = root
        self.offer = offer
        self.answer = answer


class CallSecrets:
    """All keys of one call between two devices; both ends have the same methods.

    The handshake makes it. `now` is in monotonic seconds here, the clock of media, not of certificates.

    Args:
        side: which end this device is.
        call_id: 16 bytes.
        root: root 0; this object owns it.
        own_nonce: 32 bytes.
        peer_nonce: the callee's nonce at the caller; at the callee the caller's commitment, until it is shown.
        entropy: for rekeying.
    """

    def __init__(
        self,
        side: Side,
        call_id: bytes,
        root: Root,
        own_nonce: bytes,
        peer_nonce: bytes,
        entropy: Entropy,
    ) -> None:
        self.side = side
        self.call_id = call_id
        self.channel = SealedChannel(root.channel_key(side), root.channel_key(side.other))
        self._root = root
        self._own_nonce = own_nonce
        self._peer_nonce = peer_nonce
        self._entropy = entropy
        self._sealers = {name: FrameSealer(0, root.frame_key(side, name)) for name in STREAMS}
        self._openers = {name: FrameOpener(0, root.frame_key(side.other, name)) for name in STREAMS}
        self._words: Words | None = None
        self._revealed = False
        self._offer: _Offer | None = None
        self._prepared: _Prepared | None = None
        self._rekey_due_at: float | None = None
        if side is Side.CALLER:
            self._words = self._derive_words(own_nonce, peer_nonce)

    def __repr__(self) -> str:
        return f"<CallSecrets of the {self.side.name.lower()}, epoch {self.epoch}>"

    @property
    def words(self) -> Words | None:
        """The three words; None at the callee until the caller has shown the nonce that it was committed to."""
        return self._words

    @property
    def epoch(self) -> int:
        """The epoch that frames are sealed with."""
        return self._root.epoch

    def sealer(self, stream: str) -> FrameSealer:
        """The one sealer of a stream (`audio`, `video` or `screen`); it is rotated in place.

        Raises:
            LocalProtocolError: there is no such stream, or the caller's nonce has not come yet.
        """
        self._require_words()
        return self._of(self._sealers, stream)

    def opener(self, stream: str) -> FrameOpener:
        """The one opener of a stream; raises like `sealer`."""
        self._require_words()
        return self._of(self._openers, stream)

    def seal(self, message: InnerMessage) -> bytes:
        """Seal a message for the peer, for the server or a data channel.

        Raises:
            LocalProtocolError: it is out of bounds, or the keys are gone.
        """
        match message:
            case End():
                minimum = END_BODY
            case Accept():
                minimum = ACCEPT_BODY
            case _:
                minimum = 0
        return self.channel.seal(messages.encode(message), minimum)

    def reveal(self) -> bytes:
        """At the caller, once: the sealed nonce.

        Raises:
            LocalProtocolError: this is the callee, or it was done already.
        """
        if self.side is not Side.CALLER or self._revealed:
            raise LocalProtocolError("Only the caller shows its nonce, and only once.")
        body = self.seal(Reveal(self._own_nonce))
        self._revealed = True
        return body

    def receive(self, body: bytes) -> InnerMessage:
        """Open a sealed body and check what it says; rekey messages go on to `continue_rekey`.

        Returns:
            The message.

        Raises:
            Replayed: it came before, over another path perhaps.
            VerificationError: it is not authentic, or shows another nonce than the caller was committed to.
            RemoteProtocolError: it is malformed, or not this side's to receive. In all cases nothing has changed.
        """
        opened = self.channel.authenticate(body)
        message = messages.decode(opened.plaintext)
        if isinstance(message, Reveal):
            self._take_reveal(message)
        self.channel.commit(opened)
        return message

    def begin_rekey(self, now: float) -> bytes | None:
        """At the caller, called now and then while the call is live: a sealed offer when one is due, else None.

        Args:
            now: monotonic seconds; the first call starts the first period of `REKEY_SECONDS`.

        Raises:
            LocalProtocolError: this is the callee; the caller leads.
        """
        if self.side is not Side.CALLER:
            raise LocalProtocolError("The caller leads a rekey.")
        if self._rekey_due_at is None:
            self._rekey_due_at = now + REKEY_SECONDS
        if self._offer is None:
            if now < self._rekey_due_at:
                return None
            self._offer = _Offer(self.epoch + 1, self._entropy(SEED_BYTES))
        elif now < self._offer.sent_at + REKEY_REPEAT_SECONDS:
            return None
        self._offer.sent_at = now
        return self.seal(self._offer.message)

    def continue_rekey(self, message: RekeyMessage, now: float) -> bytes | None:
        """Take a rekey message that `receive` returned, and give the sealed reply to it, if it needs one.

        Args:
            message: the message.
            now: monotonic seconds.

        Raises:
            RemoteProtocolError: it does not fit here and now; nothing has changed.
        """
        match message:
            case RekeyOffer():
                return self._answer(message, now)
            case RekeyAnswer():
                return self._finish(message, now)
            case RekeyDone():
                self._take_done(message)
                return None
            case _:
                assert_never(message)

    def tick(self, now: float) -> None:
        """Let time pass, about once a second: forget old frame keys, and follow a rekey whose end got lost.

        Args:
            now: monotonic seconds.
        """
        for opener in self._openers.values():
            opener.expire(now)
        prepared = self._prepared
        if prepared is not None and any(
            opener.latest_epoch_opened >= prepared.root.epoch for opener in self._openers.values()
        ):
            self._adopt(prepared.root)

    def forget(self) -> None:
        """Drop every key of the call; sealing raises and opening refuses from now on."""
        self.channel.forget()
        for sealer in self._sealers.values():
            sealer.forget()
        for opener in self._openers.values():
            opener.forget()
        self._root.forget()
        if self._prepared is not None:
            self._prepared.root.forget()
        self._prepared = None
        self._offer = None

    def _require_words(self) -> None:
        if self._words is None:
            raise LocalProtocolError("The caller has not shown its nonce yet: no frame may pass.")

    @staticmethod
    def _of(table: dict[str, _Protector], stream: str) -> _Protector:
        try:
            return table[stream]
        except KeyError:
            raise LocalProtocolError(f"There is no stream {stream!r}; streams are {', '.join(STREAMS)}.") from None

    def _derive_words(self, nonce_a: bytes, nonce_b: bytes) -> Words:
        return three_words(self._root.expand("words", nonce_a + nonce_b, WORD_SEED_BYTES))

    def _take_reveal(self, message: Reveal) -> None:
        if self.side is not Side.CALLEE or self._words is not None:
            raise RemoteProtocolError("A nonce was shown by the wrong side or twice.")
        if not hmac.compare_digest(commitment(message.nonce), self._peer_nonce):
            raise VerificationError("The caller showed another nonce than it was committed to.")
        self._words = self._derive_words(message.nonce, self._own_nonce)

    def _rekey_info(self, epoch: int) -> bytes:
        return b"entrenous rekey v1" + self.call_id + epoch.to_bytes(4, "big")

    def _answer(self, offer: RekeyOffer, now: float) -> bytes:
        """At the callee: prepare the next root, or repeat the answer."""
        if self.side is not Side.CALLEE or self._words is None:
            raise RemoteProtocolError("A rekey was offered to the wrong side or too early.")
        prepared = self._prepared
        if prepared is not None and offer == prepared.offer:
            return self.seal(prepared.answer)
        base = self._root if prepared is None else prepared.root
        if offer.epoch != base.epoch + 1:
            raise RemoteProtocolError("A rekey was offered for another epoch than the next.")
        secret = self._entropy(_SECRET_BYTES)
        answer = RekeyAnswer(offer.epoch, seal_to(offer.public_key, secret, self._rekey_info(offer.epoch)))
        # From here on nothing fails: the peer cannot have offered an epoch after one that it does not seal with.
        if prepared is not None:
            self._adopt(prepared.root)
        root = self._root.next(secret, offer.public_key)
        self._add_to_openers(root, now)
        self._prepared = _Prepared(root, offer, answer)
        return self.seal(answer)

    def _finish(self, answer: RekeyAnswer, now: float) -> bytes | None:
        """At the caller: take the fresh secret and change over; a repeated answer gets `RekeyDone` again."""
        if self.side is not Side.CALLER:
            raise RemoteProtocolError("A rekey was answered to the wrong side.")
        offer = self._offer
        if offer is None or answer.epoch != offer.message.epoch:
            if answer.epoch == self.epoch:
                return self.seal(RekeyDone(answer.epoch))
            raise RemoteProtocolError("A rekey was answered that was not offered.")
        secret = offer.key.open(answer.sealed_secret, self._rekey_info(answer.epoch))
        if len(secret) != _SECRET_BYTES:
            raise RemoteProtocolError("A fresh secret has another length than 32 bytes.")
        root = self._root.next(secret, offer.message.public_key)
        self._add_to_openers(root, now)
        self._adopt(root)
        self._offer = None
        self._rekey_due_at = now + REKEY_SECONDS
        return self.seal(RekeyDone(root.epoch))

    def _take_done(self, done: RekeyDone) -> None:
        """At the callee: the caller opens the new epoch."""
        if self._prepared is not None and done.epoch == self._prepared.root.epoch:
            self._adopt(self._prepared.root)
        elif self.side is not Side.CALLEE or done.epoch != self.epoch:
            raise RemoteProtocolError("A rekey was finished that was not answered.")

    def _add_to_openers(self, root: Root, now: float) -> None:
        for name, opener in self._openers.items():
            opener.add_epoch(root.epoch, root.frame_key(self.side.other, name), now)

    def _adopt(self, root: Root) -> None:
        """Seal with `root` from now on and overwrite the one before."""
        for name, sealer in self._sealers.items():
            sealer.rotate(root.epoch, root.frame_key(self.side, name))
        self._root.forget()
        self._root = root
        self._prepared = None
