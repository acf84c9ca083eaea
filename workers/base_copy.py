"""What a base set is made of: the copies of its volumes, of one moment, and its domain."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from app.domain.errors import SourceVolumeBusy
from app.domain.plan import BaseFile, SourceVolume
from app.store.made_bases import MadeBase, MadeDomain, Signature
from workers.context import WorkerContext
from workers.hypervisors.base import Prepared, SourceLook
from workers.storage.base import CopyControl, FileSignature


def copy_all(
    volumes: Sequence[SourceVolume],
    files: Sequence[BaseFile],
    prepared: Prepared | None,
    worker: WorkerContext,
    control: CopyControl,
    next_volume: Callable[[], None],
) -> list[MadeBase]:
    made = []
    for volume, file in zip(volumes, files, strict=True):
        next_volume()
        facts = worker.storage(file.storage).make_base(volume, file, control)
        made.append(
            MadeBase(
                uuid=file.uuid,
                volume_uuid=volume.uuid,
                format=facts.format,
                virtual_size=facts.virtual_size,
                actual_size=facts.actual_size,
                signature=as_json(facts.signature),
                source_target=prepared.targets[volume.uuid] if prepared else None,
            )
        )
    return made


def made_domain(prepared: Prepared | None, look: SourceLook) -> MadeDomain:
    if prepared is None:
        return MadeDomain()
    return MadeDomain(
        **asdict(prepared.template), digest=look.digest, notes=prepared.notes, needs=prepared.needs
    )


def check_one_moment(
    volumes: Sequence[SourceVolume], made: Sequence[MadeBase], worker: WorkerContext
) -> None:
    """After the last copy every volume still looks as when the first one began, so the set is of
    one moment. Raises SourceVolumeBusy otherwise."""
    for volume, base in zip(volumes, made, strict=True):
        if as_json(worker.storage(volume.storage).signature(volume)) != base.signature:
            raise SourceVolumeBusy(
                f"volume[uuid:{volume.uuid}, path:{volume.path}] changed while the source's "
                "volumes were copied; it is tried again"
            )


def as_json(signature: Sequence[FileSignature]) -> Signature:
    return [asdict(file) for file in signature]
