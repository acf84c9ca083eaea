"""SQLAlchemy's `select` for plain columns of SQLModel classes, whose attributes the type checker
takes for values."""

from typing import Any

from sqlalchemy import Select, select


def select_columns(*columns: Any) -> Select[Any]:
    return select(*columns)
