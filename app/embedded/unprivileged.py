"""PostgreSQL refuses to run as root. As root its processes become another user here: in a user
namespace where that is allowed, which needs no other user and no chown; else as `nobody`, who then
owns the server's own folders below VMCLONE_HOME. Nothing outside is changed."""

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.endpoints import ConfigurationError

CLONE_NEWUSER = 0x10000000
INNER_ID = 1000

_libc = ctypes.CDLL(None, use_errno=True)


def lower_privileges(folder: Path, *, binary: Path) -> Callable[[], None] | None:
    """What a forked child must call before it runs the server; None where nothing is needed.

    Raises ConfigurationError where this user cannot become another one.
    """
    if os.geteuid() != 0:
        return None
    if _user_namespaces_work():
        return enter_user_namespace
    return _as_nobody(folder, binary)


def enter_user_namespace() -> None:
    """Root outside, an ordinary user inside. Source: user_namespaces(7)."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{INNER_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{INNER_ID} {gid} 1")


def _user_namespaces_work() -> bool:
    probe = (
        "from app.embedded.unprivileged import enter_user_namespace as enter; enter(); "
        "import os; raise SystemExit(os.geteuid() == 0)"
    )
    return (
        subprocess.run(
            [sys.executable, "-c", probe],
            check=False,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        ).returncode
        == 0
    )


def _as_nobody(folder: Path, binary: Path) -> Callable[[], None]:
    nobody = pwd.getpwnam("nobody")

    def become() -> None:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    for entry in [folder, *folder.rglob("*")]:
        os.chown(entry, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    reachable = subprocess.run(
        [str(binary), "--version"], check=False, capture_output=True, preexec_fn=become
    )
    inside = subprocess.run(
        ["/bin/sh", "-c", 'test -w "$0"', str(folder)], check=False, preexec_fn=become
    )
    if reachable.returncode or inside.returncode:
        raise ConfigurationError(
            "the embedded PostgreSQL cannot run as root here: user namespaces are forbidden and "
            f"the user nobody cannot reach {binary} and {folder}. Run vmclone as an ordinary "
            "user, or set VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL to servers of your own"
        )
    return become
