"""The composition root: builds the flows from routes and settings, and serves them."""

from worker.app.service import Service

__all__ = ["Service"]
