"""Tells a process that its next outside effect is at hand.

The points find themselves: files by the interpreter's own audit events, what has none by the few
calls that make it, and each commit. Between two effects nothing outside changes, so the crash
before the next one is the crash after the last one. fsync is no point: what a process wrote
outlives the process.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

CREATES = os.O_CREAT | os.O_TMPFILE & ~os.O_DIRECTORY
EVENTS = frozenset(
    {
        "os.mkdir",
        "os.rmdir",
        "os.remove",
        "os.rename",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "os.kill",
        "subprocess.Popen",
        "fcntl.ioctl",
    }
)
QUIET = ("pwrite", "write", "copy_file_range")  # of os, without an audit event
SYS_OPENAT2 = 437


class Points:
    """Calls `reached` with the number, from 1, and a description of each, just before it."""

    def __init__(self, reached: Callable[[int, str], None]) -> None:
        self.counting = True
        self._reached = reached
        self._seen = 0

    def install(self) -> None:
        """For good: only in a process that ends soon."""
        sys.addaudithook(self._heard)
        self.watch(os, *QUIET)
        for module in [m for n, m in sys.modules.items() if n.startswith("workers.")]:
            for name, library in list(vars(module).items()):
                if isinstance(library, ctypes.CDLL):
                    setattr(module, name, _Library(library, self))
        self._watch_commits()

    def watch(self, owner: Any, *names: str) -> None:
        """These calls of a class or module are points, too."""
        for name in names:
            setattr(owner, name, self._before(name, getattr(owner, name)))

    def reach(self, what: str) -> None:
        if not self.counting:
            return
        self._seen += 1
        self.counting = False
        self._reached(self._seen, what)
        self.counting = True

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS or (event == "open" and arguments[2] & CREATES):
            self.reach(f"{event} {arguments[:2]}")

    def _before(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.reach(what)
            return call(*arguments, **named)

        return called

    def _watch_commits(self) -> None:
        commit, execute = psycopg.Connection.commit, psycopg.Cursor.execute
        points = self

        def watched_commit(connection: Any) -> None:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                points.reach("COMMIT")
            commit(connection)

        def watched_execute(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
            said = str(query).split()
            if cursor.connection.autocommit and said[0] != "SELECT":
                points.reach(" ".join(said[:4]))
            return execute(cursor, query, *arguments, **named)

        psycopg.Connection.commit = watched_commit  # type: ignore[method-assign,assignment]
        psycopg.Cursor.execute = watched_execute  # type: ignore[method-assign,assignment]


class _Library:
    """A C library whose calls that change files are points."""

    def __init__(self, library: ctypes.CDLL, points: Points) -> None:
        self._library = library
        self._points = points

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._library, name)

        def called(*arguments: Any) -> Any:
            if name != "syscall":
                self._points.reach(name)
            elif arguments[0] == SYS_OPENAT2 and arguments[3]._obj.flags & CREATES:
                self._points.reach(f"openat2 {arguments[2]!r}")
            return call(*arguments)

        return called
