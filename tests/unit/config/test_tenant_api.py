"""Routes of a client are checked against the tenant's own OpenAPI file, where the client names one."""

import orjson
import pytest

from worker.catalogue.catalogue import load as load_catalogue
from worker.catalogue.openapi import openapi_document
from worker.config.loader import load_routes
from worker.config.references import CatalogueOverride
from worker.core.errors import ConfigError

NEWER = {"get": {"parameters": [{"name": "pageinate", "in": "query", "schema": {"type": "bool"}}]}}
OTHER = """  other:
    url: https://globex.haloitsm.com
    openapi: globex.json
    auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}
"""


@pytest.fixture
def loaded(load, tmp_path):
    """Loads routes beside the file of the client `other`, whose Halo has `BrandNew`, a parameter `newer`, and no `Actions`."""
    document = openapi_document(load_catalogue())
    document["paths"]["/BrandNew"] = NEWER
    document["paths"]["/Tickets"]["get"]["parameters"].append({"name": "newer", "in": "query", "schema": {"type": "int"}})
    document["paths"] = {path: facts for path, facts in document["paths"].items() if not path.startswith("/Actions")}
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "globex.json").write_bytes(orjson.dumps(document))
    return lambda text: load(OTHER + text)


def messages(load, text):
    with pytest.raises(ConfigError) as raised:
        load(text)
    return [problem.message for problem in raised.value.problems]


def test_what_is_newer_needs_no_allow_unknown(loaded):
    routes = loaded("""
subscribers:
  new: {client: other, entity: BrandNew}
  tickets: {client: other, entity: Tickets, request: {query: {newer: 5, open_only: true}}}
""")
    assert routes.subscribers["new"].operation.listing.paged
    assert routes.subscribers["tickets"].operation.listing.key == "tickets", "what is known beside the file stays known"
    assert routes.subscribers["tickets"].changes == "by_date"


def test_the_file_counts_for_its_client_alone(loaded):
    told = messages(
        loaded,
        """
subscribers:
  new: {client: main, entity: BrandNew}
  typed: {client: other, entity: Tickets, request: {query: {newer: x}}}
  gone: {client: other, entity: "Actions/{id}", request: {path: {id: 1}}}
  still: {client: main, entity: "Actions/{id}", request: {path: {id: 1}}}
runbooks:
  book:
    start: {queue: q}
    first: note
    steps: {note: {action: create_action, client: other, body: {ticket_id: 1, outcome: a, note_html: b}}}
""",
    )
    assert [sentence.partition("; ")[0] for sentence in told] == [
        "there is no entity 'BrandNew'",
        "`newer` must be a whole number",
        "there is no entity 'Actions/{id}'",
        "the client's API lacks create_action: there is no entity 'Actions'",
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.json", "cannot be read: No such file or directory"), (".", "is not a file but a directory"), ("main.yaml", "is not JSON: ")],
)
def test_a_file_that_cannot_be_used_is_told_at_its_place(load, name, reason):
    (told,) = messages(load, OTHER.replace("globex.json", name))
    assert told.startswith(f"the file `{name}` {reason}")


def test_routes_can_be_checked_against_another_catalogue(loaded, tmp_path):

    loaded("subscribers:\n  feed: {client: main, entity: Actions, request: {query: {ticket_id: 1}}}\n  own: {client: other, entity: BrandNew}\n")
    lacking = load_routes(tmp_path / "routes", {}, tmp_path, CatalogueOverride(load_catalogue(), "main"))
    assert lacking.subscribers.keys() == {"feed", "own"}
    with pytest.raises(ConfigError, match="BrandNew"):
        load_routes(tmp_path / "routes", {}, tmp_path, CatalogueOverride(load_catalogue()))
