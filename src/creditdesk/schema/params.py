"""Declared parameters of bodies and queries: parsed by their fields, with all errors in declared order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from creditdesk.schema.conversions import ParseError
from creditdesk.schema.errors import FieldError, ValidationError, missing_field
from creditdesk.schema.fields import Field, Text


@dataclass(frozen=True, slots=True)
class Param:
    """One named value.

    `choices`, when given, are the only texts allowed, in any case; the parsed value is in lower
    case. `description` is shown in the OpenAPI document.
    """

    name: str
    field: Field = field(default_factory=Text)
    required: bool = False
    choices: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ParamList:
    """A list of 1 to `max_items` objects, each with these parameters.

    `check` adds the errors that concern several parameters of one object. With `errors_by_item` each object keeps its
    own errors, named without its position, because the request is answered item by item.
    """

    name: str
    params: tuple[Param, ...]
    max_items: int = 100
    check: Callable[[Params], None] | None = None
    errors_by_item: bool = False
    required: ClassVar[bool] = True


class Params:
    """The parsed values of declared parameters.

    Names match regardless of case; undeclared names are ignored. A parameter that is left out,
    null or empty text has its field's default value. Errors are collected; call `raise_errors`
    before using the values.
    """

    def __init__(
        self,
        declared: Sequence[Param | ParamList],
        raw: Mapping[str, Any],
        prefix: str = "",
    ) -> None:
        self._prefix = prefix
        self._raw = {name.lower(): value for name, value in raw.items()}
        self._values: dict[str, Any] = {}
        self._lists: dict[str, list[Params]] = {}
        self._answered_by_item = {p.name for p in declared if isinstance(p, ParamList) and p.errors_by_item}
        self._errors: dict[str, list[FieldError]] = {param.name: [] for param in declared}
        for param in declared:
            if isinstance(param, ParamList):
                self._lists[param.name] = self._parse_list(param)
            else:
                self._values[param.name] = self._parse(param)

    def __getitem__(self, param: Param) -> Any:
        """The parsed value of a declared parameter."""
        return self._values[param.name]

    def items(self, params: ParamList) -> list[Params]:
        """The objects of a declared list."""
        return self._lists[params.name]

    @property
    def errors(self) -> list[FieldError]:
        """Every error, in declared order; those of a list's objects stand at the list's place."""
        found: list[FieldError] = []
        for name, errors in self._errors.items():
            found += errors
            if name not in self._answered_by_item:
                for item in self._lists.get(name, ()):
                    found += item.errors
        return found

    @property
    def raw(self) -> Mapping[str, Any]:
        """The values as they were sent, by name in lower case."""
        return self._raw

    def add_error(self, param: Param | ParamList, message: str) -> None:
        """Records an error of one parameter, with the value that was sent."""
        sent = self._raw.get(param.name.lower()) if isinstance(param, Param) else None
        self._errors[param.name].append(FieldError(self._prefix + param.name, message, sent))

    def raise_errors(self) -> None:
        """Raises ValidationError when there are errors."""
        if errors := self.errors:
            raise ValidationError(*errors)

    def _parse(self, param: Param) -> Any:
        raw = self._raw.get(param.name.lower())
        if raw is None or raw == "":
            if param.required:
                self._errors[param.name].append(missing_field(self._prefix + param.name))
            return param.field.default_value
        try:
            value = param.field.parse(raw)
        except ParseError as error:
            self.add_error(param, str(error))
            return None
        if not param.choices:
            return value
        if value.lower() not in param.choices:
            self.add_error(param, "must be one of " + ", ".join(param.choices))
            return None
        return value.lower()

    def _parse_list(self, params: ParamList) -> list[Params]:
        raw = self._raw.get(params.name.lower())
        if not isinstance(raw, list) or not raw or not all(isinstance(x, Mapping) for x in raw):
            self.add_error(params, "must be a list of objects")
            return []
        if len(raw) > params.max_items:
            self.add_error(params, f"must name at most {params.max_items}")
            return []
        prefix = "" if params.errors_by_item else f"{self._prefix}{params.name}[{{}}]."
        items = [Params(params.params, item, prefix.format(index)) for index, item in enumerate(raw)]
        if params.check is not None:
            for item in items:
                params.check(item)
        return items
