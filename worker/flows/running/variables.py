"""Takes variables out of a payload or an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from worker.config.run_values import Values
from worker.config.variables import VariablePath

logger = structlog.get_logger()


def with_variables(values: Values, paths: Mapping[str, VariablePath], documents: Mapping[str, Any]) -> Values:
    """Return `values` with a variable for each path. `documents`: the document of each root.

    A variable that is missing in its document is removed, and logged as a warning.
    """
    variables, plain = dict(values.variables), set(values.plain)
    for name, path in paths.items():
        found = path.find(documents.get(path.root))
        if not found.there:
            logger.warning("variable.missing", variable=name, path=str(path))
            variables.pop(name, None)
        else:
            variables[name] = found.value
        plain.discard(name)
        if path.plain:
            plain.add(name)
    return replace(values, variables=variables, plain=frozenset(plain))
