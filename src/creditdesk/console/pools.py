"""The credit that a team shares with a customer, and what its caps leave, as texts of a page."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

from creditdesk.console.formats import Formatter
from creditdesk.console.member.words import unit_words
from creditdesk.console.translations import mark

CAP_PERIODS: Final = {
    "day": mark("today"),
    "week": mark("this week"),
    "month": mark("this month"),
    "quarter": mark("this quarter"),
    "year": mark("this year"),
}
"""The period that a cap covers now."""


class _Page(Protocol):
    """The common part of operators' and members' pages."""

    @property
    def format(self) -> Formatter: ...

    def translate(self, text: str, **values: Any) -> str: ...


def pool_text(page: _Page, pool: Mapping[str, Any]) -> dict[str, Any]:
    """A pool of the API as texts; `share` is how much of a cap is drawn, in percent."""
    is_money = pool["Kind"] == "money"
    kind, currency = ("money", pool["Unit"]) if is_money else ("time", None)

    def text(value: object) -> str:
        return page.format.amount(value, kind, currency)

    return {
        "is_money": is_money, "unit": pool["Unit"] if is_money else page.translate(unit_words(pool["Unit"])),
        "drawable": text(pool["Drawable"]), "available": text(pool["Available"]), "expires": pool["ExpireDate"],
        "is_capped": Decimal(str(pool["Drawable"])) < Decimal(str(pool["Available"])),
        "caps": [
            {"period": page.translate(CAP_PERIODS[cap["Period"]]), "drawn": text(cap["Drawn"]),
             "amount": text(cap["Amount"]), "left": text(cap["Left"]),
             "share": _percent(cap["Drawn"], cap["Amount"])}
            for cap in pool["Caps"]
        ],
    }  # fmt: skip


def _percent(part: object, whole: object) -> int:
    """How much of a cap is drawn, from 0 to 100."""
    amount = Decimal(str(whole))
    return min(100, max(0, int(Decimal(str(part)) * 100 / amount))) if amount else 100
