"""What all names of one job share, once the request was judged against the inventory."""

from dataclasses import dataclass

from app.domain.plan import CloneMethod, CloneStrategy, VolumeType


@dataclass(frozen=True, slots=True)
class VolumeWish:
    """What was asked for the root volume, or for every data volume."""

    method: CloneMethod = CloneMethod.AUTO
    storage_uuid: str | None = None  # None: the source volume's own
    system_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CloneSpec:
    strategy: CloneStrategy = CloneStrategy.INSTANT_START
    with_data_volumes: bool = False  # ZStack's `full`
    root: VolumeWish = VolumeWish()
    data: VolumeWish = VolumeWish()
    cluster_uuid: str | None = None
    host_uuid: str | None = None
    description: str | None = None  # None: the source's
    static_ips: tuple[tuple[str, str], ...] = ()  # (L3 network, address)
    # Per CD-ROM drive the ISO's image uuid or None for an empty one; None: as the source.
    cdroms: tuple[str | None, ...] | None = None
    system_tags: tuple[str, ...] = ()
    user_tags: tuple[str, ...] = ()

    def wish(self, volume_type: VolumeType) -> VolumeWish:
        return self.root if volume_type is VolumeType.ROOT else self.data
