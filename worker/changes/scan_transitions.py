"""Decides what a scan does after each page. Pure; `worker.changes.scan` gives the reasons."""

from __future__ import annotations

from dataclasses import replace

from worker.changes.pages import PAGE_SIZE, Page
from worker.changes.position import Position, StampWindow, completed, incomplete

MAX_PASSES = 3
MAX_PAGES = 20_000


def after_first(position: Position, page: Page, *, paged: bool) -> Position:
    """The first page gives page size and count. A page with the whole list ends the scan: no row can move within one answer."""
    rows = len(page.rows)
    if not paged:
        if page.count is not None and page.count > rows:
            return incomplete(position, f"Halo counts {page.count} records but answers {rows}, and this list cannot be paged")
        return completed(position)
    if rows == 0:
        if page.count:
            return incomplete(position, f"Halo counts {page.count} records but the first page is empty")
        return completed(position)
    if page.count is None or page.count < rows or page.count == rows == PAGE_SIZE:  # no usable count, or one that may count this page only
        return replace(position, state="forwards", page=2, step=rows)
    if rows == page.count:
        return completed(position)
    return backwards(replace(position, step=rows), whole=False)


def after_forwards(position: Position, page: Page, window: StampWindow | None, *, repeated: bool, fresh: bool) -> Position:
    """Without a count only an empty page is the end."""
    beyond = position.count is not None and position.page > last_page(position) > 1
    if not page.rows or (beyond and not fresh and not position.before):  # past the end some lists repeat the last page or start again
        found = replace(position, end=position.page - 1)
        whole = last_page(position) == 1  # otherwise the forward pass read only pages beyond the count
        if whole and position.until is None and window is not None and window.since is not None:
            return after_open_window(found, window)
        return backwards(found, whole=whole)
    if repeated:
        ignores_paging = position.page == 2  # noqa: PLR2004 - Halo repeats the first page: it is the whole list
        return completed(position) if ignores_paging else incomplete(position, f"page {position.page} repeats the page before")
    if not fresh and not position.before:
        return incomplete(position, f"page {position.page} brings nothing new")
    if position.page >= MAX_PAGES:
        return incomplete(position, f"no end after {MAX_PAGES} pages")
    return replace(position, page=position.page + 1)


def after_backwards(position: Position, page: Page, window: StampWindow | None, *, repeated: bool) -> Position:
    if repeated and (position.count or 0) > len(page.rows):
        return incomplete(position, f"page {position.page} repeats the page before: Halo ignores paging here")
    if position.page == last_page(position) and len(page.rows) >= position.step and not position.end:
        return replace(position, state="forwards", page=position.page + 1)  # a full last page: the list may be longer than Halo's count
    if position.page > 1:
        return replace(position, page=position.page - 1)
    if position.until is not None:
        return after_unordered(position) if position.rows_entered or position.rows_missing else completed(position)
    if window is None or window.since is None:
        return after_whole_list(position, window)
    return after_open_window(position, window)


def after_whole_list(position: Position, window: StampWindow | None) -> Position:
    if position.ascending and not position.rows_missing:
        return completed(position)
    return after_unordered(position) if window is None else after_open_window(position, window)


def after_open_window(position: Position, window: StampWindow) -> Position:
    """The next scan reads the overlap again. Read the rest of the window once more, closed."""
    reached = position.reached if position.newest is not None else None
    if reached is None:
        return after_unordered(position)
    until = reached - window.overlap
    if window.since is not None and until <= window.since:
        return completed(position)
    return replace(next_pass(position, whole=True), state="first", page=1, count=None, end=0, until=until)


def after_unordered(position: Position) -> Position:
    """Rows of this list may move anywhere: only a pass without movement proves that no row was missed."""
    if position.pass_stable:
        if position.rows_missing:
            return incomplete(position, f"counts disagree: Halo counts {position.count} records and gives {position.met}")
        return completed(position)
    if position.passes >= MAX_PASSES:
        return incomplete(position, f"rows kept moving between pages through {MAX_PASSES} passes")
    return backwards(position, whole=True)


def last_page(position: Position) -> int:
    counted = -(-(position.count or 0) // position.step)
    return max(1, position.end, counted)


def backwards(position: Position, *, whole: bool) -> Position:
    """Begin a pass from the last page to the first."""
    begun = next_pass(position, whole=whole)
    last = last_page(begun)
    if last > MAX_PAGES:
        return incomplete(begun, f"{begun.count} records in pages of {begun.step} are more than {MAX_PAGES} pages: narrow the query")
    return replace(begun, state="backwards", page=last)


def next_pass(position: Position, *, whole: bool) -> Position:
    """Begin a new pass. `whole`: the previous pass read the whole list; otherwise it does not count."""
    passes, before = (position.passes + 1, position.trace) if whole else (position.passes, position.before)
    return replace(position, passes=passes, met=0, least=None, ascending=True, rows_entered=False, trace="", before=before)
