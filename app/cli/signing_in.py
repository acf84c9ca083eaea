"""`vmclone login` and `logout`: a server and a session, kept for later commands."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from app.cli.failures import ApiError

if TYPE_CHECKING:
    from app.cli.client import Server

ProfileName = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Its name; VMCLONE_PROFILE, else default."),
]


def login(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="As http://HOST:8080; default: the profile's."),
    ] = None,
    profile: ProfileName = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", "-u", metavar="ACCOUNT[/USER]", help="Who; the profile's, or admin."
        ),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password's line from standard input.")
    ] = False,
) -> None:
    """Sign in to a server; later commands use it.

    The profile's file keeps the session and not the password: it ends with
    `vmclone logout`, or by itself once it was not used for two hours.
    """
    from app.cli.client import Server
    from app.cli.profiles import DEFAULT, Profile, load, profile_file, save

    name = profile or os.environ.get("VMCLONE_PROFILE") or DEFAULT
    file = profile_file(name)
    known = load(file)
    address = _checked(url or (known.url if known else None))
    who = user or (known.user if known and not url else None) or "admin"
    password = _password(f"Password of {who} on {address}", from_stdin=password_stdin)
    session = asyncio.run(_session(Server(address, who, password)))
    save(file, Profile(address, who, session))
    print(f"{who} is signed in to {address}; profile {name}, {file}")


def logout(profile: ProfileName = None) -> None:
    """End a profile's session; its URL and user are kept for the next login."""
    from app.cli.client import Client, Server
    from app.cli.profiles import DEFAULT, Profile, load, profile_file, save

    name = profile or os.environ.get("VMCLONE_PROFILE") or DEFAULT
    file = profile_file(name)
    known = load(file)
    if known is None or known.session is None:
        print(f"profile {name} is not signed in")
        return

    async def end(session: str) -> None:
        async with Client(Server(known.url, known.user, session=session)) as client:
            await client.log_out()

    save(file, Profile(known.url, known.user))
    try:
        asyncio.run(end(known.session))
    except ApiError as exc:
        raise ApiError(
            f"profile {name} has forgotten its session, which the server was not told of: {exc}"
        ) from exc
    print(f"{known.user} is signed out of {known.url}")


async def _session(server: "Server") -> str:
    """A new one, left open."""
    from app.cli.client import Client

    client = Client(server)
    try:
        return await client.log_in()
    finally:
        await client.close()


def _checked(url: str | None) -> str:
    if url is None:
        raise typer.BadParameter("name the server, as in: vmclone login http://HOST:8080")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise typer.BadParameter(f"{url} is no server's URL, as http://HOST:8080")
    return url.rstrip("/")


def _password(question: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask for the password: --password-stdin")
    return str(typer.prompt(question, hide_input=True, err=True))
