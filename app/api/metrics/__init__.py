"""`/metrics`: what this process has seen, and how things stand in the database."""

from app.api.metrics.page import METRICS, Metrics, show_metrics, timed

__all__ = ["METRICS", "Metrics", "show_metrics", "timed"]
