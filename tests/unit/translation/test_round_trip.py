"""An import and an export give each document back, member by member; what was changed in between is written again, and the rest stays."""

from __future__ import annotations

import json

import pytest

from tests.tools.halo_documents import copy_of, sound
from tests.unit.translation.conftest import filled, imported
from worker.cli.runbook_export import definitions
from worker.translation.documents import Documents
from worker.translation.exporting import export
from worker.translation.importing import translate
from worker.translation.report import TranslationReport
from worker.translation.secrets import with_references

SOUND = sound()


def exported(kind, name, directory, without_copy=False):
    found, report = definitions(directory), TranslationReport(kind, name)
    if without_copy:
        (directory / "halo" / f"{kind}-{name}.json").unlink()
    document = export(kind, name, found["integrations"], found["runbooks"], directory, report)
    assert report.is_complete, report.refusals
    return document


@pytest.mark.parametrize("name", SOUND)
def test_an_export_after_an_import_gives_the_document_back_member_by_member(tmp_path, name):
    case, directory = SOUND[name], tmp_path / "routes"
    translation = imported(case, directory)
    for target, document in zip(translation.runbooks, case.runbooks, strict=True):
        assert filled(exported("runbook", target, directory), case.known) == document
    for target, document in zip(translation.integrations, case.integrations, strict=True):
        assert filled(exported("integration", target, directory), case.known) == document


@pytest.mark.parametrize(
    "name",
    [name for name, case in SOUND.items() if not any(step["auto_action"] == 24 for book in case.runbooks for step in book["steps"] if "auto_action" in step)],
)
def test_a_runbook_without_its_copy_becomes_a_document_that_means_the_same(tmp_path, name):
    """Numbers, drawing and names of steps are new; imported again, it is the same runbook but for the names. A chain needs the GUIDs of the copies."""
    case, directory = SOUND[name], tmp_path / "routes"
    translation = imported(case, directory)
    for target in translation.runbooks:
        before = definitions(directory)["runbooks"][target]
        again = Documents()
        again.add({"runbooks": [exported("runbook", target, directory, without_copy=True)], "integrations": copy_of(case.integrations)}, "again")
        second = translate(again, "main")
        assert second.is_complete, [report.refusals for report in second.reports]
        [result] = second.runbooks.values()
        assert shape(with_references(result.definition)) == shape(before)


def shape(definition):
    """The runbook with its steps numbered in the order in which a run can meet them."""
    steps, order = definition["steps"], {}
    waiting = [definition["first"]]
    while waiting:
        name = waiting.pop(0)
        if name not in order:
            order[name] = f"s{len(order)}"
            step = steps[name]
            following = step.get("next")
            ways = [following] if isinstance(following, str) else [branch["go"] for branch in following or ()]
            waiting += [*filter(None, [step.get("do"), *ways, step.get("on_failure")])]

    def renamed(value):
        match value:
            case dict():
                return {
                    key: order.get(inner, inner) if key in {"next", "go", "do", "on_failure"} and isinstance(inner, str) else renamed(inner)
                    for key, inner in value.items()
                    if key not in {"as", "reason"}
                }
            case list():
                return [renamed(item) for item in value]
            case _:
                return value

    return {name: renamed(definition.get(name)) for name in ("input",)} | {order[name]: renamed(step) for name, step in steps.items()}


def test_a_changed_step_is_written_again_and_all_others_keep_their_members(tmp_path):
    case, directory = SOUND["a ticket is made and noted"], tmp_path / "routes"
    imported(case, directory)
    path = directory / "runbook-make-ticket.yaml"
    path.write_text(path.read_text("utf-8").replace("made", "seen"), "utf-8")
    document = exported("runbook", "make-ticket", directory)
    [original] = case.runbooks
    assert [new for new, old in zip(document["steps"], original["steps"], strict=True) if new != old] == [
        original["steps"][1] | {"message": '{"ticket_id": <<TicketId>>, "outcome": "Note", "note_html": "seen"}'}
    ]
    assert {member: value for member, value in document.items() if member != "steps"} == {
        member: value for member, value in original.items() if member != "steps"
    }


def test_a_changed_method_is_written_again_and_all_others_keep_their_members(tmp_path):
    case, directory = SOUND["one call"], tmp_path / "routes"
    imported(case, directory)
    path = directory / "integration-vendor-api.yaml"
    path.write_text(path.read_text("utf-8").replace("path: /ping", "path: /pong"), "utf-8")
    document = exported("integration", "vendor-api", directory)
    changed = [(new, old) for new, old in zip(document["methods"], case.integrations[0]["methods"], strict=True) if new != old]
    [(new, old)] = changed
    assert (new["path"], old["path"], new["id"], new["log_retention_policy_days"]) == ("/pong", "/ping", 17, 7)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ({"publish": {"exchange": "halo", "routing_key": "x"}, "next": "fin"}, "`publish` has no counterpart"),
        ({"set": {"A": "{{ 1 + 1 }}"}, "next": "fin"}, "`set` has no counterpart"),
        ({"for_each": "<<Items>>", "do": "fin", "parallel": 3, "next": "fin"}, "`parallel` has no counterpart"),
        ({"action": "create_asset", "client": "main", "body": {}, "next": "fin"}, "no number that is known"),
        ({"next": [{"when": "{{ $sum(Items) > 3 }}", "go": "fin"}]}, "not a condition that Halo can compare"),
        ({"start": "other", "wait": True}, "run ends where it starts another"),
    ],
)
def test_what_halo_cannot_do_is_refused_by_the_name_of_the_step(tmp_path, step, reason):
    (tmp_path / "a.yaml").write_text(
        json.dumps({"runbooks": {"rb": {"first": "odd", "input": {"Items": "request^items"}, "steps": {"odd": step, "fin": {"end": "done"}}}}}), "utf-8"
    )
    found, report = definitions(tmp_path), TranslationReport("runbook", "rb")
    assert export("runbook", "rb", found["integrations"], found["runbooks"], tmp_path, report) is None
    assert [(refusal.place, reason in refusal.reason) for refusal in report.refusals] == [("odd", True)]
