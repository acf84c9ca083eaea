"""One verb for many jobs: what is refused of one is no reason to leave out the others."""

from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus

from app.cli.client import Client, Json
from app.cli.failures import ApiError, NoAnswer
from app.cli.lookups import find_job
from app.cli.people import note


async def control_each(client: Client, jobs: Sequence[str], verb: str) -> AsyncGenerator[Json]:
    """Those that were not refused, as they are then; a refusal is a line on stderr. Raises ApiError
    where the next would fare no better: nobody answers, or nobody is signed in."""
    for job in jobs:
        try:
            yield await client.control(await find_job(client, job), verb)
        except ApiError as exc:
            if isinstance(exc, NoAnswer) or exc.status == HTTPStatus.UNAUTHORIZED:
                raise
            note(f"vmclone: {exc}")
