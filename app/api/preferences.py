"""`Prefer: wait=N` of RFC 7240: opt-in, because ZStack's clients expect an answer at once."""

import re
from collections.abc import Mapping

MAX_WAIT_S = 25
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def preferred_wait_s(headers: Mapping[str, str]) -> int:
    """0 where nothing is asked for."""
    match = _WAIT.search(headers.get("Prefer", ""))
    return min(int(match.group(1)), MAX_WAIT_S) if match else 0
