"""The options of `vmclone clone`."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.completion import complete_vm
from app.domain.plan import CloneMethod, CloneStrategy

_GUEST, _PLACE, _JOB, _VOLUMES = "The guests", "Where", "The job", "The volumes"

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="The VM to clone: a name or a uuid.", autocompletion=complete_vm
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="Quoted, 'web-{001..100}' is a hundred names."),
]
Full = Annotated[
    bool,
    typer.Option("--full", help="With the data volumes.", rich_help_panel=_VOLUMES),
]
Mode = Annotated[
    CloneMethod | None,
    typer.Option(help="How volumes are made.", rich_help_panel=_VOLUMES),
]
Volume = Annotated[
    list[str] | None,
    typer.Option(
        metavar="UUID[,mode=…][,storage=…][,include=false]",
        help="One volume of the source otherwise than the rest; repeatable.",
        rich_help_panel=_VOLUMES,
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(help="Of the root volumes: a name or uuid.", rich_help_panel=_VOLUMES),
]
DataStorage = Annotated[
    str | None, typer.Option(help="Of the data volumes.", rich_help_panel=_VOLUMES)
]
Host = Annotated[str | None, typer.Option(help="A name or uuid.", rich_help_panel=_PLACE)]
Cluster = Annotated[str | None, typer.Option(help="A name or uuid.", rich_help_panel=_PLACE)]
Nic = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NETWORK[,ip=…][,mac=…][,default]…",
        help="Instead of the source's NICs; repeatable. ip and mac are the first name's, each "
        "further name gets the next one.",
        rich_help_panel=_PLACE,
    ),
]
Strategy = Annotated[
    CloneStrategy | None,
    typer.Option(help="Started, made only, or a record only.", rich_help_panel=_GUEST),
]
Hostname = Annotated[
    str | None,
    typer.Option(help="With one name; else each is called as its VM.", rich_help_panel=_GUEST),
]
Sshkey = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Public keys that may log in as root; repeatable.",
        rich_help_panel=_GUEST,
    ),
]
UserData = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="For cloud-init.",
        rich_help_panel=_GUEST,
    ),
]
Description = Annotated[str | None, typer.Option(help="Of the clones.", rich_help_panel=_GUEST)]
Tag = Annotated[
    list[str] | None,
    typer.Option(help="A user tag; repeatable.", rich_help_panel=_GUEST),
]
SystemTag = Annotated[
    list[str] | None,
    typer.Option(help="One of ZStack's; repeatable.", rich_help_panel=_GUEST),
]
ResetTpm = Annotated[
    bool, typer.Option("--reset-tpm", help="With an empty TPM.", rich_help_panel=_GUEST)
]
Priority = Annotated[
    int | None,
    typer.Option(min=0, max=9, help="0 last, 9 first; 5.", rich_help_panel=_JOB),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        metavar="[keep|allOrNothing]",
        help="What a failed name does to the others.",
        rich_help_panel=_JOB,
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Nothing more begins once more names than that failed.",
        rich_help_panel=_JOB,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="As 90s, 30min, 2h; 12h.", rich_help_panel=_JOB),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The same request under it again is the same job, for a day.",
        rich_help_panel=_JOB,
    ),
]
WebHook = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Called at the end.", rich_help_panel=_JOB),
]
Request = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="JSON with any other member of the API's request.",
        rich_help_panel=_JOB,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", "--watch", "-w", help="Show it until its end.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be made, and make nothing.")
]
