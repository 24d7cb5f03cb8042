"""Errors in the name of an operation, or in a request for it."""

from __future__ import annotations

from worker.core.errors import WorkerError


class UnknownEntity(WorkerError):
    """No path has this name; the text holds the nearest paths."""


class MethodNotAllowed(WorkerError):
    """The path lacks the method; the text names its methods, and the paths that have the method."""


class RequestError(WorkerError):
    """A parameter or payload does not fit the operation; the text holds names and types, never values."""


class WrongType(RequestError):
    """A value does not fit the published type of its parameter."""


class NotOpenApi(WorkerError):
    """A document is not an OpenAPI file of Halo; the text follows the document's name in a sentence."""
