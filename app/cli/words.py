"""Jobs and items in a few words of plain text."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

Json = dict[str, Any]

_SHOWN_NAMES = 5
_STEPS = {
    "stop_vm": "stop",
    "allocate_host": "find a host",
    "copy_root_volume": "copy the root volume",
    "copy_data_volumes": "copy the data volumes",
    "attach_nics": "attach NICs",
    "customize_guest": "customize the guest",
    "define_vm": "define",
    "start_vm": "start",
}
_DONE = {"clone": "cloned", "destroy": "destroyed", "expunge": "expunged"}
_SHORT_S = 10
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Two units are enough: 3 min 20 s."""
    left = max(0, round(seconds))
    parts = []
    for size, unit in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "0 s"


def took(seconds: float) -> str:
    """Of what has ended: 0.4 s, 12 s."""
    return f"{seconds:.1f} s" if seconds < _SHORT_S else duration(seconds)


def done(job: Json) -> str:
    """What becomes of the names of such a job."""
    return _DONE.get(str(job["kind"]), "done")


def state_of_job(job: Json) -> str:
    """Once it has finished, how; before that whether it was cancelled."""
    if job["state"] == "Finished":
        return str(job["outcome"] or job["state"])
    return "canceling" if job.get("cancelRequestedAt") else str(job["state"])


def counts(job: Json) -> str:
    """Of its names, leaving out what is nought, with what they wait for."""
    parts = [(job["succeeded"], done(job))]
    parts += [(job[key] or 0, key) for key in ("failed", "canceled", "running", "waiting")]
    text = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    return f"{text or 'none begun'}{_waits(job)}"


def _waits(job: Json) -> str:
    reasons = job.get("waitReasons") or {}
    if list(reasons.values()) == [job["waiting"]]:
        return f" ({next(iter(reasons))})"
    return (
        f" ({', '.join(f'{count:,} {why}' for why, count in reasons.items())})" if reasons else ""
    )


def doing(item: Json) -> str:
    """What happens to one name, or what it waits for."""
    step = item.get("step")
    if item["state"] == "Granted":
        return "on its way to a worker"
    text = _STEPS.get(step, str(step)) if step else str(item["state"])
    if step and item.get("stepCount"):
        text += f" ({item['stepNumber']} of {item['stepCount']})"
    if item["state"] == "RollingBack":
        text = f"taken back from: {text}"
    if item.get("waitReason"):
        text += f", waits: {item['waitReason']}"
    return text


def reason(error: Json | None, name: str = "") -> str:
    """What went wrong, and what to do where that is known; `name`'s stands before it."""
    if not error:
        return ""
    details = str(error.get("details") or error.get("description") or error.get("code"))
    cause = error.get("cause") or {}
    deeper = str(cause.get("details") or "")
    if deeper and deeper not in details:
        details = f"{details}: {deeper}"
    details = details.removeprefix(f"unable to create vm[name:{name}]: ")
    return f"{details.rstrip('.')}. {error['advice']}" if error.get("advice") else details


def failures(items: Iterable[Json]) -> list[str]:
    """A line for each different reason, with the names that it hit."""
    return grouped(
        (reason(item.get("error"), item["name"]) or "no reason is known", str(item["name"]))
        for item in items
        if item["state"] in {"Failed", "Stranded"}
    )


def grouped(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Of (why, name)."""
    lines = []
    for why, group in groupby(sorted(reasons, key=itemgetter(0)), key=itemgetter(0)):
        names = [name for _, name in group]
        shown = ", ".join(names[:_SHOWN_NAMES])
        more = f" and {len(names) - _SHOWN_NAMES:,} more" if len(names) > _SHOWN_NAMES else ""
        lines.append(f"{shown}{more}: {why}")
    return lines
