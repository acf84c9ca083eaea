"""Every row of docs/performance.md in one run: `make bench-check`.

Its last line counts those that hold; the status is 1 where one does not.
"""

import sys
from collections.abc import Iterator

from tests.bench import control_plane, front_door
from tests.bench.rows import Row


def rows() -> Iterator[Row]:
    yield from control_plane.rows()
    yield from front_door.measure()
    # Last, because it needs root, libvirt and its binding.
    from tests.bench import kvm_host

    yield from kvm_host.measure()


def main() -> None:
    held = []
    for row in rows():
        print(row, flush=True)
        held.append(row.holds)
    print(f"section 9: {sum(held)} of {len(held)} rows hold")
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
