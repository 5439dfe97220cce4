"""Types of single fields: how pydantic checks them, and how the JSON Schema describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from harness.model.topology import Family
from harness.model.verdict import Expected
from harness.scenario.located import Items, Table, Text, kind_of
from harness.source import values
from harness.source.diagnostics import did_you_mean

LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
SCALAR = ["string", "number", "boolean"]


def wrong_type(expected: str, value: object) -> PydanticCustomError:
    """The error for a value of the wrong shape."""
    return PydanticCustomError(
        "wrong-type", "expected {expected}, found {found}", {"expected": expected, "found": kind_of(value)}
    )


def refused(error: values.BadValueError) -> PydanticCustomError:
    """A refused scalar as pydantic carries it; `help` travels in the context."""
    return PydanticCustomError(error.id, "{message}", {"message": str(error), "help": error.help})


def _text(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    raise wrong_type("a text", value)


def _reader(read: Callable[[str], Any], expected: str) -> PlainValidator:
    def check(value: Any) -> Any:
        if not isinstance(value, Text):
            raise wrong_type(expected, value)
        try:
            return read(value)
        except values.BadValueError as error:
            raise refused(error) from None

    return PlainValidator(check)


def _family(text: str) -> Family:
    try:
        return Family(text)
    except ValueError:
        raise values.BadValueError(
            "unknown-family", f'"{text}" is no IP family', did_you_mean(text, Family) or "write ipv4 or ipv6"
        ) from None


def _established(text: str) -> str:
    if text in ("keep", "cut"):
        return text
    raise values.BadValueError(
        "unknown-word", f'"{text}" is neither `keep` nor `cut`', did_you_mean(text, ("keep", "cut"))
    )


VERDICTS = tuple(item.value for item in Expected if item is not Expected.ORACLE)


def _verdict(text: str, *, oracle: bool) -> Expected:
    known = (*VERDICTS, "oracle") if oracle else VERDICTS
    if text in known:
        return Expected(text)
    if text == "oracle":
        raise values.BadValueError(
            "unknown-verdict",
            "`oracle` is for `all:` only",
            "write `- all: oracle`, or a verdict",
        )
    raise values.BadValueError(
        "unknown-verdict",
        f'"{text}" is no verdict',
        did_you_mean(text, known) or f"verdicts are {', '.join(known)}",
    )


def _manifest_or_path(value: Any) -> Text | Table:
    if isinstance(value, Text | Table):
        return value
    raise wrong_type("a path or a manifest", value)


class Several:
    """Marks a list that may also be written as a single value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The list's own check, after a single value has become a list."""
        return core_schema.no_info_before_validator_function(self._listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Either form."""
        listed = handler(schema)
        return {"anyOf": [listed.get("items", {}), listed]}

    @staticmethod
    def _listed(value: Any) -> Any:
        return value if isinstance(value, Items) or value is None else Items([value])


class Present:
    """Marks a mapping whose value may be left empty: `key:` with nothing behind it stands for `{}`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The mapping's own check, after nothing has become an empty mapping."""
        return core_schema.no_info_before_validator_function(self._filled, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The mapping or null."""
        return {"anyOf": [handler(schema), {"type": "null"}]}

    @staticmethod
    def _filled(value: Any) -> Any:
        return {} if value is None else value


AnyText = Annotated[Text, PlainValidator(_text), WithJsonSchema({"type": SCALAR})]
"""Any scalar, as written."""

Words = Annotated[Text, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Name = Annotated[
    Text, PlainValidator(_text), WithJsonSchema({"type": "string", "pattern": LABEL, "maxLength": 63})
]
PodName = Annotated[
    Text,
    PlainValidator(_text),
    WithJsonSchema({"type": "string", "description": "`namespace/name`, or a name that is unique."}),
]
Flag = Annotated[bool, _reader(values.boolean, "true or false"), WithJsonSchema({"type": "boolean"})]
Count = Annotated[
    int,
    _reader(lambda text: values.integer(text, 1, 1000), "a number"),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1000}),
]
Duration = Annotated[
    float,
    _reader(values.duration, "a duration such as 500ms"),
    WithJsonSchema({"type": "string", "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?(ms|s|m)$"}),
]
FamilyName = Annotated[
    Family, _reader(_family, "ipv4 or ipv6"), WithJsonSchema({"type": "string", "enum": ["ipv4", "ipv6"]})
]
Established = Annotated[
    str,
    _reader(_established, "keep or cut"),
    WithJsonSchema({"type": "string", "enum": ["keep", "cut"]}),
]
Verdict = Annotated[
    Expected,
    _reader(lambda text: _verdict(text, oracle=False), "a verdict"),
    WithJsonSchema({"type": "string", "enum": list(VERDICTS)}),
]
VerdictOrOracle = Annotated[
    Expected,
    _reader(lambda text: _verdict(text, oracle=True), "a verdict or `oracle`"),
    WithJsonSchema({"type": "string", "enum": [*VERDICTS, "oracle"]}),
]
Port = Annotated[
    Text,
    PlainValidator(_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "description": "A number, a port's name, or either with `/PROTOCOL`."},
            ]
        }
    ),
]
Manifest = Annotated[
    Text | Table,
    PlainValidator(_manifest_or_path),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "description": "A file, a directory or a glob, relative to this file."},
                {"type": "object", "required": ["apiVersion", "kind"], "description": "A policy manifest."},
            ]
        }
    ),
]
