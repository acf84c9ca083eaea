"""ZStack's dates: `Nov 14, 2017 2:20:57 PM`, English, in the server's own zone, without a mark."""

from datetime import datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_date(moment: datetime) -> str:
    """`moment` is aware. Day and hour have no leading zero; the space before AM is ordinary."""
    local = moment.astimezone()
    hour = local.hour % 12 or 12
    half = "AM" if local.hour < 12 else "PM"
    return (
        f"{_MONTHS[local.month - 1]} {local.day}, {local.year} "
        f"{hour}:{local.minute:02d}:{local.second:02d} {half}"
    )
