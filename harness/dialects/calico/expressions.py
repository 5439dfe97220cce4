"""Texts of selectors to expressions (semantics.md 3.4 and 9): `!` before `&&` before `||`.

Words are read as Calico reads them, down to its oddities: behind a label stands an operator, whatever follows
it, so `a in{'x'}` is a selector; elsewhere a word is a label, even if it is called `in`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.dialects.calico.selectors import (
    All,
    And,
    Comparison,
    Expression,
    Global,
    Has,
    Not,
    Operator,
    Or,
)

_ENDS = frozenset({"text", "}", ")", "has", "all", "global"})
"""Words that end an expression."""

LONGEST = 1024
"""Characters that a selector may have."""

DEEPEST = 64
"""How deep parentheses are followed; nobody writes that many."""

_BLANKS = re.compile(r"[ \t]*")
_LABEL = re.compile(r"[a-zA-Z0-9_./-]{1,512}")
_CALL = re.compile(r"(has|all|global)\([ \t]*")
_OPERATOR = re.compile(r"contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in")
_SYMBOLS = ("==", "!=", "&&", "||", "(", ")", "{", "}", ",", "!")
_TEXT = {Operator.IS, Operator.IS_NOT, Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH}
_OPERATORS = {item.replace(" ", ""): item for item in Operator}


class SelectorError(ValueError):
    """A text is no selector.

    Attributes:
        offset: Where it stops being one, in characters from its beginning.
        length: How many characters are wrong there.
        help: What to write instead; may be empty.
    """

    def __init__(self, message: str, offset: int, length: int = 1, help: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.length = max(1, length)
        self.help = help


@dataclass(frozen=True, slots=True)
class _Token:
    """A word.

    Attributes:
        kind: `label`, `text`, `has`, `all`, `global`, an operator, a symbol, or `end`.
        value: Of labels and texts, and the label of `has`.
    """

    kind: str
    value: str
    offset: int
    length: int


def parse(text: str) -> Expression:
    """Read a selector; an empty one selects everything.

    Raises:
        SelectorError: The text is no selector.
    """
    if len(text) > LONGEST:
        raise SelectorError(f"a selector has at most {LONGEST} characters, this one {len(text)}", LONGEST)
    tokens = list(_tokens(text))
    if len(tokens) == 1:
        return All()
    reader = _Reader(tokens)
    found = reader.alternatives(0)
    rest = reader.next
    if rest.kind != "end":
        raise _too_much(rest)
    return found


def _too_much(token: _Token) -> SelectorError:
    return SelectorError(f"{_named(token)} is too much here", token.offset, token.length, _joined(token))


def _joined(token: _Token) -> str:
    if token.kind == "label" and token.value.lower() in ("and", "or"):
        return f"write `{'&&' if token.value.lower() == 'and' else '||'}`"
    if token.kind in ("label", "has", "all", "global", "(", "!"):
        return "join expressions with `&&` or `||`"
    return "remove it"


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    label: _Token | None = None
    extra = complete = False
    while True:
        position = _end(_BLANKS, text, position)
        if position == len(text):
            yield _Token("end", "", position, 1)
            return
        if label is None:
            token = _word(text, position)
            extra, complete = complete, token.kind in _ENDS
        else:
            token = _behind(text, position, label, extra=extra)
        yield token
        position = token.offset + token.length
        label = token if token.kind == "label" else None


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _behind(text: str, position: int, label: _Token, *, extra: bool) -> _Token:
    """What stands behind a label: an operator, or a symbol; no word.

    Args:
        text: The whole selector.
        position: Where it begins.
        label: The label.
        extra: Whether the label stands behind a whole expression, so that nothing should follow.
    """
    found = _OPERATOR.match(text, position)
    if found is not None:
        word = _OPERATORS[re.sub(r"[ \t]", "", found[0])]
        return _Token(word, "", position, len(found[0]))
    if extra:
        raise _too_much(label)
    word_there = _LABEL.match(text, position)
    if word_there is None:
        return _word(text, position)
    raise SelectorError(
        f"`{word_there[0]}` is no operator",
        position,
        len(word_there[0]),
        "behind a label stands ==, !=, in, not in, contains, starts with or ends with",
    )


def _word(text: str, position: int) -> _Token:
    for symbol in _SYMBOLS:
        if text.startswith(symbol, position):
            return _Token(symbol, "", position, len(symbol))
    mark = text[position]
    if mark in "'\"":
        close = text.find(mark, position + 1)
        if close < 0:
            raise SelectorError(f"the quote {mark} is not closed", position)
        return _Token("text", text[position + 1 : close], position, close + 1 - position)
    if mark in "=&|":
        raise SelectorError(f"`{mark}` stands alone", position, 1, f"write `{mark}{mark}`")
    call = _CALL.match(text, position)
    if call is not None:
        return _call(text, position, call)
    label = _LABEL.match(text, position)
    if label is None:
        raise SelectorError(f"{mark!r} cannot stand here", position)
    return _Token("label", label[0], position, len(label[0]))


def _call(text: str, position: int, call: re.Match[str]) -> _Token:
    inside = call.end()
    value = ""
    if call[1] == "has":
        label = _LABEL.match(text, inside)
        if label is None:
            raise SelectorError("has() needs a label, without quotes", inside, 1, "write has(app)")
        value = label[0]
        inside = _end(_BLANKS, text, label.end())
    if not text.startswith(")", inside):
        raise SelectorError(f"`{call[1]}(` is not closed", min(inside, len(text)))
    return _Token(call[1], value, position, inside + 1 - position)


class _Reader:
    """Expressions from words."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._position]

    def _take(self) -> _Token:
        token = self.next
        self._position += token.kind != "end"
        return token

    def _took(self, kind: str) -> bool:
        found = self.next.kind == kind
        self._position += found
        return found

    def alternatives(self, depth: int) -> Expression:
        if depth > DEEPEST:
            raise SelectorError("the parentheses are nested too deeply", self.next.offset)
        found = [self._conjunction(depth)]
        while self._took("||"):
            found.append(self._conjunction(depth))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _conjunction(self, depth: int) -> Expression:
        found = [self._operation(depth)]
        while self._took("&&"):
            found.append(self._operation(depth))
        return found[0] if len(found) == 1 else And(tuple(found))

    def _operation(self, depth: int) -> Expression:
        negated = False
        while self._took("!"):
            negated = not negated
        found = self._plain(depth)
        return Not(found) if negated else found

    def _plain(self, depth: int) -> Expression:
        token = self._take()
        match token.kind:
            case "all":
                return All()
            case "global":
                return Global()
            case "has":
                return Has(token.value)
            case "label":
                return self._comparison(token)
            case "(":
                found = self.alternatives(depth + 1)
                if not self._took(")"):
                    raise SelectorError(
                        f"`)` is missing before {_named(self.next)}", self.next.offset, self.next.length
                    )
                return found
            case "text":
                raise SelectorError(
                    "an expression begins with a label, without quotes", token.offset, token.length
                )
            case _:
                raise SelectorError(
                    f"an expression is missing before {_named(token)}", token.offset, token.length
                )

    def _comparison(self, label: _Token) -> Expression:
        token = self._take()
        if token.kind not in tuple(Operator):
            raise SelectorError(
                f"behind the label {label.value} an operator is missing",
                token.offset,
                token.length,
                f"write {label.value} == 'value', or has({label.value})",
            )
        operator = Operator(token.kind)
        if operator in _TEXT:
            return Comparison(label.value, operator, (self._text(operator),))
        if not self._took("{"):
            raise SelectorError(
                f"behind `{operator}` stand texts in braces",
                self.next.offset,
                self.next.length,
                f"write {label.value} {operator} {{'one', 'two'}}",
            )
        values: list[str] = []
        while self.next.kind == "text":
            values.append(self._take().value)
            if not self._took(","):
                break
        if not self._took("}"):
            raise SelectorError(
                f"`}}` is missing before {_named(self.next)}", self.next.offset, self.next.length
            )
        return Comparison(label.value, operator, tuple(dict.fromkeys(values)))

    def _text(self, operator: Operator) -> str:
        token = self.next
        if token.kind != "text":
            raise SelectorError(
                f"behind `{operator}` stands a text in quotes",
                token.offset,
                token.length,
                f"write {operator} '{token.value}'" if token.kind == "label" else "",
            )
        return self._take().value


def _named(token: _Token) -> str:
    if token.kind == "end":
        return "the end"
    if token.kind == "label":
        return f"`{token.value}`"
    return {"text": "a text", "has": "has()", "all": "all()", "global": "global()"}.get(
        token.kind, f"`{token.kind}`"
    )
