"""`vmclone access-key`: keys that programs sign their requests with."""

from typing import Annotated

import typer

from app.cli.operators import on_database, show_one, show_rows

access_keys = typer.Typer(
    help="Access keys, on the database and with this machine's key file.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@access_keys.command()
def create(
    account: Annotated[str, typer.Argument(help="A name or a uuid.")] = "admin",
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown this once."""
    from app.settings import Settings
    from app.store import access_keys as keys
    from app.store.account_edits import find_account
    from app.zstack.members import MAX_DESCRIPTION, Members

    members = Members({"description": description}, "access-key create")
    key_file = keys.open_key_file(Settings().key_file)
    made = on_database(
        lambda c: keys.create(
            c,
            key_file,
            account_uuid=find_account(c, account).uuid,
            description=members.optional_text("description", MAX_DESCRIPTION),
        )
    )
    row = {
        "uuid": made.row.uuid,
        "accountUuid": made.row.account_uuid,
        "accessKeyId": made.row.access_key_id,
        "accessKeySecret": made.secret,
    }
    text = f"access key id      {made.row.access_key_id}\naccess key secret  {made.secret}"
    show_one(row, as_json=as_json, text=text)


@access_keys.command("list")
def list_all(as_json: Json = False) -> None:
    """List them, without their secrets."""
    from app.store.access_keys import list_keys

    rows = on_database(lambda c: [dict(row._mapping) for row in list_keys(c)])
    show_rows(rows, as_json=as_json)


@access_keys.command()
def delete(key: Annotated[str, typer.Argument(help="Its access key id or uuid.")]) -> None:
    """Nothing signed with it is accepted any more."""
    from app.store.access_keys import delete as delete_key

    on_database(lambda c: delete_key(c, key))
