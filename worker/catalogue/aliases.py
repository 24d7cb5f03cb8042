"""Other names of entities: the headings of Halo's reference, plural and singular forms, and Halo's internal names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

HEADINGS = {
    "Contracts": "ClientContract",
    "Customer": "Client",
    "Customers": "Client",
    "KnowledgeBase": "KBArticle",
    "KnowledgeBaseArticle": "KBArticle",
    "KnowledgeBaseArticles": "KBArticle",
    "Quote": "Quotation",
    "Quotes": "Quotation",
    "SoftwareLicense": "SoftwareLicence",
    "SoftwareLicenses": "SoftwareLicence",
    "Ticket": "Tickets",
    "TicketStatus": "Status",
    "User": "Users",
}
AMBIGUOUS = frozenset({"contract"})  # the internal name of supplier contracts, but users mean contracts with clients
UNCOUNTED = re.compile(r".*(details|ss|us|is|news|data|info)$", re.IGNORECASE)


def plural(name: str) -> str:
    """Return the English plural, as far as the names of entities need it."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|ch|sh)$", name) else f"{name}s"


def other_numbers(name: str) -> Iterator[str]:
    """Yield the plural of a singular name, and the singular of a plural name."""
    if re.search(r"[a-z](us|ss)$", name):
        yield plural(name)
    elif UNCOUNTED.fullmatch(name):
        return
    elif name.endswith("ies"):
        yield f"{name[:-3]}y"
    elif name.endswith("s"):
        yield name[:-1]
    else:
        yield plural(name)


def alias_table(entities: Collection[str], tags: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Return the entity of each alias, without names of entities and names with two meanings. `tags`: each internal name and the entities under it."""
    taken = {entity.lower() for entity in entities} | AMBIGUOUS
    table = {alias: entity for alias, entity in HEADINGS.items() if entity in entities and alias.lower() not in taken}
    internal = [(tag, next(iter(under))) for tag, under in tags.items() if len(under) == 1]
    numbers = [(other, entity) for entity in entities for other in other_numbers(entity)]
    for candidates in (numbers, internal):
        taken |= {alias.lower() for alias in table}
        meanings = Counter(alias.lower() for alias, _ in candidates)
        table |= {alias: entity for alias, entity in candidates if meanings[alias.lower()] == 1 and alias.lower() not in taken}
    return dict(sorted(table.items(), key=lambda item: (item[0].lower(), item[0])))
