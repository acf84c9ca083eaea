"""A clone's domain as a form filled in: what the clones of one source have in common is built once.

A form is the domain of a clone whose own values (uuids, names, paths, MACs) are marks. Filling it
in gives what `build` gives, to the byte. Where a value does not go in as it is, `build` does it.
"""

import re
import secrets
from dataclasses import dataclass, field, replace
from functools import lru_cache
from uuid import UUID
from xml.sax.saxutils import escape

from workers.hypervisors.kvm.clone_parts import CloneParts
from workers.hypervisors.kvm.domain_xml import build
from workers.hypervisors.kvm.machine_xml import printable

# Every mark is a uuid that begins so: some of the values are uuids, and go in with dashes too.
_BEGIN = secrets.token_hex(13)
_MARK = re.compile(f"({_BEGIN}[0-9a-f]{{6}}|{str(UUID(f'{_BEGIN:0<32}'))[:-6]}[0-9a-f]{{6}})")
_AS_IT_IS = re.compile(r"[\w./:@+,=~ -]*", re.ASCII)  # XML escapes nothing in it


def clone_xml(inactive_xml: str, parts: CloneParts, live_xml: str | None = None) -> str:
    """As `build`, without its notes. Raises SourceNotCloneable."""
    own = _Own()
    marked = _marked(parts, own)
    if own.fits and not any(nic.clean_traffic for nic in parts.nics):
        form = _form(inactive_xml, live_xml, marked)
        if form is not None:
            return "".join(own.values.get(piece, piece) for piece in form)
    return build(inactive_xml, parts, live_xml).xml


@lru_cache(maxsize=16)
def _form(inactive_xml: str, live_xml: str | None, marked: CloneParts) -> tuple[str, ...] | None:
    """Text and marks in turn. None where more than whole marks are in it: the start of a uuid as
    a serial number; or less: addresses, which filters tell apart by their kind."""
    if "<filterref" in f"{inactive_xml}{live_xml}":
        return None
    pieces = tuple(_MARK.split(build(inactive_xml, marked, live_xml).xml))
    return None if any(_BEGIN[:8] in text for text in pieces[::2]) else pieces


@dataclass(slots=True)
class _Own:
    """A clone's own values, by the marks that stand for them."""

    values: dict[str, str] = field(default_factory=dict)
    fits: bool = True  # they go into XML as they are

    def mark(self, value: str) -> str:
        self.fits = self.fits and _AS_IT_IS.fullmatch(value) is not None
        return self._mark(value)

    def uuid(self, value: str) -> str:
        mark = self._mark(value)
        self.values[str(UUID(mark))] = str(UUID(value))
        return mark

    def text(self, value: str) -> str:
        """Of an element, never of an attribute."""
        return self._mark(escape(printable(value)))

    def _mark(self, value: str) -> str:
        mark = f"{_BEGIN}{len(self.values):06x}"
        self.values[mark] = value
        return mark


def _marked(parts: CloneParts, own: _Own) -> CloneParts:
    """Equal for clones that differ in their own values alone."""
    return replace(
        parts,
        vm_uuid=own.uuid(parts.vm_uuid),
        title=own.text(parts.title),
        description=parts.description and own.text(parts.description),
        job_uuid=own.mark(parts.job_uuid),
        item_uuid=own.mark(parts.item_uuid),
        volumes=tuple(
            replace(volume, uuid=own.uuid(volume.uuid), path=own.mark(volume.path))
            for volume in parts.volumes
        ),
        seed=parts.seed and replace(parts.seed, path=own.mark(parts.seed.path)),
        nics=tuple(
            replace(nic, mac=own.mark(nic.mac), tap=own.mark(nic.tap), ips=()) for nic in parts.nics
        ),
        nvram_path=parts.nvram_path and own.mark(parts.nvram_path),
    )
