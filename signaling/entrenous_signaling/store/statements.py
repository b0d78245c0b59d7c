"""Each kind of store request as SQL, within a transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Float, Table, delete, func, insert, select

from entrenous_wire.certificate import CertificateError, DeviceCertificate, names_key
from entrenous_wire.limits import MAX_DEVICES

from . import schema
from .messages import delete_messages, read_messages, store_messages
from .records import claim_records, close_records, discard_records, open_records, touch_records
from .requests import (
    WEEK_SECONDS,
    Account,
    AccountTotals,
    BatchRequest,
    ClaimRecord,
    CloseRecord,
    CountAccounts,
    DatabaseClock,
    DeleteMessages,
    DeviceOutcome,
    DiscardRecord,
    Done,
    MarkActive,
    OpenRecord,
    PrekeysOutcome,
    ReadAccount,
    ReadClock,
    ReadMessages,
    RegisterAccount,
    RegisterOutcome,
    RemoveAccount,
    Removed,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoreMessage,
    StoreResult,
    TouchRecords,
)
from .sets import Columns, execute_set
from .stages import stages

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

ReadRequest = ReadAccount | ReadMessages | CountAccounts | ReadClock
"""What is read in a thread of its own."""

_NAME: Final[Columns] = (("username", "text"),)
_MARK: Final = """
    WITH {wanted} UPDATE account SET active_week = wanted.week FROM wanted WHERE account.username = wanted.username
    AND (account.active_week IS NULL OR account.active_week < wanted.week)
