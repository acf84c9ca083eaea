"""`vmclone account`: who may use this vmclone, and how much of it."""

import sys
from typing import Annotated, Any

import typer

from app.cli.operators import on_database, show_one, show_rows

DEFAULT_WORD = "default"

accounts = typer.Typer(help="Accounts and their quotas, on the database.", no_args_is_help=True)

Given = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A name or a uuid.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password's line from standard input.")
]
Password = Annotated[
    str | None,
    typer.Option("--password", help="In clear, where this machine's process list shows it."),
]


@accounts.command()
def create(
    name: Annotated[str, typer.Argument(help="What it signs in with.")],
    password_stdin: FromStdin = False,
    password: Password = None,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator.")] = False,
    description: Annotated[str | None, typer.Option(help="Shown in its inventory.")] = None,
    as_json: Json = False,
) -> None:
    """Make an account."""
    from app.store.account_edits import create_account
    from app.store.accounts import hash_password, sha512
    from app.store.models import AccountType
    from app.zstack.members import MAX_DESCRIPTION, Members

    members = Members({"name": name, "description": description}, "account create")
    hashed = hash_password(sha512(_password(password, from_stdin=password_stdin)))
    row = on_database(
        lambda c: create_account(
            c,
            name=members.text("name"),
            password_hash=hashed,
            kind=AccountType.SYSTEM_ADMIN if admin else AccountType.NORMAL,
            description=members.optional_text("description", MAX_DESCRIPTION),
        )
    )
    made = {"uuid": row.uuid, "name": row.name, "type": str(row.type)}
    show_one(made, as_json=as_json, text=f"account {row.name} has the uuid {row.uuid}")


@accounts.command("list")
def list_all(as_json: Json = False) -> None:
    """List them."""
    from app.store.account_edits import list_accounts

    rows = on_database(lambda c: [dict(row._mapping) for row in list_accounts(c)])
    show_rows(rows, as_json=as_json)


@accounts.command()
def password(account: Given, password_stdin: FromStdin = False, password: Password = None) -> None:
    """Give it a new password; its sessions end."""
    from app.store.account_edits import find_account, update_account
    from app.store.accounts import hash_password, sha512

    uuid = on_database(lambda c: str(find_account(c, account).uuid))
    hashed = hash_password(sha512(_password(password, from_stdin=password_stdin)))
    on_database(lambda c: update_account(c, uuid, password_hash=hashed))


@accounts.command()
def delete(account: Given) -> None:
    """Delete it, unless it owns VMs or has jobs under way."""
    from app.store.account_edits import delete_account, find_account

    on_database(lambda c: delete_account(c, find_account(c, account).uuid))


@accounts.command()
def quota(
    account: Annotated[
        str, typer.Argument(help=f"A name, a uuid, or {DEFAULT_WORD} for all without their own.")
    ],
    name: Annotated[str | None, typer.Argument(help="As vm.totalNum or volume.capacity.")] = None,
    value: Annotated[
        str | None, typer.Argument(help="A number, bytes with a unit as 2TiB, or unlimited.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show its quotas and what is used, or set one."""
    from app.domain.errors import InvalidArgument
    from app.store import quotas
    from app.store.account_edits import find_account
    from app.store.models.identity import EVERY_ACCOUNT

    def uuid_of(connection: Any) -> str:
        if account == DEFAULT_WORD:
            return EVERY_ACCOUNT
        return str(find_account(connection, account).uuid)

    if name is None:
        found = on_database(lambda c: quotas.usages(c, uuid_of(c)))
        rows = [{"name": str(u.name), "total": u.total, "used": u.used} for u in found]
        show_rows(rows, as_json=as_json)
        return
    if value is None:
        raise InvalidArgument(f"say which value the quota {name} shall have, as 50 or unlimited")
    number = _number(value)
    on_database(lambda c: quotas.put(c, uuid_of(c), name, number))


def _number(text: str) -> int:
    from app.cli.limits import number_of
    from app.store.quotas import UNLIMITED

    return UNLIMITED if text in {"unlimited", str(UNLIMITED)} else number_of(text)


def _password(given: str | None, *, from_stdin: bool) -> str:
    """Asked for where it is not given. Raises InvalidArgument."""
    from app.domain.errors import InvalidArgument

    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif given is None and sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    elif given is None:
        raise InvalidArgument("there is no terminal to ask for the password: give --password-stdin")
    if not given:
        raise InvalidArgument("the password is empty")
    return str(given)
