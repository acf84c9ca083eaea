"""What a view is made of."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    name: str
    comment: str
    select: str
    columns: Mapping[str, str]  # what each says, in order


# What a caller may have written (an error's details quote it) is not for reports.
def error_columns(error: str) -> str:
    return f"""
    {error} ->> 'code' AS error_code,
    COALESCE({error} #>> '{{cause,cause,cause,code}}', {error} #>> '{{cause,cause,code}}',
        {error} #>> '{{cause,code}}', {error} ->> 'code') AS root_error_code,
    {error} ->> 'description' AS error_description"""


ERROR_COMMENTS = {
    "error_code": "code of the error as clients see it (docs/errors.md); null without one",
    "root_error_code": "code of the innermost cause: what really happened",
    "error_description": "what the error code means, in fixed words",
}
