"""What may stand behind the `?` of our own surface's addresses: one model each, which checks it and
describes it in the OpenAPI document."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from app.domain.states import ItemState, JobOutcome, JobState
from app.store.job_views import Place
from app.zstack.forms import BadRequest

MAX_JOBS = 200
MAX_ITEMS = 1000
MOST_DIGITS = 18  # of a place in a stream

A = TypeVar("A", bound="Asked")


def _text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


def _flag(value: Any) -> Any:
    if value not in {"true", "false", True, False}:
        raise ValueError("must be true or false")
    return value


def _moment(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


Flag = Annotated[bool, BeforeValidator(_flag)]
Moment = Annotated[AwareDatetime, AfterValidator(_moment)]
Text = Annotated[str, AfterValidator(_text), Field(max_length=255)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, request: web.Request) -> Self:
        """Raises BadRequest that names the parameter."""
        try:
            return cls.model_validate(dict(request.query))
        except ValidationError as error:
            raise BadRequest(_words(cls, error.errors()[0])) from None


class JobsAsked(Asked):
    state: JobState | None = Field(None, description="only jobs in this state")
    outcome: JobOutcome | None = Field(None, description="only jobs that ended so")
    vmInstanceUuid: Text | None = Field(None, description="only clones of this VM")  # noqa: N815
    account: Text | None = Field(None, description="only this account's, by its name")
    createdAfter: Moment | None = Field(None, description="accepted after")  # noqa: N815
    createdBefore: Moment | None = Field(None, description="accepted before")  # noqa: N815
    limit: int = Field(50, ge=1, le=MAX_JOBS, description="how many on a page")
    cursor: Text | None = Field(None, description="of the following page: take it from `next`")

    @property
    def place(self) -> Place | None:
        return None if self.cursor is None else _place(self.cursor)


class ItemsAsked(Asked):
    state: ItemState | None = Field(None, description="only names in this state")
    after: int = Field(-1, ge=-1, lt=2**31, description="from the ordinal after this one")
    limit: int = Field(100, ge=1, le=MAX_ITEMS, description="how many on a page")


class RemovalAsked(Asked):
    expunge: Flag = Field(False, description="nothing is left, instead of kept for a week")


class SubmissionAsked(Asked):
    dryRun: Flag = Field(False, description="the plan alone; nothing is reserved")  # noqa: N815


class EventsAsked(Asked):
    lastEventId: int | None = Field(  # noqa: N815
        None, ge=0, lt=10**MOST_DIGITS, description="where the reader was, instead of Last-Event-ID"
    )


def cursor_of(place: Place) -> str:
    """For an address: when the page's last job was accepted, in microseconds, and its uuid."""
    since = place.created_at - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{since.days * 86400 * 10**6 + since.seconds * 10**6 + since.microseconds}-{place.uuid}"


def _place(cursor: str) -> Place:
    moment, _, uuid = cursor.partition("-")
    try:
        seconds, micros = divmod(int(moment), 10**6)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"[cursor] must be one that a page's `next` gave, but was [{cursor[:50]}]"
        ) from None
    return Place(at, uuid)


def _words(model: type[Asked], error: Any) -> str:
    field, shown = ".".join(map(str, error["loc"])), str(error["input"])[:50]
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(model.model_fields) or "none"
            return f"unknown query field[{field[:50]}]; there are: {known}"
        case "enum":
            allowed = model.model_fields[field].annotation
            values = [value for part in _parts(allowed) for value in part]
            return f"[{field}] is one of {', '.join(values)}, but was [{shown}]"
        case "int_parsing" | "int_parsing_size":
            return f"[{field}] must be an integer, but was [{shown}]"
        case _:
            said = error["msg"].removeprefix("Value error, ")
            return f"[{field}] {said[:1].lower()}{said[1:]}, but was [{shown}]"


def _parts(annotation: Any) -> list[Any]:
    return [part for part in annotation.__args__ if part is not type(None)]
