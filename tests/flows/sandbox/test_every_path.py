"""Every published operation of the API is there."""

import logging

from worker.catalogue.catalogue import load
from worker.catalogue.operation import Body
from worker.sandbox.special_endpoints import BROKEN, FOR_USERS

FORBIDDEN = {"/IncomingEvent"}


def filled(operation):
    path = operation.path
    for name, kind in operation.path_parameters.items():
        path = path.replace(f"{{{name}}}", "11111111-1111-4111-8111-111111111111" if kind == "uuid" else "1")
    return path


def broken(operation):
    return operation.method == "GET" and operation.entity.lower() in {*BROKEN, *FOR_USERS, "clientcache"}


async def test_every_list_answers_rows(visit):
    async with visit(rate_limit=None) as visitor:
        for operation in load().operations():
            if operation.listing is not None and not broken(operation) and operation.path not in FORBIDDEN:
                answer = await visitor.get(operation.path)
                assert answer.status == 200, operation.path
                assert isinstance(answer.json, list) or any(isinstance(value, list | str) for value in answer.json.values()), operation.path


async def test_every_list_accepts_paging_parameters_and_every_published_filter(visit):
    async with visit(rate_limit=None) as visitor:
        for operation in load().operations():
            if operation.listing is not None and not broken(operation) and operation.path not in FORBIDDEN:
                numbers = {name: 1 for name, kind in operation.query_parameters.items() if kind in {"int", "integer"}}
                words = {name: "true" for name, kind in operation.query_parameters.items() if kind in {"bool", "boolean"} and not name.startswith("lastupdate")}
                assert (await visitor.get(operation.path, **numbers, **words)).status == 200, operation.path


async def test_every_write_is_accepted_and_its_record_can_be_read_changed_and_deleted(visit, caplog):
    made, catalogue = {}, load()
    async with visit(rate_limit=None) as visitor:
        for operation in catalogue.operations():
            if operation.method == "POST" and operation.body in {Body.ARRAY, Body.OBJECT}:
                record = {"_novalidate": True, "ticket_id": 3, "lookupid": 5}
                answer = await visitor.post(filled(operation), [record] if operation.body is Body.ARRAY else record)
                assert answer.status in {201, 401}, operation.path
                if operation.body is Body.ARRAY and answer.status == 201:
                    made[operation.path] = answer.json["id"]
        for path, key in made.items():
            methods = catalogue.methods_of(f"{path}/{{id}}")
            scope = {"ticket_id": 3, "lookupid": 5}
            if "GET" in methods:
                assert (await visitor.get(f"{path}/{key}", **scope)).status == 200, path
            assert (await visitor.post(path, [{"id": key, "_novalidate": True, **scope}])).status == 201, path
            if "DELETE" in methods:
                assert (await visitor.delete(f"{path}/{key}", **scope)).status == 200, path
                assert (await visitor.delete(f"{path}/{key}", **scope)).status == 404, path
    assert len(made) > 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
