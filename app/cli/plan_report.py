"""What `--dry-run` found: the clones as they would be made now."""

from rich.console import Console
from rich.filesize import decimal

from app.cli.client import Json
from app.cli.tables import show_table
from app.cli.words import grouped, reason


def show_plan(shown: Console, plan: Json) -> None:
    """Nothing of it is reserved."""
    fitting = [item for item in plan["items"] if not item["error"]]
    rows = [
        (
            item["name"],
            item["hostName"] or "",
            ", ".join(item["ips"]),
            item["method"] or "",
            _bytes(item["bytesTotal"]),
        )
        for item in fitting
    ]
    if rows:
        show_table(shown, ("name", "host", "ip", "method", "bytes"), rows, right=("bytes",))
    total = f", {decimal(plan['bytesTotal'])} to copy" if plan["bytesTotal"] else ""
    shown.print(f"{len(fitting):,} of {plan['total']:,} fit{total}")
    short = [(reason(i["error"], i["name"]), i["name"]) for i in plan["items"] if i["error"]]
    for line in grouped(short):
        shown.print(f"  not: {line}", style="red", soft_wrap=True)
    if plan["error"]:
        shown.print(f"refused: {reason(plan['error'])}", style="red", soft_wrap=True)
    for each in (*plan["ignored"], *plan["notes"]):
        shown.print(f"note: {each}", style="yellow", soft_wrap=True)
    shown.print("nothing is made or reserved; addresses are the likely ones")


def _bytes(count: int | None) -> str:
    return "" if count is None else decimal(count)
