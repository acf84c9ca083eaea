"""Conditions as SQL. Names are those of declared resources; what a caller gave is a parameter."""

from collections.abc import Callable, Iterable
from typing import Any

from app.domain.query import Condition, Hop, Kind, Operator, TagKind
from app.store.accounts import Caller
from app.store.queries.sources import SOURCES

_SQL_TYPE = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.MOMENT: "timestamptz",
    Kind.LIST: "text",
}
# What is asked of a list holds for one of its elements; these hold where their opposite does not.
_OPPOSITE = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_LIKE: Operator.LIKE,
    Operator.IS_NULL: Operator.NOT_NULL,
}
_SIGN = {
    Operator.EQUAL: "=",
    Operator.NOT_EQUAL: "<>",
    Operator.GREATER: ">",
    Operator.AT_LEAST: ">=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
}
_SECOND = "interval '1 second'"
# PostgreSQL looks for the best order of the first subqueries, and begins at an index of theirs.
# Among dozens it would look for minutes: further ones are asked row by row.
JOINED = 6


class Where:
    """Clauses about rows under their aliases, and the parameters that they name."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._aliases = 0
        self._subqueries = 0
        self.parameters: dict[str, Any] = {}

    def all_of(self, source: str, alias: str, conditions: Iterable[Condition]) -> str:
        """What the caller sees and asks for."""
        return " AND ".join(
            [self._visible(source, alias), *(self._one(c, alias) for c in conditions)]
        )

    def _visible(self, source: str, alias: str) -> str:
        if self._caller.is_admin and not SOURCES[source].private:
            return "TRUE"
        rule = SOURCES[source].visible(alias)
        who = {
            "account": self._caller.account_uuid,
            "user": self._caller.user_uuid or self._caller.account_uuid,
        }
        for name, uuid in who.items():
            if f":{name}" in rule:
                self.parameters[name] = uuid
                rule = rule.replace(f":{name}", f"CAST(:{name} AS text)")
        return f"({rule})"

    def _one(self, condition: Condition, alias: str) -> str:
        return self._along(condition.hops, alias, lambda end: self._at(condition, end))

    def _along(self, hops: tuple[Hop, ...], alias: str, clause_at: Callable[[str], str]) -> str:
        """That some row at the end of the hops fulfils the clause."""
        if not hops:
            return clause_at(alias)
        hop, rest = hops[0], hops[1:]
        fence = self._fence()
        self._aliases += 1
        there = f"t{self._aliases}"
        clauses = (
            f"{there}.{hop.theirs} = {alias}.{hop.own}",
            self._visible(hop.source, there),
            self._along(rest, there, clause_at),
        )
        return (
            f"EXISTS (SELECT 1 FROM {SOURCES[hop.source].rows} {there} "
            f"WHERE {' AND '.join(clauses)}{fence})"
        )

    def _fence(self) -> str:
        self._subqueries += 1
        return " OFFSET 0" if self._subqueries > JOINED else ""

    def _at(self, condition: Condition, alias: str) -> str:
        if isinstance(condition.column, TagKind):
            return self._in_list(
                condition,
                f"tags e WHERE e.resource_uuid = {alias}.uuid AND e.kind = '{condition.column}'",
                "e.tag",
            )
        column = f"{alias}.{condition.column}"
        if condition.kind is Kind.LIST:
            return self._in_list(condition, f"unnest({column}) e WHERE TRUE", "e")
        if condition.operator is Operator.IS_NULL:
            return f"{column} IS NULL"
        if condition.operator is Operator.NOT_NULL:
            return f"{column} IS NOT NULL"
        if condition.kind is Kind.MOMENT:
            return self._moment(condition, column)
        return self._plain(condition, column, condition.operator)

    def _in_list(self, condition: Condition, elements: str, element: str) -> str:
        operator = _OPPOSITE.get(condition.operator, condition.operator)
        clause = "TRUE"
        if operator is not Operator.NOT_NULL:
            clause = self._plain(condition, element, operator)
        negation = "NOT " if condition.operator in _OPPOSITE else ""
        return f"{negation}EXISTS (SELECT 1 FROM {elements} AND {clause}{self._fence()})"

    def _plain(self, condition: Condition, column: str, operator: Operator) -> str:
        if operator in {Operator.LIKE, Operator.NOT_LIKE}:
            negation = "NOT " if operator is Operator.NOT_LIKE else ""
            return f"{column}::text {negation}LIKE {self._pattern(condition.value)}"
        value = self._value(condition)
        if condition.kind in {Kind.TEXT, Kind.LIST}:
            column = f"{column}::text"  # enums have no order and no other texts
        if operator is Operator.IN:
            return f"{column} = ANY({value})"
        if operator is Operator.NOT_IN:
            return f"{column} <> ALL({value})"
        return f"{column} {_SIGN[operator]} {value}"

    def _moment(self, condition: Condition, column: str) -> str:
        """Moments are shown and compared in whole seconds; they are stored in smaller parts."""
        match condition.operator:
            case Operator.LIKE | Operator.NOT_LIKE:
                shown = f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS')"
                return self._plain(condition, shown, condition.operator)
            case Operator.IN | Operator.NOT_IN:
                second = f"date_trunc('second', {column})"
                return self._plain(condition, second, condition.operator)
        value = self._value(condition)
        match condition.operator:
            case Operator.EQUAL:
                return f"({column} >= {value} AND {column} < {value} + {_SECOND})"
            case Operator.NOT_EQUAL:
                return f"({column} < {value} OR {column} >= {value} + {_SECOND})"
            case Operator.GREATER:
                return f"{column} >= {value} + {_SECOND}"
            case Operator.AT_MOST:
                return f"{column} < {value} + {_SECOND}"
        return f"{column} {_SIGN[condition.operator]} {value}"

    def _value(self, condition: Condition) -> str:
        several = "[]" if isinstance(condition.value, list) else ""
        return f"CAST({self._parameter(condition.value)} AS {_SQL_TYPE[condition.kind]}{several})"

    def _pattern(self, pattern: str) -> str:
        """A backslash escapes what follows; one that nothing follows stands for itself."""
        backslashes = len(pattern) - len(pattern.rstrip("\\"))
        whole = pattern + "\\" * (backslashes % 2)
        return f"CAST({self._parameter(whole)} AS text)"

    def _parameter(self, value: Any) -> str:
        name = f"value_{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"
