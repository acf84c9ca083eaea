"""Words for the shell's completion, asked of the server while it is quick."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.cli.client import Client

_PATIENCE_S = 1.5
_WORDS = 100


def complete_vm(context: typer.Context, incomplete: str) -> list[str]:
    """Names of VMs that begin so."""

    async def names(client: "Client") -> list[str]:
        conditions = ["state!=Destroyed"] + ([f"name~={incomplete}%"] if incomplete else [])
        found = await client.query("vm-instances", *conditions, fields=["name"], limit=_WORDS)
        return [str(vm["name"]) for vm in found if vm["name"].startswith(incomplete)]

    return _asked(context, names)


def complete_job(context: typer.Context, incomplete: str) -> list[str]:
    """Uuids of the newest jobs that begin so."""

    async def uuids(client: "Client") -> list[str]:
        jobs = await client.jobs({}, limit=_WORDS)
        return [str(job["uuid"]) for job in jobs if job["uuid"].startswith(incomplete)]

    return _asked(context, uuids)


def _asked(
    context: typer.Context, question: "Callable[[Client], Awaitable[list[str]]]"
) -> list[str]:
    """Nothing where the server is away or nobody is signed in: a prompt is no place for errors."""
    from app.cli.people import on_server

    async def soon(client: "Client") -> list[str]:
        return await asyncio.wait_for(question(client), _PATIENCE_S)

    try:
        return on_server(context.params.get("profile"), soon)
    except Exception:
        return []
