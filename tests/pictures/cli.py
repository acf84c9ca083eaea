"""docs/pictures/cli.svg: the live display of a real job, which is then canceled.

    python -m tests.pictures.cli SOURCE 'web-{001..100}' --at 40

On the server that people's verbs would use. The drawing names no font but what is there, and asks
no other host for one.
"""

import argparse
import asyncio
import re
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from app.cli import lookups
from app.cli.client import Client, Json
from app.cli.clone_body import names_of
from app.cli.following import Look, follow
from app.cli.progress import Told, picture
from app.cli.servers import choose_server
from app.settings import Settings

FILE = Path(__file__).parents[2] / "docs" / "pictures" / "cli.svg"
FONTS = "ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace"
_WIDTH, _HEIGHT = 92, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("pattern")
    parser.add_argument("--at", type=int, default=40, help="names that have ended")
    given = parser.parse_args()
    asyncio.run(_draw(given.source, given.pattern, given.at))


async def _draw(source: str, pattern: str, at: int) -> None:
    console = Console(
        record=True, force_terminal=True, width=_WIDTH, highlight=False, color_system="truecolor"
    )
    command = f"vmclone clone {source} '{pattern}' --mode full --wait"
    server = choose_server(None, Settings())
    async with Client(server) as client:
        if server.session is None:
            await client.log_in()
        vm = await lookups.uuid_of(client, lookups.VM, source)
        names = names_of([pattern])
        job = await client.submit({"vmInstanceUuid": vm, "names": names, "mode": "full"}, {})
        console.print(Text.assemble(("$ ", "green"), command))
        console.print(
            f"job {job['uuid']}: {source} to {len(names)} names, {names[0]} to {names[-1]}"
        )
        look = await _moment(client, job, console, at)
        console.print(picture(look, _HEIGHT))
        await client.control(str(job["uuid"]), "cancel")
    FILE.write_text(with_local_fonts(console.export_svg(title="vmclone", theme=DIMMED_MONOKAI)))


async def _moment(client: Client, job: Json, console: Console, at: int) -> Look:
    """The look once so many names have ended; those that failed before are told as to people."""
    told = Told()
    async for look in follow(client, str(job["uuid"]), print):
        for style, line in told.lines(look):
            text = Text(line, style=style)
            text.truncate(_WIDTH, overflow="ellipsis")
            console.print(text)
        ended = look.job["succeeded"] + look.job["failed"]
        if ended >= at and len(look.open) > 2:
            return look
    raise SystemExit(f"job {job['uuid']} had ended before {at} names had")


def with_local_fonts(svg: str) -> str:
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", FONTS).replace("arial", FONTS)


if __name__ == "__main__":
    main()
