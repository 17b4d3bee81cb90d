"""A team's shared credit as JSON: what is available, what one member can draw of it, and its caps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from creditdesk.api.ledger.endpoints import ReadRequest
from creditdesk.api.ledger.params import COWORKER_ID
from creditdesk.ledger.actions import document_amount
from creditdesk.ledger.journal.mapping import MONEY_MAPPING, TIME_MAPPING
from creditdesk.ledger.loaders.member_pools import SharedPool, load_shared_pools
from creditdesk.ledger.loaders.payers import load_visible_payers
from creditdesk.ledger.rules.amounts import Amount
from creditdesk.ledger.rules.credit import CreditType
from creditdesk.schema.actions import ActionResult
from creditdesk.schema.conversions import format_datetime
from creditdesk.schema.counted_texts import counted_text


async def read_pools(request: ReadRequest) -> ActionResult:
    """The credit that the teams of a customer share with it, at the caller's locations."""
    session, context = request.session, request.context
    payers = await load_visible_payers(session, request.params[COWORKER_ID], context)
    found = await load_shared_pools(session, payers, context.now, context.principal)
    return ActionResult(
        counted_text(len(found), "{} pool.", "{} pools."), [pool_document(each, context.now) for each in found]
    )


def pool_document(pool: SharedPool, now: datetime) -> dict[str, Any]:
    """A pool as JSON; `Drawable` is what all caps together allow, `Left` what one cap still allows."""

    def amount(value: Amount) -> str | int:
        return document_amount(MONEY_MAPPING if pool.kind is CreditType.MONEY else TIME_MAPPING, value)

    return {
        "TeamId": pool.team_id,
        "TeamName": pool.team_name,
        "Kind": pool.kind.value,
        "Unit": pool.unit,
        "Available": amount(pool.available),
        "Drawable": amount(pool.drawable(now)),
        "ExpireDate": format_datetime(pool.expires) if pool.expires else None,
        "Caps": [
            {
                "Period": cap.period.name.lower(),
                "Amount": amount(cap.limit),
                "Drawn": amount(cap.limit - cap.remaining(now)),
                "Left": amount(max(0, cap.remaining(now))),
            }
            for cap in pool.caps
        ],
    }
