"""What a device may ask of its server besides routing: storing messages, the directory, relays, its deletion.

Each answers on the connection on which it was asked, or raises `Refused`.
"""

from __future__ import annotations

from collections.abc import Callable

from entrenous_wire.messages import (
    Accepted,
    DeleteAccount,
    Deleted,
    Devices,
    ErrorCode,
    FetchDevices,
    Publish,
    Published,
    Send,
    Turn,
    TurnRequest,
)

from .auth import (
    Refused,
    check_deletion,
    check_prekeys,
    known_account,
    local_user,
    reachable_devices,
    refuse_failure,
    refuse_prekeys,
    unreachable_devices,
)
from .connection import Connection
from .deletions import Deletions
from .letters import Letters
from .lobby import Lobby
from .mailbox import Mailbox
from .outputs import Outbox
from .settings import HubSettings
from .store.requests import (
    Failed,
    PrekeysOutcome,
    ReadAccount,
    RemoveAccount,
    ReplacePrekeys,
    StoreResult,
    expect,
)
from .turn import TTL_SECONDS, mint


class Services:
    """Answers what is no matter of sessions and routing.

    Args:
        settings: what the hub has to know.
        draw: returns so many random bytes.
        outbox: where answers and store requests go.
        lobby: knows whether a connection is still there.
        letters: brings stored messages to their devices.
        deletions: ends the sessions of deleted accounts.
    """

    def __init__(
        self,
        settings: HubSettings,
        draw: Callable[[int], bytes],
        outbox: Outbox,
        lobby: Lobby,
        letters: Letters,
        deletions: Deletions,
    ) -> None:
        self._settings = settings
        self._draw = draw
        self._outbox = outbox
        self._lobby = lobby
        self._letters = letters
        self._deletions = deletions
        self.clock_set_by = 0.0
        """By how many seconds the time of day is ahead of `now`: relays judge their credentials by the former."""

    def store_message(self, here: Connection, mailbox: Mailbox, message: Send, now: float) -> None:
        """Keep a message for a device until that has taken it; `accepted` follows."""
        request = self._letters.request(mailbox.key, message, now)

        def stored(result: StoreResult | Failed, now: float) -> None:
            def tell() -> None:
                self._letters.check(result)
                self._outbox.transmit(here.number, Accepted(id=message.id))

            self._letters.stored(request, result)  # its sender may be gone by now, its receiver is not
            self._lobby.answer(here, message, tell, now)

        self._outbox.execute(request, stored)

    def delete_account(self, here: Connection, mailbox: Mailbox, message: DeleteAccount) -> None:
        """Delete the account of the device with all that is its; `deleted` follows, and its sessions end."""
        username = mailbox.key.username

        def account_read(result: StoreResult | Failed, now: float) -> None:
            if result is None:  # an earlier attempt has deleted it and could not say so
                removed(result, now)
                return
            account = known_account(result)
            check_deletion(message, account, server=self._settings.name, nonce=here.greeting, username=username)
            self._outbox.execute(RemoveAccount(username), removed)

        def removed(result: StoreResult | Failed, now: float) -> None:
            def tell() -> None:
                refuse_failure(result)
                self._outbox.transmit(here.number, Deleted(request=message.request))

            self._lobby.answer(here, message, tell, now)
            self._deletions.settle(username, result, now)

        self._lobby.execute(here, message, ReadAccount(username), account_read)

    def publish(self, here: Connection, mailbox: Mailbox, message: Publish, now: float) -> None:
        """Replace the prekeys of the device; `published` follows."""
        prekeys = check_prekeys(mailbox.device_key, message.prekeys, now)

        def replaced(result: StoreResult | Failed, now: float) -> None:
            refuse_prekeys(expect(result, PrekeysOutcome))
            self._outbox.transmit(here.number, Published(request=message.request))

        request = ReplacePrekeys(mailbox.key.username, mailbox.key.device, mailbox.device_key, prekeys)
        self._lobby.execute(here, message, request, replaced)

    def fetch_devices(self, here: Connection, message: FetchDevices) -> None:
        """Look an account up; `devices` follows."""

        def account_read(result: StoreResult | Failed, now: float) -> None:
            account = known_account(result)
            reachable = reachable_devices(account, now)
            own = here.owner().key.username == username
            devices = Devices(
                request=message.request,
                address=message.address,
                identity_key=account.identity_key,
                devices=reachable,
                unreachable=unreachable_devices(account, reachable, now) if own else [],
            )
            self._outbox.transmit(here.number, devices)

        username = local_user(message.address, self._settings.name)
        self._lobby.execute(here, message, ReadAccount(username), account_read)

    def lend_relay(self, here: Connection, message: TurnRequest, now: float) -> None:
        """Mint relay credentials."""
        relay = self._settings.relay
        if relay is None:
            raise Refused(ErrorCode.NO_RELAY, "This server has no relay.")
        credentials = mint(relay, now + self.clock_set_by, self._draw)
        answer = Turn(
            request=message.request,
            urls=list(relay.urls),
            username=credentials.username,
            password=credentials.password,
            ttl=TTL_SECONDS,
        )
        self._outbox.transmit(here.number, answer)
