"""Each store request as SQL, within a transaction that the caller has begun."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from entrenous_wire.limits import MAX_DEVICES

from . import schema
from .requests import (
    Account,
    CloseRecord,
    DeviceOutcome,
    DiscardRecord,
    Done,
    OpenRecord,
    ReadAccount,
    RegisterAccount,
    RegisterOutcome,
    ReplacePrekeys,
    StoredDevice,
    StoreDevice,
    StoreRequest,
    StoreResult,
    TouchRecords,
)

AccountsRequest = ReadAccount | RegisterAccount | StoreDevice | ReplacePrekeys
UsageRequest = OpenRecord | TouchRecords | CloseRecord | DiscardRecord


def carry_out(connection: Connection, request: StoreRequest) -> StoreResult:
    """Carry out a request on the connection of the database that it concerns.

    Raises:
        SQLAlchemyError: the database refused; the caller rolls back.
    """
    match request:
        case ReadAccount():
            return _read_account(connection, request)
        case RegisterAccount():
            return _register(connection, request)
        case StoreDevice():
            return _store_device(connection, request)
        case ReplacePrekeys():
            _replace_prekeys(connection, request.username, request.device, request.prekeys)
        case OpenRecord():
            row = {"token": request.token, "start": request.start, "seen": request.start}
            connection.execute(upsert(schema.open_record).on_conflict_do_nothing(), row)
        case TouchRecords():
            # One statement a token: a list of them all would end at SQLite's bound of parameters.
            touch = update(schema.open_record).where(schema.open_record.c.token == bindparam("open_token"))
            rows = [{"open_token": token} for token in request.tokens]
            connection.execute(touch.values(seen=request.seen), rows)
        case CloseRecord():
            connection.execute(delete(schema.open_record).where(schema.open_record.c.token == request.token))
            connection.execute(insert(schema.call_record), {"start": request.start, "duration": request.duration})
        case DiscardRecord():
            connection.execute(delete(schema.open_record).where(schema.open_record.c.token == request.token))
        case _:
            assert_never(request)
    return Done.DONE


def _read_account(connection: Connection, request: ReadAccount) -> Account | None:
    account, device, prekey = schema.account, schema.device, schema.prekey
    identity_key = connection.scalar(select(account.c.identity_key).where(account.c.username == request.username))
    if identity_key is None:
        return None
    prekeys: dict[str, list[bytes]] = {}
    chosen = select(prekey.c.device, prekey.c.prekey).where(prekey.c.username == request.username)
    for name, raw in connection.execute(chosen.order_by(prekey.c.position)):
        prekeys.setdefault(name, []).append(raw)
    rows = connection.execute(
        select(device.c.device, device.c.certificate).where(device.c.username == request.username)
    )
    devices = (StoredDevice(name, certificate, tuple(prekeys.get(name, ()))) for name, certificate in rows)
    return Account(identity_key, tuple(devices))


def _register(connection: Connection, request: RegisterAccount) -> RegisterOutcome:
    account, invite = schema.account, schema.invite
    known = connection.scalar(select(account.c.identity_key).where(account.c.username == request.username))
    if known is None:
        if not request.may_create:
            return RegisterOutcome.CLOSED
        if request.invite is not None:
            used = connection.execute(delete(invite).where(invite.c.hash == request.invite))
            if used.rowcount != 1:
                return RegisterOutcome.BAD_INVITE
        connection.execute(insert(account), {"username": request.username, "identity_key": request.identity_key})
    elif known != request.identity_key:
        return RegisterOutcome.NAME_TAKEN
    if _store_device(connection, request) is DeviceOutcome.TOO_MANY_DEVICES:
        return RegisterOutcome.TOO_MANY_DEVICES
    _replace_prekeys(connection, request.username, request.device, request.prekeys)
    return RegisterOutcome.REGISTERED


def _store_device(connection: Connection, request: StoreDevice | RegisterAccount) -> DeviceOutcome:
    device = schema.device
    mine = device.c.username == request.username
    connection.execute(delete(device).where(mine, device.c.not_after <= request.now))
    others = connection.scalar(select(func.count()).where(mine, device.c.device != request.device))
    if others is not None and others >= MAX_DEVICES:
        return DeviceOutcome.TOO_MANY_DEVICES
    row = {"certificate": request.certificate, "not_after": request.not_after}
    statement = upsert(device).values(username=request.username, device=request.device, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["username", "device"], set_=row))
    return DeviceOutcome.STORED


def _replace_prekeys(connection: Connection, username: str, name: str, prekeys: tuple[bytes, ...]) -> None:
    prekey, device = schema.prekey, schema.device
    connection.execute(delete(prekey).where(prekey.c.username == username, prekey.c.device == name))
    if connection.scalar(select(func.count()).where(device.c.username == username, device.c.device == name)):
        rows = [
            {"username": username, "device": name, "position": position, "prekey": raw}
            for position, raw in enumerate(prekeys)
        ]
        connection.execute(insert(prekey), rows)
