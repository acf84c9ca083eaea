"""Queries: what can be asked for (`sources`), and how a query becomes SQL (`select`, `read`)."""
