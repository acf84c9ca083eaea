"""All rows that can be queried, by name."""

from app.store.queries import catalogue, identity, machines, places

SOURCES = machines.SOURCES | places.SOURCES | catalogue.SOURCES | identity.SOURCES
