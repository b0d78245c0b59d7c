"""A node: one device of one account, connected to its signaling server, with its calls.

The node is what its owner holds, and where everything meets: the switchboard with its calls, the presence at the
server, letters, relays and the network of the machine. It owns every task.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final, Self

from entrenous_wire.addresses import Address
from entrenous_wire.messages import Deliver, Devices, Kind, Letter, LoggedIn, Send

from .account import delete_over, open_profile, register
from .call import Call
from .config import IcePolicy, NodeConfig
from .conversation import Conversation
from .crypto.card import ContactCard
from .crypto.handshake import CallerHandshake
from .crypto.identity import VerifiedDevice
from .directory import Directory
from .errors import (
    ConfigError,
    IdentityChanged,
    KeystoreError,
    LocalProtocolError,
    RemoteProtocolError,
)
from .events import MissedCall, Notice, OwnDeviceAdded, OwnDeviceGone, ServerBack, ServerLost
from .letterbox import Letterbox
from .link import Link
from .media.engine import MediaEngine, MediaSettings
from .media.streams import Sink, Source
from .network_watch import NetworkWatch
from .own_devices import OwnDevices
from .presence import Presence
from .profile import Contacts, Profile, parse_address
from .protocol import inputs, outputs
from .protocol.deadlines import Timeouts
from .protocol.inputs import Device
from .protocol.states import CallState, EndReason
from .relays import Lease, Relays
from .rings import Rings
from .switchboard import Switchboard
from .unreached import is_missed, kinds_of, leave_word

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 3600.0
"""How often keys are looked at, whether new ones are due."""

MAX_WAITING: Final = 64
"""Incoming calls or notices that wait for a reader; the oldest go first."""


class Node:
    """One device of one account.

    ::

        async with Node(NodeConfig.load("bot.toml")) as node:
            async for call in node.incoming():
                node.spawn(greet(call))

    Args:
        config: how it is set up.
        profile: the account; None opens the one in `config.profile`, or makes one in memory, registered as
            `config.username`, when the configuration names no profile.
        timeouts: how long to wait for what; None takes those of the protocol.
    """

    def __init__(self, config: NodeConfig, *, profile: Profile | None = None, timeouts: Timeouts | None = None) -> None:
        self.config = config
        self.engine = MediaEngine(_media_settings(config))
        self.dropped = 0
        """What came from others and was not fit to be taken."""
        self._profile = profile
        self._timeouts = timeouts or Timeouts()
        self._presence: Presence | None = None
        self._switchboard: Switchboard | None = None
        self._refresh: asyncio.TimerHandle | None = None
        self._network = NetworkWatch(self._network_changed)
        self._relays = Relays(self.engine, config.ice_servers, lambda: self._running_link().fetch_turn())
        self._incoming: asyncio.Queue[Call | None] = asyncio.Queue(MAX_WAITING)
        self._notices: asyncio.Queue[Notice | None] = asyncio.Queue(MAX_WAITING)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._letters_read = False
        """Whether all that was stored for this device was taken in the session that stands."""
        self._closed = False

    def __repr__(self) -> str:
        return f"<Node, {0 if self._switchboard is None else len(self._switchboard.conversations)} calls>"

    # --- its owner's side ---

    async def __aenter__(self) -> Self:
        """Open the profile, connect and log in.

        Raises:
            KeystoreError, ConfigError: the profile or the configuration cannot be used.
            ServerUnreachable, RequestRefused: the server cannot be reached, or does not let this device in.
        """
        if self._profile is None:
            if self.config.profile is not None:
                self._profile = await asyncio.to_thread(open_profile, self.config)
            elif self.config.username is not None:
                self._profile = await register(self.config, self.config.username, passphrase=None)
            else:
                raise ConfigError("A node needs a profile, or a username to register for this run only.")
        self.me = Device(str(self.address), self.device)
        self._switchboard = Switchboard(self, self._timeouts)
        self._presence = Presence(self.config, self.profile, self._timeouts, self, self._tell)
        self._directory = Directory(self.profile, self._tell)
        self._rings = Rings(self.profile, self._directory, self.config.strangers, self.config.ice_policy)
        self._letterbox = Letterbox(self.profile, self._directory, self.config.strangers, self._tell)
        self._own_devices = OwnDevices(self.profile, self._fetch_own_devices, self._tell)
        self.profile.ensure_usable()
        self.profile.refresh()
        self._letterbox.tell_untold()
        self._own_devices.tell_untold()
        await asyncio.gather(asyncio.to_thread(self.engine.load), self._presence.log_in())
        self._refresh = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._look_after_keys)
        self._network.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def profile(self) -> Profile:
        """The account; raises LocalProtocolError before the node was started."""
        if self._profile is None:
            raise LocalProtocolError("The node has not been started: use `async with Node(...)`.")
        return self._profile

    @property
    def address(self) -> Address:
        """Its address."""
        return self.profile.address

    @property
    def device(self) -> str:
        """The id of this device, 16 hexadecimal digits."""
        return self.profile.device

    @property
    def card(self) -> ContactCard:
        """Its contact card."""
        return self.profile.card

    @property
    def contacts(self) -> Contacts:
        """Whom it may call, and who may call it."""
        return self.profile.contacts

    async def call(
        self, whom: str | Address, *, send: Source | None = None, receive: Sink | None = None, video: bool | None = None
    ) -> Call:
        """Call a contact on all their devices. What goes wrong from here on is told by the call's `Ended` event.

        Args:
            whom: an address among the contacts.
            send: what to send once it is accepted; None sends silence.
            receive: where to put what arrives; None drops it.
            video: whether to announce a picture; None announces one when `send` has one.

        Raises:
            ContactError: not a contact. IdentityChanged: their key changed and has not been accepted.
            LocalProtocolError: a call is live already, or the node is not running.
        """
        switchboard = self._running_switchboard()
        address = parse_address(whom)
        contact = self.contacts.get(address)
        if contact.changed:
            raise IdentityChanged(
                f"{address} shows another key than the one you know. Ask them about it by another way; to accept it: "
                f"entrenous contacts accept-new-key {address}"
            )
        has_video = video if video is not None else send is not None and send.video is not None
        return switchboard.dial(address, contact, send, receive, has_video=has_video)

    async def incoming(self) -> AsyncIterator[Call]:
        """Calls that ring here, each once and while it still rings; ends when the node closes. For one reader."""
        while (call := await self._incoming.get()) is not None:
            if call.state is CallState.RINGING:
                self._letterbox.rang(bytes.fromhex(call.id))
                yield call

    async def notices(self) -> AsyncIterator[Notice]:
        """What else its owner should know; ends when the node closes. For one reader."""
        while (notice := await self._notices.get()) is not None:
            try:
                yield notice
            finally:
                match notice:
                    case MissedCall():
                        self._letterbox.told(notice)
                    case OwnDeviceAdded() | OwnDeviceGone():
                        self._own_devices.told(notice)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something of the owner's beside the node, until the node closes; a failing one takes nobody down."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._worked)
        return task

    async def delete_account(self) -> None:
        """Delete this account at its server, with all that is stored for it, and close the node.

        The profile says so then, and nobody can log in with it. Contacts are not told.

        Raises:
            LocalProtocolError: a call is live, or the node is not running.
            ServerUnreachable, RequestRefused, KeystoreError: as `entrenous.delete_account`.
        """
        if self._running_switchboard().live is not None:
            raise LocalProtocolError("There is a call: end it before deleting the account.")
        await delete_over(self._running_link(), self.profile)
        await self.close()

    async def close(self) -> None:
        """Hang up, say the last words, and give everything back; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._network.stop()
        if self._switchboard is not None:
            await self._switchboard.hang_up()
        # One of these tasks may be what closes the node: it is left to end by itself.
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._switchboard is not None:
            self._switchboard.stop()
        if self._refresh is not None:
            self._refresh.cancel()
        if self._presence is not None:
            await self._presence.leave()
        _offer(self._incoming, None)
        _offer(self._notices, None)

    def _worked(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task beside the node failed: %s", type(error).__name__)
            log.debug("where it failed", exc_info=error)

    def _running_switchboard(self) -> Switchboard:
        if self._switchboard is None or self._closed:
            raise LocalProtocolError("The node is not running.")
        return self._switchboard

    # --- what the switchboard tells (SwitchboardUser) ---

    def call_rings(self, call: Call) -> None:
        """A call rings here."""
        _offer(self._incoming, call)

    def call_ended(self, conversation: Conversation, change: outputs.StateChanged) -> None:
        """A call is over: whoever missed it is told, here or there."""
        if change.reason is EndReason.MISSED:
            self._tell(MissedCall(conversation.call.peer))
            self._letterbox.rang(conversation.id)
        elif change.old is CallState.RINGING and change.cause is not None:
            self._tell(MissedCall(conversation.call.peer, change.sentence))
            self._letterbox.rang(conversation.id)
        self._letterbox.ended(conversation.id)
        if is_missed(conversation, change):
            leave_word(conversation, self.profile.credentials(), self._running_link())

    def call_forgotten(self, call_id: bytes) -> None:
        """All that an ended call had is given back: nothing claims its record any more."""
        self._running_link().call_finished(call_id)

    def _tell(self, notice: Notice) -> None:
        _offer(self._notices, notice)

    # --- what the link tells (LinkUser) ---

    def message_arrived(self, message: Deliver) -> None:
        """A sealed body arrived: a ring makes a conversation, everything else belongs to one."""
        if self._switchboard is None:
            return
        try:
            if message.kind is Kind.RING:
                self._take_ring(message, self._switchboard)
            elif not self._switchboard.receive(message):
                self.dropped += 1
        except (RemoteProtocolError, KeystoreError) as error:
            # A keystore that cannot be written cannot pin who rings for the first time.
            self.dropped += 1
            log.info("a ring was refused: %s", type(error).__name__)

    def _take_ring(self, message: Deliver, switchboard: Switchboard) -> None:
        if self._closed:
            return
        lacks_relay = self._relays.absent
        opened = self._rings.open(message, lacks_relay=lacks_relay)
        if opened is None:
            self.dropped += 1
        else:
            switchboard.ring(opened, lacks_relay=lacks_relay)

    def message_failed(self, message: Send) -> None:
        """A message does not arrive."""
        if self._switchboard is not None:
            self._switchboard.not_delivered(message)

    def letter_arrived(self, letter: Letter) -> None:
        """Something was stored for this device while it was away."""
        if not self._closed and self._letterbox.take(letter):
            self._running_link().taken([letter.id])

    def letters_read(self) -> None:
        """Nothing is stored any more: from now on expired prekeys are of no use."""
        self._letters_read = True
        self._letterbox.all_taken()

    def other_logged_in(self, login: LoggedIn) -> None:
        """Another device of this account has logged in, as the server says."""
        if self._own_devices.logged_in(login, time.monotonic()):
            self.spawn(self._own_devices.look())

    def link_up(self) -> None:
        """The session stands."""
        self.report(inputs.SignalingRestored())
        self.spawn(self._relays.look())
        if self._running_presence().away:
            self._running_presence().away = False
            self._tell(ServerBack())
            self.spawn(self._own_devices.look_soon())
        else:
            self.spawn(self._own_devices.look())

    def link_lost(self, sentence: str) -> None:
        """The session is gone for now."""
        self._running_presence().away = True
        self._letters_read = False
        self.report(inputs.SignalingLost())
        self._tell(ServerLost(sentence))

    def link_closed(self, sentence: str) -> None:
        """The session is gone for good."""
        self._tell(ServerLost(sentence))

    # --- what the machine's network does ---

    def _network_changed(self) -> None:
        """Media first: it needs no server, and is what a person hears."""
        if self._switchboard is not None:
            self._switchboard.network_changed()
        self._running_link().network_changed()
        self.report(inputs.NetworkChanged())

    # --- what a conversation needs (Surroundings) ---

    def report(self, fact: inputs.Input) -> None:
        """Tell the call machine a fact."""
        if self._switchboard is not None:
            self._switchboard.report(fact)

    @property
    def relay_only(self) -> bool:
        """Whether no address of this machine may be shown to anybody."""
        return self.config.ice_policy is IcePolicy.RELAY_ONLY

    @property
    def relay_until_accept(self) -> bool:
        """Whether no address of this machine may be shown while it rings."""
        return self.config.ice_policy is IcePolicy.RELAY_UNTIL_ACCEPT

    def doubt_server(self) -> None:
        """The way to the server may be broken too, as where a NAT has forgotten everything."""
        self._running_link().doubt()

    def send(self, device: Device, call: bytes, kind: Kind, body: bytes) -> None:
        """Hand a sealed body to the server, now or when it is back."""
        self._running_link().send(device.address, device.id, call, kind, body)

    def has_delivered(self, device: Device) -> bool:
        """Whether all that was handed to the server for a device has arrived there."""
        return self._running_link().has_delivered(device.address, device.id)

    async def fetch_devices(self, address: Address) -> Sequence[VerifiedDevice]:
        """The devices of a contact, each verified against the pinned identity key, or the first one ever seen."""
        answer = await self._running_presence().fetch_devices(address)
        return self._directory.verify_devices(address, answer)

    async def lease_servers(self) -> Lease:
        """STUN servers of the configuration, and relays with credentials for one call."""
        return await self._relays.lease()

    def begin_handshake(self, device: VerifiedDevice, call: bytes, *, video: bool) -> CallerHandshake:
        """Begin the caller's half of a handshake."""
        return CallerHandshake(self.profile.credentials(), device, call, kinds_of(video=video), time.time(), os.urandom)

    def _running_presence(self) -> Presence:
        if self._presence is None:
            raise LocalProtocolError("The node is not running.")
        return self._presence

    def _running_link(self) -> Link:
        return self._running_presence().link

    async def _fetch_own_devices(self) -> Devices:
        return await self._running_link().fetch_devices(self.address)

    def _look_after_keys(self) -> None:
        self._refresh = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._look_after_keys)
        if not self._running_presence().away:
            self.spawn(self._own_devices.look())
        if self._letters_read:
            self._letterbox.all_taken()
        if self._running_switchboard().live is not None:
            return
        try:
            renewed = self.profile.refresh()
        except KeystoreError as error:  # a full disk, or another passphrase by now: the keys of before hold on
            log.warning("keys could not be renewed: %s", type(error).__name__)
        else:
            if renewed:
                self._letters_read = False
                self.spawn(self._running_presence().log_in_anew())


def _offer(queue: asyncio.Queue[Any], item: object) -> None:
    """Put without waiting; the oldest makes room when nobody reads."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def _media_settings(config: NodeConfig) -> MediaSettings:
    return MediaSettings(
        loopback_only=config.loopback_only,
        tls_ca_file=config.ca_file,
        audio_bitrate=config.media.audio_bitrate,
        video_bitrate=config.media.video_bitrate,
        video_width=config.media.video_width,
        video_height=config.media.video_height,
        video_fps=config.media.video_fps,
    )
