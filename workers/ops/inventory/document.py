"""A YAML document as mappings and lists that remember where everything stands.

Reading goes on past a mistake, with a stand-in value, so that one look shows all of them. Knows
YAML and places, nothing of the inventory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from app.domain.errors import InvalidArgument

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    line: int  # from 1, as the column
    column: int
    text: str


class Problems:
    """Everything that is wrong with one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: set[Problem] = set()

    def add(self, node: Node, text: str) -> None:
        mark = node.start_mark
        self._found.add(Problem(mark.line + 1, mark.column + 1, text))

    def __bool__(self) -> bool:
        return bool(self._found)

    def texts(self) -> list[str]:
        """Without their places, from the top of the file."""
        return [problem.text for problem in sorted(self._found)]

    def lines(self) -> list[str]:
        """`file:line:column: text`, from the top of the file."""
        return [f"{self._file}:{p.line}:{p.column}: {p.text}" for p in sorted(self._found)]

    def raise_if_any(self) -> None:
        """Raises InvalidArgument with all lines, and says that they stopped everything."""
        if self._found:
            count = len(self._found)
            what = "1 mistake" if count == 1 else f"{count} mistakes"
            head = f"nothing was written, because {self._file} has {what}:"
            raise InvalidArgument("\n".join([head, *self.lines()]))


def compose(path: Path) -> Node:
    """The document's root. Raises InvalidArgument if the file cannot be read, is empty or is not
    one well-formed YAML document."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise InvalidArgument(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise InvalidArgument(f"{path}: is not UTF-8 text: {exc.reason}") from exc
    return compose_text(text, str(path))


def compose_text(text: str, path: str) -> Node:
    """The same of a document that is called `path` in errors."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise InvalidArgument(f"{path}{place}: is not valid YAML: {exc.problem}") from exc
    except yaml.YAMLError as exc:
        raise InvalidArgument(f"{path}: is not valid YAML: {exc}") from exc
    if root is None:
        raise InvalidArgument(
            f"{path}:1:1: the document is empty; docs/inventory.md has an example"
        )
    return root


def is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and bool(node.tag == "tag:yaml.org,2002:null")


class Fields:
    """One mapping: each key is asked for once, and `finish` names those that nobody asked for.

    `broken` says that some value was wrong and a stand-in was given for it.
    """

    def __init__(self, node: Node, what: str, problems: Problems) -> None:
        self.node = node
        self.what = what
        self.problems = problems
        self.broken = False
        self._asked: list[str] = []
        self._values: dict[str, Node] = {}
        self._keys: dict[str, Node] = {}
        if not isinstance(node, MappingNode):
            self.problem(node, "must be a mapping of keys to values")
            return
        for key, value in node.value:
            name = str(key.value)
            if name in self._keys:
                self.problem(key, f"the key `{name}` stands here twice")
            self._keys[name] = key
            self._values[name] = value

    def problem(self, node: Node, text: str) -> None:
        self.broken = True
        self.problems.add(node, f"{self.what}: {text}")

    def node_of(self, key: str) -> Node | None:
        """The key's value; None if it is absent or null."""
        if key not in self._asked:
            self._asked.append(key)
        node = self._values.get(key)
        return None if node is None or is_null(node) else node

    def place_of(self, key: str) -> Node:
        """Where to point for a remark about the key: its value, else the mapping."""
        return self._values.get(key, self.node)

    def required(self, key: str, parse: Callable[[str], T], stand_in: T) -> T:
        node = self.node_of(key)
        if node is None:
            if isinstance(self.node, MappingNode):
                self.problem(self.place_of(key), f"`{key}` is missing")
            return stand_in
        return self._parsed(key, node, parse, stand_in)

    def optional(self, key: str, parse: Callable[[str], T], default: D) -> T | D:
        node = self.node_of(key)
        return default if node is None else self._parsed(key, node, parse, default)

    def items(self, key: str) -> list[Node]:
        """The nodes of a list; none if it is absent."""
        node = self.node_of(key)
        if node is None:
            return []
        if not isinstance(node, SequenceNode):
            self.problem(node, f"`{key}` must be a list")
            return []
        return list(node.value)

    def texts(self, key: str, parse: Callable[[str], T]) -> Iterator[tuple[Node, T]]:
        """The scalars of a list with their places; wrong ones are left out."""
        for node in self.items(key):
            value = self._parsed(key, node, parse, None)
            if value is not None:
                yield node, value

    def finish(self) -> None:
        for key, node in self._keys.items():
            if key not in self._asked:
                self.problem(
                    node, f"the key `{key}` is unknown; valid are {', '.join(sorted(self._asked))}"
                )

    def _parsed(self, key: str, node: Node, parse: Callable[[str], T], stand_in: D) -> T | D:
        if not isinstance(node, ScalarNode) or is_null(node):
            self.problem(node, f"`{key}` must be a single value")
            return stand_in
        try:
            return parse(node.value)
        except ValueError as exc:
            self.problem(node, f"`{key}` is '{node.value}': {exc}")
            return stand_in
