"""What people's verbs share: a signed-in client, Ctrl-C, exit statuses, JSON."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from app.cli.failures import ApiError, NoAnswer

if TYPE_CHECKING:
    from rich.console import Console

    from app.cli.client import Client, Server

T = TypeVar("T")
Json = dict[str, Any]

ALL, NONE, SOME, INTERRUPTED = 0, 1, 3, 130

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Of `vmclone login`; default: VMCLONE_URL, VMCLONE_PROFILE, or this machine's own.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API gives it.")]


def on_server(profile: str | None, work: "Callable[[Client], Awaitable[T]]") -> T:
    """What `work` answers, signed in. Raises ApiError that ends with the way out,
    ConfigurationError, and typer.Exit after Ctrl-C."""
    from app.cli.servers import choose_server
    from app.settings import Settings

    server = choose_server(profile, Settings())
    try:
        return asyncio.run(_signed_in(server, work))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


async def _signed_in(server: "Server", work: "Callable[[Client], Awaitable[T]]") -> T:
    from app.cli.client import Client

    async with Client(server) as client:
        try:
            if server.session is None:
                await client.log_in()
            return await work(client)
        except NoAnswer as exc:
            raise NoAnswer(_with(str(exc), server.if_away)) from exc
        except ApiError as exc:
            if exc.status != HTTPStatus.UNAUTHORIZED and "password" not in str(exc):
                raise
            raise ApiError(_with(str(exc), server.if_refused)) from exc


def _with(text: str, way_out: str) -> str:
    return f"{text}; {way_out}" if way_out else text


def console(*, errors: bool = False) -> "Console":
    """On stdout, or on stderr. Nothing that a server says is taken for markup."""
    from rich.console import Console

    return Console(stderr=errors, emoji=False, markup=False, highlight=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Beside what was asked for."""
    print(text, file=sys.stderr)


def status_of(job: Json) -> int:
    """A finished job's exit status: all, some or none of its names."""
    done, total = job["succeeded"], job["total"]
    if total and done == total:
        return ALL
    return SOME if done else NONE