"""


def carry_out(connection: Connection, requests: Sequence[BatchRequest]) -> list[StoreResult]:
    """Carry out a batch on the connection of the part that it concerns.

    Returns:
        The results in the order of the requests.

    Raises:
        SQLAlchemyError: the database refused; the caller rolls back.
    """
    results: list[StoreResult] = [None] * len(requests)
    for positions in stages(requests):
        stage = [requests[position] for position in positions]
        for position, result in zip(positions, _carry_out_stage(connection, stage), strict=True):
            results[position] = result
    return results


def _carry_out_stage(connection: Connection, stage: Sequence[Any]) -> Sequence[StoreResult]:
    """Carry out requests that are all of one class."""
    together = TOGETHER.get(type(stage[0]))
    if together is not None:
        return together(connection, stage)
    alone = ALONE[type(stage[0])]
    return [alone(connection, request) for request in stage]


def _read_accounts(connection: Connection, requests: Sequence[ReadAccount]) -> list[Account | None]:
    names = [(name,) for name in {request.username: None for request in requests}]
    prekeys: dict[tuple[str, str], list[bytes]] = {}
    statement = """
        WITH {wanted} SELECT username, device, prekey FROM wanted JOIN prekey USING (username)
        ORDER BY username, device, position
    """
    for username, device, prekey in execute_set(connection, statement, _NAME, names):
        prekeys.setdefault((username, device), []).append(prekey)
    devices: dict[str, list[StoredDevice]] = {}
    statement = "WITH {wanted} SELECT username, device, certificate FROM wanted JOIN device USING (username)"
    for username, device, certificate in execute_set(connection, statement, _NAME, names):
        stored = StoredDevice(device, certificate, tuple(prekeys.get((username, device), ())))
        devices.setdefault(username, []).append(stored)
    statement = "WITH {wanted} SELECT username, identity_key FROM wanted JOIN account USING (username)"
    accounts = {
        username: Account(identity_key, tuple(devices.get(username, ())))
        for username, identity_key in execute_set(connection, statement, _NAME, names)
    }
    return [accounts.get(request.username) for request in requests]


def _mark_active(connection: Connection, requests: Sequence[MarkActive]) -> list[Done]:
    weeks: dict[str, int] = {}
    for request in requests:
        weeks[request.username] = max(request.week, weeks.get(request.username, request.week))
    execute_set(connection, _MARK, (*_NAME, ("week", "integer")), sorted(weeks.items()))
    return [Done.DONE] * len(requests)


def count_accounts(connection: Connection, request: CountAccounts) -> AccountTotals:
    """Count what is kept."""
    tables = (schema.account, schema.device, schema.message)
    accounts, devices, messages = (connection.scalar(select(func.count()).select_from(table)) for table in tables)
    return AccountTotals(accounts or 0, devices or 0, messages or 0)


def read_clock(connection: Connection, request: ReadClock) -> DatabaseClock:
    """Look at the clock of the machine that the database is on, which is this one for SQLite."""
    if connection.dialect.name != "postgresql":
        return DatabaseClock(None)
    return DatabaseClock(connection.scalar(select(func.extract("epoch", func.clock_timestamp()).cast(Float))))


def remove_account(connection: Connection, request: RemoveAccount) -> Removed | None:
    """Delete an account and all that is its own."""
    counts = [
        connection.scalar(select(func.count()).where(table.c.username == request.username)) or 0
        for table in (schema.device, schema.prekey, schema.message)
    ]
    gone = connection.execute(delete(schema.account).where(schema.account.c.username == request.username))
    return Removed(*counts) if gone.rowcount else None


def _register(connection: Connection, request: RegisterAccount) -> RegisterOutcome:
    invite = schema.invite
    known = _lock_account(connection, request.username)
    if known is None:
        if not request.may_create:
            return RegisterOutcome.CLOSED
        mine = invite.c.hash == request.invite
        if request.invite is not None and not connection.scalar(select(invite.c.hash).where(mine).with_for_update()):
            return RegisterOutcome.BAD_INVITE
        if not _make_account(connection, request):
            return _register(connection, request)  # another process has made it meanwhile
        connection.execute(delete(invite).where(mine))
    elif known != request.identity_key:
        return RegisterOutcome.NAME_TAKEN
    if _put_device(connection, request) is DeviceOutcome.TOO_MANY_DEVICES:
        return RegisterOutcome.TOO_MANY_DEVICES
    _replace_prekeys(connection, request.username, request.device, request.prekeys)
    return RegisterOutcome.REGISTERED


def _make_account(connection: Connection, request: RegisterAccount) -> bool:
    """Add an account; False when there is one of that name, without an error, which PostgreSQL would log with it."""
    account, week = schema.account, request.now // WEEK_SECONDS
    row = {"username": request.username, "identity_key": request.identity_key, "active_week": week}
    statement = _insert(connection, account).values(row).on_conflict_do_nothing().returning(account.c.username)
    return connection.scalar(statement) is not None


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """What inserts into a table and knows what to do with a conflict."""
    # Each of these loads its dialect, and a server uses one.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table)


def _store_device(connection: Connection, request: StoreDevice) -> DeviceOutcome:
    if _lock_account(connection, request.username) != request.identity_key:
        return DeviceOutcome.NO_ACCOUNT
    device = schema.device
    mine = select(device.c.certificate).where(device.c.username == request.username, device.c.device == request.device)
    known = connection.scalar(mine)
    outcome = _put_device(connection, request)
    if known is not None and outcome is DeviceOutcome.STORED and not _are_of_one_key(known, request.certificate):
        _replace_prekeys(connection, request.username, request.device, ())
    return outcome


def _lock_account(connection: Connection, username: str) -> bytes | None:
    """The identity key of an account, which until the commit no other process removes or gives another device."""
    account = schema.account
    chosen = select(account.c.identity_key).where(account.c.username == username)
    identity_key: bytes | None = connection.scalar(chosen.with_for_update(key_share=True))
    return identity_key


def _put_device(connection: Connection, request: StoreDevice | RegisterAccount) -> DeviceOutcome:
    """Add a device to an account, or renew it; the account is locked, or was made in this transaction."""
    device = schema.device
    # Not itself when it comes back too late: what waits for it would go with it.
    of_others = (device.c.username == request.username, device.c.device != request.device)
    connection.execute(delete(device).where(*of_others, device.c.not_after <= request.now))
    others = connection.scalar(select(func.count()).where(*of_others))
    if others is not None and others >= MAX_DEVICES:
        return DeviceOutcome.TOO_MANY_DEVICES
    row = {"certificate": request.certificate, "not_after": request.not_after}
    statement = _insert(connection, device).values(username=request.username, device=request.device, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["username", "device"], set_=row))
    return DeviceOutcome.STORED


def _publish(connection: Connection, request: ReplacePrekeys) -> PrekeysOutcome:
    device = schema.device
    mine = select(device.c.certificate).where(device.c.username == request.username, device.c.device == request.device)
    # Nobody renews or removes it until the commit.
    certificate = connection.scalar(mine.with_for_update(key_share=True))
    if certificate is None or not names_key(certificate, request.device_key):
        return PrekeysOutcome.OTHER_KEY
    _replace_prekeys(connection, request.username, request.device, request.prekeys)
    return PrekeysOutcome.REPLACED


def _are_of_one_key(one: bytes, other: bytes) -> bool:
    """Whether two certificates are of the same device key."""
    try:
        return names_key(one, DeviceCertificate.parse(other).device_key)
    except CertificateError:
        return False


def _replace_prekeys(connection: Connection, username: str, name: str, prekeys: tuple[bytes, ...]) -> None:
    """Replace the prekeys of a device, whose row this transaction has written or locked."""
    prekey = schema.prekey
    connection.execute(delete(prekey).where(prekey.c.username == username, prekey.c.device == name))
    rows = [
        {"username": username, "device": name, "position": position, "prekey": raw}
        for position, raw in enumerate(prekeys)
    ]
    if rows:
        connection.execute(insert(prekey), rows)


TOGETHER: Final[dict[type[BatchRequest], Callable[[Connection, Sequence[Any]], Sequence[StoreResult]]]] = {
    ReadAccount: _read_accounts,
    MarkActive: _mark_active,
    StoreMessage: store_messages,
    DeleteMessages: delete_messages,
    OpenRecord: open_records,
    ClaimRecord: claim_records,
    TouchRecords: touch_records,
    CloseRecord: close_records,
    DiscardRecord: discard_records,
}
"""What many requests of a kind are carried out with at once."""
ALONE: Final[dict[type[BatchRequest], Callable[[Connection, Any], StoreResult]]] = {
    ReadMessages: read_messages,
    CountAccounts: count_accounts,
    ReadClock: read_clock,
    RegisterAccount: _register,
    StoreDevice: _store_device,
    ReplacePrekeys: _publish,
    RemoveAccount: remove_account,
}
"""What is rare, and carried out one by one."""
