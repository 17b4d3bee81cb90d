"""What single migration steps do to the rows and indexes of older databases."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import asyncpg
import pytest

from creditdesk.audit.verify import verify_ledger
from creditdesk.entities.billing.coworker_booking_credit import CoworkerBookingCredit
from creditdesk.entities.billing.coworker_booking_credit_use_history import (
    CoworkerBookingCreditUseHistory,
)
from creditdesk.entities.billing.coworker_extra_service import CoworkerExtraService
from creditdesk.entities.billing.tariff import Tariff
from creditdesk.entities.ledger.benefit_grant import BenefitGrant
from creditdesk.entities.ledger.journal_line import JournalLine
from creditdesk.entities.spaces.booking import Booking
from creditdesk.entities.sys.currency import Currency
from creditdesk.schema.query import Comparison
from creditdesk.schema.repository import Store
from creditdesk.storage.engine import open_store
from creditdesk.storage.migrations import MIGRATIONS, OlderDatabase
from creditdesk.storage.naming import table_name
from tests.storage.denormalization_support import rows_from_before, strip_copies
from tests.storage.storage_contract import where
from tests.support.databases import run_sql
from tests.support.ledger_builder import ADMIN_PRINCIPAL, LedgerBuilder, money
from tests.support.progress import CollectingReporter
from tests.support.record_builder import stored_row
from tests.support.schemas import migrate, schema

OLD_CHECK = "CHECK (remaining_uses >= 0 AND remaining_uses <= total_uses)"


async def take_back_the_overdraft(url: str) -> None:
    """Restores the schema before step 5."""
    await run_sql(url, "DELETE FROM schema_version WHERE number > 1")
    if not url.startswith("sqlite"):
        await run_sql(url, "ALTER TABLE coworker_extra_service DROP COLUMN overdraft")
        await run_sql(url, f"ALTER TABLE coworker_extra_service ADD {OLD_CHECK}")
        return
    [(create_table,)] = await run_sql(url, "SELECT sql FROM sqlite_master WHERE name = 'coworker_extra_service'")
    kept = [line for line in str(create_table).splitlines() if "overdraft" not in line]
    first_key = next(place for place, line in enumerate(kept) if "FOREIGN KEY" in line)
    kept.insert(first_key, f"  {OLD_CHECK},")
    await run_sql(url, "DROP TABLE coworker_extra_service")
    await run_sql(url, "\n".join(kept))


async def test_step_5_allows_printing_overdraft(
    empty: str,
) -> None:
    await migrate(empty)
    await take_back_the_overdraft(empty)
    with pytest.raises(OlderDatabase):
        await open_store(empty)
    values = "created_on, updated_on, unique_id, remaining_uses, total_uses"
    instant = "0" if empty.startswith("sqlite") else "now()"
    for number in (1, 2):
        await run_sql(
            empty,
            f"INSERT INTO coworker_extra_service (id, {values}) "
            f"VALUES ({number}, {instant}, {instant}, 'u{number}', 0, 10)",
        )
    change = "UPDATE coworker_extra_service SET remaining_uses = {} WHERE id = {}"
    refused = (sqlite3.IntegrityError, asyncpg.CheckViolationError)
    with pytest.raises(refused):
        await run_sql(empty, change.format(-1, 1))
    await migrate(empty)
    await run_sql(empty, "UPDATE coworker_extra_service SET overdraft = 5 WHERE id = 1")
    await run_sql(empty, change.format(-5, 1))
    for remaining, number in ((-6, 1), (11, 1), (-1, 2), (11, 2)):
        with pytest.raises(refused):
            await run_sql(empty, change.format(remaining, number))
    with pytest.raises(refused):
        await run_sql(empty, "UPDATE coworker_extra_service SET overdraft = -1 WHERE id = 2")
    if empty.startswith("sqlite"):
        assert await run_sql(empty, "PRAGMA integrity_check") == [("ok",)]
    before = await schema(empty)
    await migrate(empty)
    assert await schema(empty) == before


async def test_step_2_drops_unused_indexes(empty: str) -> None:
    await migrate(empty)
    declared_now = await schema(empty)
    await run_sql(empty, "CREATE INDEX stored_answer_key_number_ix ON stored_response (key_number)")
    await run_sql(empty, "CREATE INDEX grant_key_created_on_ix ON benefit_grant (created_on)")
    await run_sql(empty, "DELETE FROM schema_version WHERE number > 1")
    assert await schema(empty) != declared_now
    await migrate(empty)
    assert await schema(empty) == declared_now


async def test_step_9_replaces_partial_indexes(empty: str) -> None:
    await migrate(empty)
    declared_now = await schema(empty)
    table = table_name(CoworkerBookingCreditUseHistory)
    await run_sql(empty, f"DROP INDEX {table}_updated_by_ix")
    await run_sql(empty, f"DROP INDEX {table}_system_id_ix")
    await run_sql(
        empty,
        f"CREATE INDEX {table}_system_id_ix ON {table} (system_id_fold, id) WHERE system_id_fold IS NOT NULL",
    )
    await run_sql(empty, "DELETE FROM schema_version WHERE number > 8")
    await migrate(empty)
    assert await schema(empty) == declared_now


OLD_TABLES = {
    "benefit_rollover": "benefit_roll_over",
    "account_state": "credit_state",
    "benefit_grant": "grant_key",
    "checkpoint_heads": "sealed_heads",
    "stored_response": "stored_answer",
}


async def restore_old_names(url: str) -> None:
    """Gives the internal tables, and what is named after them, the names of schema 9."""
    sqlite = url.startswith("sqlite")
    for new, old in OLD_TABLES.items():
        await run_sql(url, f"ALTER TABLE {new} RENAME TO {old}")
        if sqlite:
            await run_sql(url, f"UPDATE id_sequence SET name = '{old}' WHERE name = '{new}'")
            continue
        await run_sql(url, f"ALTER SEQUENCE {new}_ids RENAME TO {old}_ids")
        for kind, name in await run_sql(
            url,
            "SELECT 'INDEX', indexname::text FROM pg_indexes "
            f"WHERE tablename = '{old}' UNION ALL SELECT 'TRIGGER', tgname::text FROM pg_trigger "
            f"WHERE tgrelid = '{old}'::regclass AND NOT tgisinternal",
        ):
            of_table = f" ON {old}" if kind == "TRIGGER" else ""
            renamed = str(name).replace(new, old)
            await run_sql(url, f"ALTER {kind} {name}{of_table} RENAME TO {renamed}")
    for name in await _names_on_sqlite(url) if sqlite else ():
        new = next(new for new in OLD_TABLES if name.startswith(new))
        [(kind, sql)] = await run_sql(url, f"SELECT type, sql FROM sqlite_master WHERE name = '{name}'")
        await run_sql(url, f"DROP {kind} {name}")
        await run_sql(url, str(sql).replace(new, OLD_TABLES[new]))
    await run_sql(url, "DELETE FROM schema_version WHERE number > 9")


async def _names_on_sqlite(url: str) -> list[str]:
    rows = await run_sql(url, "SELECT name FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql NOT NULL")
    return [str(name) for (name,) in rows if str(name).startswith(tuple(OLD_TABLES))]


def unquoted(schema: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """SQLite quotes the name of a renamed table in its stored SQL."""
    return [tuple(str(each).replace('"', "") for each in row) for row in schema]


async def test_step_10_renames_tables_with_their_rows(empty: str) -> None:
    store = await open_store(empty, migrated=True)
    values = {
        "Key": "k",
        "ContractId": 1,
        "Benefit": "money/1",
        "CreditKind": "money",
        "CreditId": 1,
    }
    grant = stored_row(BenefitGrant, **values)
    async with store.write_session() as session:
        [before] = await session.insert(BenefitGrant, [grant])
    await store.close()
    declared_now = await schema(empty)
    await restore_old_names(empty)
    tables = "sqlite_master WHERE type = 'table'" if empty.startswith("sqlite") else "pg_class"
    column = "name" if empty.startswith("sqlite") else "relname::text"
    assert ("grant_key",) in await run_sql(empty, f"SELECT {column} FROM {tables}")
    with pytest.raises(OlderDatabase):
        await open_store(empty)
    store = await open_store(empty, migrated=True)
    assert unquoted(await schema(empty)) == unquoted(declared_now)
    async with store.write_session() as session:
        [kept] = await session.find(BenefitGrant)
        assert (kept["Id"], kept["Key"], kept["UniqueId"]) == (before, "k", grant["UniqueId"])
        [after] = await session.insert(BenefitGrant, [stored_row(BenefitGrant, **values | {"Key": "l"})])
    assert after == before + 1
    await store.close()
    again = await schema(empty)
    await migrate(empty)
    assert await schema(empty) == again


async def test_existing_rows_get_denormalized_values(empty: str) -> None:
    """The schema before step 4 has no column, index or trigger of denormalized values."""
    await migrate(empty)
    await strip_copies(empty)
    [number] = [each.number for each in MIGRATIONS if each.name == "denormalized values"]
    await run_sql(empty, f"DELETE FROM schema_version WHERE number >= {number}")
    await rows_from_before(empty)
    with pytest.raises(OlderDatabase):
        await open_store(empty)
    store = await open_store(empty, migrated=True)
    async with store.read_session() as reading:
        [use] = await reading.find(CoworkerBookingCreditUseHistory)
        assert await reading.stale(CoworkerBookingCreditUseHistory, 0, 10) == []
        assert await reading.stale(CoworkerBookingCredit, 0, 10) == []
        assert await reading.counter_mismatches(CoworkerBookingCreditUseHistory) == []
        here = where(CoworkerBookingCreditUseHistory, "CoworkerBookingCreditBusinessId", Comparison.EQUALS, 1)
        assert await reading.count(CoworkerBookingCreditUseHistory, (here,)) == 1
    assert use["CoworkerBookingCreditBusinessCurrencyCode"] == "EUR"
    assert use["CoworkerBookingCreditDescription"] == "Grant"
    assert use["BookingId"] is None
    async with store.write_session() as unit:
        await unit.update(Currency, [(1, {"Code": "CHF"})])
    async with store.read_session() as reading:
        [use] = await reading.find(CoworkerBookingCreditUseHistory)
    assert use["CoworkerBookingCreditBusinessCurrencyCode"] == "CHF"
    await store.close()


async def test_step_12_fills_defaults_and_moves_preferences_into_lists(empty: str) -> None:
    """Plans had one number for each delivery preference, and fields with a default were empty."""
    await migrate(empty)
    await run_sql(empty, "DELETE FROM schema_version WHERE number > 11")
    for kind in ("mail", "parcels", "checks", "publicity", "other"):
        await run_sql(empty, f"DROP TABLE tariff__delivery_preferences_{kind}")
        await run_sql(empty, f"ALTER TABLE tariff ADD COLUMN delivery_preferences_{kind} BIGINT")
    instant = "0" if empty.startswith("sqlite") else "now()"
    base = f"created_on, updated_on, unique_id) VALUES ({{}}, {instant}, {instant}, 'u{{}}')"
    for number in (1, 2):
        await run_sql(empty, f"INSERT INTO tariff (id, {base}".format(number, number))
    await run_sql(empty, f"INSERT INTO booking (id, {base}".format(1, 1))
    await run_sql(empty, "UPDATE tariff SET delivery_preferences_mail = 3 WHERE id = 1")
    await run_sql(empty, "UPDATE tariff SET delivery_preferences_mail = 0 WHERE id = 2")
    await run_sql(empty, "UPDATE tariff SET identity_check_provider = 2 WHERE id = 2")
    store = await open_store(empty, migrated=True)
    async with store.read_session() as session:
        plans = await session.get_many(Tariff, (1, 2))
        [booking] = await session.find(Booking)
    await store.close()
    assert [plans[n]["DeliveryPreferencesMail"] for n in (1, 2)] == [(3,), ()]
    assert [plans[n]["DeliveryPreferencesOther"] for n in (1, 2)] == [(), ()]
    assert [plans[n]["IdentityCheckProvider"] for n in (1, 2)] == [1, 2]
    assert (plans[1]["DisplayOrder"], booking["Repeats"]) == (0, 2)
    again = await schema(empty)
    await migrate(empty)
    assert await schema(empty) == again


async def test_step_24_grants_what_stands_without_a_journal(empty: str) -> None:
    """Unused and partly used credits of both types get their grants; a booking charge none."""
    store = await open_store(empty, migrated=True)
    ledger = await LedgerBuilder.create(store)
    balance = {"TotalCredit": money("40.00"), "RemainingCredit": money("25.00")}
    money_credit = await ledger.add(
        CoworkerBookingCredit, CoworkerId=ledger.customer, BusinessId=ledger.business, **balance
    )
    await ledger.add(CoworkerBookingCreditUseHistory, CoworkerBookingCreditId=money_credit, CreditUsed=money("15.00"))
    time = {"CoworkerId": ledger.customer, "BusinessId": ledger.business, "TotalUses": 60, "RemainingUses": 60}
    time_credit = await ledger.add(CoworkerExtraService, **time)
    await ledger.add(CoworkerExtraService, **time, BookingId=await ledger.add_booking())
    granted = await ledger.add_money_credit("10.00")
    ungranted = await verify_problems(store)
    await store.close()
    await run_sql(empty, "DELETE FROM schema_version WHERE number > 23")
    store = await open_store(empty, migrated=True)
    ledger.store = store
    lines = await ledger.journal_lines("money", money_credit)
    assert [(line["Kind"], line["Amount"], line["BalanceAfter"], line["Actor"]) for line in lines] == [
        ("grant", money("40.00"), money("40.00"), ADMIN_PRINCIPAL.email),
        ("use", money("15.00"), money("25.00"), ADMIN_PRINCIPAL.email),
    ]
    [line] = await ledger.journal_lines("time", time_credit)
    assert (line["Kind"], line["Amount"], line["TotalAfter"]) == ("grant", money("60.00"), money("60.00"))
    assert len(await ledger.journal_lines("money", granted)) == 1
    assert len(await ledger.find(JournalLine)) == 4
    assert sum("no grant explains" in problem for problem in ungranted) == 2
    assert await verify_problems(store) == []
    ledger.now += timedelta(days=36500)
    await ledger.post_use(money_credit, "25.00")
    await ledger.post_time_use(time_credit, BookingId=await ledger.add_booking(1))
    assert await verify_problems(store) == []
    await store.close()


async def test_step_24_is_done_once(empty: str) -> None:
    store = await open_store(empty, migrated=True)
    ledger = await LedgerBuilder.create(store)
    balance = {"TotalCredit": money("40.00"), "RemainingCredit": money("40.00")}
    await ledger.add(CoworkerBookingCredit, CoworkerId=ledger.customer, BusinessId=ledger.business, **balance)
    await store.close()
    await migrate(empty)
    store = await open_store(empty)
    assert len(await verify_problems(store)) == 1
    await store.close()


async def verify_problems(store: Store) -> list[str]:
    report = CollectingReporter()
    await verify_ledger(store, report)
    return report.problems
