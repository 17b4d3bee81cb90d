"""Hides balances in decisions: a limited caller does not see those of credits that it may not read.

A decision on a member's booking lists the credits of its team, and those of every location where the customer has some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from creditdesk.ledger.journal.entry import AccountType
from creditdesk.ledger.journal.mapping import MAPPINGS, AccountKey
from creditdesk.schema.query import where
from creditdesk.schema.repository import ReadSession
from creditdesk.schema.service import Principal

DecisionDocument = Mapping[str, Any]


async def hide_foreign_balances(
    session: ReadSession, documents: Sequence[DecisionDocument | None], principal: Principal
) -> list[DecisionDocument | None]:
    """The stored documents with `available` set to null for credits that the principal does not see.

    What such a credit paid stays visible: it is part of how the item was paid for.
    """
    if not principal.is_limited:
        return list(documents)
    listed = {_account(seen["credit"]) for each in documents if each for seen in each["considered"]}
    visible = await _visible_accounts(session, listed, principal)
    return [_without_foreign(each, visible) if each else each for each in documents]


def _without_foreign(document: DecisionDocument, visible: set[AccountKey]) -> DecisionDocument:
    considered = [
        seen if _account(seen["credit"]) in visible else {**seen, "available": None} for seen in document["considered"]
    ]
    return {**document, "considered": considered}


async def _visible_accounts(
    session: ReadSession, accounts: Iterable[AccountKey], principal: Principal
) -> set[AccountKey]:
    ids: dict[AccountType, set[int]] = {}
    for account_type, credit_id in accounts:
        ids.setdefault(account_type, set()).add(credit_id)
    visible: set[AccountKey] = set()
    for account_type, of_type in ids.items():
        entity = MAPPINGS[account_type].credit_entity
        found = await session.find(entity, where(entity, Id=of_type), columns=("Id", "BusinessId", "CoworkerId"))
        visible |= {
            (account_type, each["Id"])
            for each in found
            if principal.sees_record(each["BusinessId"], each["CoworkerId"])
        }
    return visible


def _account(credit: str) -> AccountKey:
    """Printing credit is kept among time credit."""
    kind, _, number = credit.partition("/")
    return (AccountType.MONEY if kind == "money" else AccountType.TIME, int(number))
