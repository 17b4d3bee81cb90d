"""The fields that a browser would send of a page's form."""

from __future__ import annotations

from html.parser import HTMLParser


class _FormParser(HTMLParser):
    """Collects the fields of the last form of `method` post or get that a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select: str | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = found.get("name", "")
        if tag == "form":
            self.fields = {}
        elif tag == "input" and name and (found.get("type") not in ("checkbox", "radio") or "checked" in found):
            self.fields[name] = found.get("value", "")
        elif tag == "select":
            self._select = name
            self.fields[name] = ""
        elif tag == "option" and self._select is not None and "selected" in found:
            self.fields[self._select] = found.get("value", "")
        elif tag == "textarea":
            self._textarea = name
            self.fields[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self.fields[self._textarea] += data


def fields_of(page: str) -> dict[str, str]:
    """The fields of the last form, with what the page has filled in."""
    parser = _FormParser()
    parser.feed(page)
    return parser.fields
