"""Which tests run one after another in one process, where pytest-xdist runs several."""

from xdist.scheduler import LoadFileScheduling

SHARED = "tests/kvm/"  # each folder below has a host of its own, which takes long to start


class SharedHostScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Those of a file do, and those of a folder whose files share a host."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        folder, _, name = file.removeprefix(SHARED).partition("/")
        return SHARED + folder if file.startswith(SHARED) and name else file
