"""Follows the pages of a list: finds the next request in each answer, only at the integration's own address, and merges the items into one answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from yarl import URL

from worker.config.integration_parts import PagingRule
from worker.config.variables import VariablePath
from worker.core.errors import CallRefused
from worker.core.exchange import Exchange, RequestResult
from worker.core.header_names import CONTROL_CHARACTERS
from worker.core.json_codec import MAX_VALUES, marks_in
from worker.core.url_paths import leaves_folder
from worker.halo.transport import Answer, Call
from worker.integrations.guard import MAX_RESPONSE_BYTES, same_place

MAX_LINK = 8 * 1024
MAX_HEADER = 64 * 1024
LINK = re.compile(r"""<([^<>]*)>((?:\s*+;\s*+[\w!#$&+.^`|~*-]++\s*+(?:=\s*+(?:"[^"]*"|[^\s";,]*+))?)*+)""")
RELATION = re.compile(r""";\s*+rel\s*+=\s*+(?:"([^"]*)"|([^\s";,]++))""", re.IGNORECASE)


@dataclass(slots=True)
class PageCollector:
    """The pages of one call so far. `base`: the integration's base URL; every page is below it."""

    pages: PagingRule
    base: URL
    items: list[Any] = field(default_factory=list)
    count: int = 0
    _size: int = 0
    _values: int = 0
    _first: Exchange | None = None
    _seen: set[URL] = field(default_factory=set)
    _last: list[Any] | None = None

    def begin(self, call: Call) -> Call:
        """Return the call of the first page."""
        return replace(call, url=call.url.update_query({self.pages.page: str(self.pages.first)})) if self.pages.page else call

    def add(self, call: Call, exchange: Exchange, answer: Answer) -> str:
        """Add one page. Return why it cannot be used, or empty."""
        self.count += 1
        self._seen.add(call.url)
        self._first = self._first or exchange
        found = self.pages.items.find(exchange.body).value
        if not isinstance(found, list):
            return f"page {self.count} holds no list at {self.pages.items}"
        if self.pages.page and found and found == self._last:
            return f"page {self.count} is the same as the one before: the API does not know the query parameter {self.pages.page}"
        self._last = found
        self._size += len(answer.body or b"")
        self._values += marks_in(answer.body or b"")
        if self._size > MAX_RESPONSE_BYTES or self._values > MAX_VALUES:
            return f"its pages have more than {MAX_RESPONSE_BYTES:,} bytes or {MAX_VALUES:,} values together: narrow the query"
        self.items += found
        return ""

    def following(self, call: Call, exchange: Exchange) -> Call | None:
        """Return the call of the next page; None after the last. Raises `CallRefused` for a page at another address, or one that was read before."""
        url = self._next_url(call.url, exchange)
        if url is None:
            return None
        if self.count >= self.pages.most:
            raise CallRefused(f"the list has more than {self.pages.most} pages: raise `max` of `pages`, or narrow the query")
        if url in self._seen:
            raise CallRefused(f"page {self.count} leads back to a page that was read already")
        return replace(call, url=url)

    def _next_url(self, current: URL, exchange: Exchange) -> URL | None:
        pages = self.pages
        if pages.page:
            return current.update_query({pages.page: str(pages.first + self.count)}) if self._last else None
        if pages.cursor:
            mark = scalar(pages.value, exchange)
            return current.update_query({pages.cursor: mark}) if mark else None
        target = next_link(exchange.headers.get("link", "")) if pages.link else scalar(pages.next, exchange)
        return own_address(target, current, self.base) if target else None

    def merged(self) -> Exchange:
        """Return the first answer with the items of all pages."""
        if self._first is None:
            return Exchange(RequestResult.NOT_SENT, reason="no page was read")
        return replace(self._first, body=with_items(self._first.body, [str(getattr(part, "name", "")) for part in self.pages.items.parts], self.items))


def scalar(path: VariablePath | None, exchange: Exchange) -> str:
    """Return a text or number of the answer; empty for null and for an absent value."""
    value = None if path is None else path.find(exchange.documents.get(path.root)).value
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def with_items(document: Any, names: list[str], items: list[Any]) -> Any:
    if not names:
        return items
    return {**document, names[0]: with_items(document[names[0]], names[1:], items)}


def next_link(header: str) -> str:
    """Return the target of the link with the relation `next`, in the syntax of RFC 8288; empty without such a link."""
    return next((target for target, relation in links(header[:MAX_HEADER]) if "next" in relation.lower().split()), "")


def links(header: str) -> Iterator[tuple[str, str]]:
    for found in LINK.finditer(header):
        relation = RELATION.search(found[2])
        yield found[1].strip(), (relation[1] or relation[2] or "") if relation else ""


def own_address(target: str, current: URL, base: URL) -> URL:
    """Return the next page's address. Raises `CallRefused`, without quoting it, unless it has the scheme, host and port of `base` and is below its path."""
    try:
        url = current.join(URL(target)).with_fragment(None)
        same = same_place(url, base) and url.raw_user is None and url.raw_password is None
    except (ValueError, TypeError):
        same, url = False, URL()
    if len(target) > MAX_LINK or CONTROL_CHARACTERS.search(target) or not url.raw_host:
        raise CallRefused("the answer's next page is no address")
    if not same:
        raise CallRefused("the answer's next page leads to another scheme, host or port than the integration's own")
    if not f"{url.raw_path}/".startswith(f"{base.raw_path.rstrip('/')}/") or leaves_folder(url.raw_path):
        raise CallRefused("the answer's next page leads away from the base_url")
    return url
