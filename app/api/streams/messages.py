"""Server-sent events as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

HEARTBEAT = b":\n\n"
BEGIN = b"retry: 2000\n\n"  # milliseconds until a client comes back


@dataclass(frozen=True, slots=True)
class Message:
    body: bytes  # as sent
    account_uuid: str | None = None  # who alone may read it beside administrators


@dataclass(frozen=True, slots=True)
class News:
    event: str
    data: bytes  # JSON of one line
    account_uuid: str | None = None

    def at(self, place: int) -> Message:
        """`place`: where a reader goes on that has read this far."""
        body = b"event: %b\nid: %d\ndata: %b\n\n" % (self.event.encode(), place, self.data)
        return Message(body, self.account_uuid)


def placed(news: Sequence[News], *, since: int, until: int) -> list[Message]:
    """Only the last one moves a reader's place: whoever is cut off before it gets all again."""
    return [one.at(since) for one in news[:-1]] + [one.at(until) for one in news[-1:]]
