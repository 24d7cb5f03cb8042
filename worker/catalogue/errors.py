"""What can be wrong with the name of an operation or with what is to be sent to it."""

from __future__ import annotations

from worker.core.errors import WorkerError


class UnknownEntity(WorkerError):
    """There is no such path; the text holds the nearest ones."""


class MethodNotAllowed(WorkerError):
    """The path lacks the method; the text tells those it has and where the method is to be found."""


class RequestError(WorkerError):
    """A parameter or payload does not fit the operation; the text holds names and types, never values."""
