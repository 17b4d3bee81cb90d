"""How the text of files is written: encoding, decimal sign and order of dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.fields import DateTime, Field, Integer, Reference, Scaled

NumberFormat = Literal["standard", "european"]
DateOrder = Literal["iso", "dmy", "mdy"]
Encoding = Literal["utf-8", "latin-1"]

_DECIMAL_COMMA: Final = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", re.ASCII)
_DATE: Final = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})([ T]\d\d:\d\d(:\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How files are written. numbers: `european` has decimal commas. dates: the order in dates other than ISO dates."""

    numbers: NumberFormat = "standard"
    dates: DateOrder = "iso"
    encoding: Encoding = "utf-8"

    def normalize(self, field: Field, raw: object) -> object:
        """The standard text of a number or date. Raises ParseError for a number in another form."""
        if not isinstance(raw, str) or not raw.strip():
            return raw
        if isinstance(field, Scaled | Integer | Reference) and self.numbers == "european":
            if not _DECIMAL_COMMA.fullmatch(raw.strip()):
                raise ParseError("must be a number such as 1.234,50")
            return raw.strip().replace(".", "").replace(",", ".")
        match = _DATE.fullmatch(raw.strip()) if isinstance(field, DateTime) else None
        if match is None or self.dates == "iso":
            return raw
        first, _, second, year, time, _ = match.groups(default="")
        day, month = (first, second) if self.dates == "dmy" else (second, first)
        return f"{year}-{month:0>2}-{day:0>2}{time}"

    def remedy(self, field: Field, raw: object) -> str:
        """A hint at the option that reads a value which this format does not; empty if there is none."""
        if not isinstance(raw, str):
            return ""
        if isinstance(field, DateTime) and self.dates == "iso" and _DATE.fullmatch(raw.strip()):
            return "; --dates dmy reads day/month/year, --dates mdy month/day/year"
        is_standard_number = isinstance(field, Scaled | Integer) and self.numbers == "standard"
        if is_standard_number and _DECIMAL_COMMA.fullmatch(raw.strip()):
            return "; --format european reads decimal commas"
        return ""


STANDARD_FORMAT: Final = FileFormat()
