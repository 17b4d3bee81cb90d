"""The actions on contracts: cancel, pause, resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from creditdesk.ledger.operations.contracts import cancel_contracts, pause_contracts, resume_contracts
from creditdesk.schema.actions import Action, ActionResult
from creditdesk.schema.counted_texts import counted_text
from creditdesk.schema.fields import DateTime
from creditdesk.schema.params import Param, Params
from creditdesk.schema.repository import WriteSession
from creditdesk.schema.service import RequestContext

_CANCELLATION_DATE: Final = Param("Cancellation Date", DateTime())
_FROM: Final = Param("From", DateTime())
_UNTIL: Final = Param("Until", DateTime(), required=True)


async def _cancel(session: WriteSession, ids: Sequence[int], params: Params, context: RequestContext) -> ActionResult:
    await cancel_contracts(session, ids, params[_CANCELLATION_DATE], context)
    return ActionResult(counted_text(len(ids), "{} contract was cancelled.", "{} contracts were cancelled."))


async def _pause(session: WriteSession, ids: Sequence[int], params: Params, context: RequestContext) -> ActionResult:
    await pause_contracts(session, ids, params[_FROM], params[_UNTIL], context)
    return ActionResult(counted_text(len(ids), "{} contract is paused.", "{} contracts are paused."))


async def _resume(session: WriteSession, ids: Sequence[int], _params: Params, context: RequestContext) -> ActionResult:
    await resume_contracts(session, ids, context)
    return ActionResult(counted_text(len(ids), "{} contract is resumed.", "{} contracts are resumed."))


CONTRACT_ACTIONS: Final = (
    Action("CANCEL_CONTRACT", "Cancel contract", _cancel, (_CANCELLATION_DATE,), order=1),
    Action("PAUSE_CONTRACT", "Pause contract", _pause, (_FROM, _UNTIL), order=2),
    Action("RESUME_CONTRACT", "Resume contract", _resume, order=3),
)
