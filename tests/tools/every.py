"""One test over many items, which reports every item that fails: an item each would cost more than its check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from typing import Any, TypeVar

import pytest

Item = TypeVar("Item")
Test = Callable[..., Any]
SHOWN = 20
BROKEN = (Exception, pytest.fail.Exception)


def check_every(items: Iterable[Item], check: Callable[[Item], None], name: Callable[[Item], str] = str) -> None:
    """Check each item; fail with the names of all items whose check raised, and with what it raised. No item at all is a failure too."""
    count, broken = 0, []
    for item in items:
        count += 1
        try:
            check(item)
        except BROKEN as error:
            broken.append(f"{name(item)}: {type(error).__name__}: {error}")
    tell(count, broken)


def tell(count: int, broken: Sequence[str]) -> None:
    if not count:
        pytest.fail("there is no item to check", pytrace=False)
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        pytest.fail("\n".join([f"{len(broken)} of {count} items fail:", *broken[:SHOWN], *more]), pytrace=False)


def every(
    names: str | Sequence[str], values: Iterable[Any] | Callable[[], Iterable[Any]], ids: Iterable[str] | Callable[[Any], str] | None = None
) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, in one test for all values: its fixtures are those of all. A failure names each case that fails.

    The test may be a coroutine function, and may have several of these decorators. Values that take time are given as a function:
    every process of pytest collects all tests, and runs few of them.
    """
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

    @cache
    def named() -> list[tuple[str, dict[str, Any]]]:
        cases = [dict(zip(keys, [value] if len(keys) == 1 else value, strict=True)) for value in (values() if inspect.isfunction(values) else values)]
        told = [ids(value) for case in cases for value in [next(iter(case.values()))]] if callable(ids) else list(ids or map(shown, cases))
        return list(zip(told, cases, strict=True))

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        left = [parameter for name, parameter in signature.parameters.items() if name not in keys]

        @wraps(test)
        def one(**fixtures: Any) -> None:
            check_every(named(), lambda item: test(**fixtures, **item[1]), lambda item: item[0])

        @wraps(test)
        async def awaited(**fixtures: Any) -> None:
            broken = []
            for name, case in named():
                try:
                    await test(**fixtures, **case)
                except BROKEN as error:
                    broken.append(f"{name}: {type(error).__name__}: {error}")
            tell(len(named()), broken)

        whole = awaited if inspect.iscoroutinefunction(test) else one
        whole.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]  # what pytest reads fixtures from
        return whole

    return decorate


def shown(case: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.200}" for name, value in case.items())
