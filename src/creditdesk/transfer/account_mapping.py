"""The account of the operator's books for each kind of movement: from a TOML file, or defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from creditdesk.ledger.rules.funding import FundingKind
from creditdesk.reports.postings import LiabilityAccount, Posting
from creditdesk.reports.values import Flow

LIABILITY: Final = "liability"
OPENING: Final = "opening"
DEFAULT_ACCOUNTS: Final = {
    LIABILITY: "Liabilities:Member credit:{location}",
    OPENING: "Equity:Opening balances",
    Flow.GRANTED.value: "Assets:Credit granted:{funding}",
    Flow.ROLLED_IN.value: "Equity:Rolled over",
    Flow.ROLLED_OUT.value: "Equity:Rolled over",
    Flow.USED.value: "Revenues:Credit used",
    Flow.REVERSED.value: "Revenues:Credit used",
    Flow.EXPIRED.value: "Revenues:Credit expired",
    Flow.REOPENED.value: "Revenues:Credit expired",
    Flow.ADJUSTED.value: "Expenses:Credit adjusted",
    Flow.VOIDED.value: "Assets:Credit granted:{funding}",
}
"""The accounts of the liability and of its opening, and the counterpart of each kind of movement."""

_NAMES: Final = frozenset(DEFAULT_ACCOUNTS) | {f"{flow.value}.{each.value}" for flow in Flow for each in FundingKind}


class MappingError(ValueError):
    """A mapping file is not usable; the message says why."""


@dataclass(frozen=True, slots=True)
class AccountMapping:
    """Accounts by movement; `used.plan` takes precedence over `used`. `tax_rate` is Xero's rate without tax."""

    accounts: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ACCOUNTS)
    tax_rate: str = "Tax Exempt"

    def liability(self, account: LiabilityAccount) -> str:
        return self._fill(self.accounts[LIABILITY], account, "")

    def opening(self, account: LiabilityAccount) -> str:
        return self._fill(self.accounts[OPENING], account, "")

    def counterpart(self, account: LiabilityAccount, posting: Posting) -> str:
        """The account on the other side of a posting."""
        specific = self.accounts.get(f"{posting.flow.value}.{posting.funding.value}")
        return self._fill(specific or self.accounts[posting.flow.value], account, posting.funding.value)

    @staticmethod
    def _fill(name: str, account: LiabilityAccount, funding: str) -> str:
        for place, text in (("location", account.location), ("unit", account.unit), ("funding", funding)):
            name = name.replace(f"{{{place}}}", text)
        return " ".join(name.split())


def load_mapping(path: Path | None) -> AccountMapping:
    """The mapping in a TOML file: a table `accounts`, and `tax_rate`. Raises MappingError."""
    if path is None:
        return AccountMapping()
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path} cannot be read: {error}") from None
    accounts = document.get("accounts", {})
    tax_rate = document.get("tax_rate", AccountMapping().tax_rate)
    if not isinstance(accounts, dict) or not isinstance(tax_rate, str):
        raise MappingError(f"{path}: `accounts` is a table of texts, `tax_rate` a text.")
    flat = dict(_flatten(accounts, ""))
    if unknown := sorted(flat.keys() - _NAMES) + sorted(document.keys() - {"accounts", "tax_rate"}):
        raise MappingError(
            f"{path}: there is no movement {unknown[0]!r}. Known are: {', '.join(sorted(DEFAULT_ACCOUNTS))}."
        )
    if empty := sorted(name for name, account in flat.items() if not isinstance(account, str) or not account.strip()):
        raise MappingError(f"{path}: the account of {empty[0]!r} is not a text.")
    return AccountMapping({**DEFAULT_ACCOUNTS, **flat}, tax_rate)


def _flatten(table: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    """`[accounts.used] plan = …` is the same as `"used.plan" = …`."""
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))  # type: ignore[arg-type] # checked by the caller
    return found
