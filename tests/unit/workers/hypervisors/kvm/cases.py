"""What the table is tried on."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A domain that has what a row is about: `xml` stands in <devices> where the row's path does,
    else in <domain>. For a row that rewrites, what the clone has instead."""

    xml: str = ""
    becomes: dict[str, list[str]] = field(default_factory=dict)  # by XPath, in the clone
    lost: str = ""  # what is the source's own, and nowhere in the clone
    attributes: str = "type='kvm'"  # of the domain itself
