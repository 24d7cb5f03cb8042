"""`register` against the simulated Halo: created, found again, mended, and never more than asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.job.conftest import halos  # noqa: F401 - a fixture: simulated Halos
from tests.tools.job import routes
from tests.tools.process import write_routes
from worker.cli import register as command
from worker.config.loader import load_routes
from worker.core.errors import ConfigError
from worker.flows.hooks.registration import CannotRegister
from worker.sandbox.faults import Fault, FaultKind
from worker.settings import Settings

URL = "https://hooks.example.com"
ADDRESS = f"{URL}/webhooks/tickets"
SIGNED = {"type": "signature", "header": "Token", "secrets": ["planted-secret-of-the-test", "planted-old-of-the-test"]}


class Stage:
    def __init__(self, folder: Path, halo: Any) -> None:
        self.folder = folder
        self.halo = halo
        self.hook: dict[str, Any] = {"client": "main", "events": ["new_ticket", 76], "auth": SIGNED, "publish": {}}

    async def register(self, *, name: str = "tickets", url: str = URL, dry_run: bool = False, yes: bool = False) -> None:
        """As the command does, in this loop: compiled expressions stay in the thread that made them."""
        directory = write_routes(self.folder, routes(self.halo) | {"webhooks": {"tickets": self.hook}})
        loaded = load_routes(directory, {}, self.folder)
        hook = command.find_webhook(loaded.webhooks, name)
        await command.register_webhook(loaded, Settings(), hook, command.address_of(url, hook), dry_run=dry_run, yes=yes)

    @property
    def webhooks(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.halo.store.rows("webhook") if row["type"] == 0]

    def events(self) -> list[int]:
        return sorted(row["eventno"] for row in self.halo.store.rows("notification") if row.get("webhook_id") == self.webhooks[0]["id"])

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(entry.method, entry.path) for entry in self.halo.journal.executed() if entry.method != "GET"]


@pytest.fixture
async def stage(tmp_path, halos) -> Stage:  # noqa: F811
    return Stage(tmp_path, await halos())


async def test_the_webhook_and_a_notification_per_event_are_created(stage):
    await stage.register()
    [webhook] = stage.webhooks
    expected = {
        "name": "tickets",
        "url": ADDRESS,
        "active": True,
        "authentication_type": 3,
        "authentication_header": "Token",
        "basic_password": "planted-secret-of-the-test",
        "algorithm": 0,
        "method": 0,
        "content_type": "application/json",
    }
    assert {name: webhook.get(name) for name in expected} == expected
    assert stage.events() == [3, 76]
    assert {(row["type"], row["delivery_method"], row["filter_type"]) for row in stage.halo.store.rows("notification") if row.get("webhook_id")} == {(-2, 6, 2)}


async def test_a_second_time_nothing_is_added(stage):
    await stage.register()
    before = len(stage.writes)
    await stage.register()
    assert (len(stage.webhooks), stage.events()) == (1, [3, 76])
    assert stage.writes[before:] == [("POST", "/Webhook")]


async def test_what_was_changed_in_halo_is_mended_and_a_webhook_that_was_switched_off_is_switched_on(stage, capsys):
    await stage.register()
    key = stage.webhooks[0]["id"]
    stage.halo.store.update("webhook", key, {"active": False, "last_status": 503, "authentication_header": "Other", "basic_password": "other"})
    capsys.readouterr()
    await stage.register()
    [webhook] = stage.webhooks
    assert (webhook["active"], webhook["authentication_header"], webhook["basic_password"]) == (True, "Token", "planted-secret-of-the-test")
    said = capsys.readouterr().out
    assert "activate the webhook 'tickets' again, which Halo deactivated (its last call got status 503)" in said
    assert "correct authentication_header of" in said


async def test_a_webhook_that_was_renamed_in_halo_is_found_by_its_address(stage):
    await stage.register()
    stage.halo.store.update("webhook", stage.webhooks[0]["id"], {"name": "renamed"})
    await stage.register()
    assert [row["name"] for row in stage.webhooks] == ["tickets"]


async def test_a_new_address_is_given_to_the_webhook_of_the_name(stage):
    await stage.register()
    await stage.register(url="https://new.example.com/hooks/")
    assert [row["url"] for row in stage.webhooks] == ["https://new.example.com/hooks/webhooks/tickets"]


async def test_an_event_that_is_no_longer_named_is_removed_only_when_that_is_agreed(stage, capsys):
    await stage.register()
    stage.hook["events"] = [3, 39]
    await stage.register()
    assert stage.events() == [3, 39, 76]
    assert "left: the event status_changed (76), which the route does not name (--yes removes it)" in capsys.readouterr().out
    await stage.register(yes=True)
    assert stage.events() == [3, 39]


async def test_a_second_notification_of_one_event_is_removed_as_well(stage):
    await stage.register()
    stage.halo.store.create("notification", {"webhook_id": stage.webhooks[0]["id"], "eventno": 3})
    await stage.register(yes=True)
    assert stage.events() == [3, 76]


async def test_webhooks_and_notifications_of_others_are_left_alone(stage):
    other = stage.halo.store.create("webhook", {"name": "other", "url": "https://elsewhere.example.com", "type": 0})
    stage.halo.store.create("notification", {"webhook_id": other["id"], "eventno": 3})
    stage.halo.store.create("notification", {"eventno": 76})
    before = [dict(row) for row in stage.halo.store.rows("notification")]
    await stage.register(yes=True)
    await stage.register(yes=True)
    assert [row["name"] for row in stage.webhooks] == ["other", "tickets"]
    assert [dict(row) for row in stage.halo.store.rows("notification")][: len(before)] == before


async def test_a_halo_that_ignores_the_filter_does_not_cost_others_their_notifications(stage):
    await stage.register()
    other = stage.halo.store.create("notification", {"webhook_id": "00000000-0000-0000-0000-000000000001", "eventno": 61})
    stage.halo.faults.add(Fault(FaultKind.IGNORE_FILTERS, "GET", "/Notification", times=None))
    await stage.register(yes=True)
    assert stage.halo.store.get("notification", other["id"]) is not None
    assert stage.events() == [3, 76]


async def test_a_dry_run_shows_the_calls_and_makes_none(stage, capsys):
    await stage.register(dry_run=True)
    said = capsys.readouterr().out
    assert (stage.webhooks, stage.writes) == ([], [])
    assert f'"url":"{ADDRESS}"' in said
    assert '"eventno":"76"' in said
    assert '"webhook_id":"<id of the new webhook>"' in said
    assert "planted" not in said


async def test_nothing_that_is_said_holds_the_secret(stage, capsys):
    for _ in range(2):
        await stage.register(yes=True)
    assert "planted" not in "".join(capsys.readouterr())


async def test_basic_credentials_are_given_to_halo_too(stage):
    stage.hook["auth"] = {"type": "basic", "username": "halo", "password": "planted-secret-of-the-test"}
    await stage.register()
    [webhook] = stage.webhooks
    assert (webhook["authentication_type"], webhook["basic_username"], webhook["basic_password"]) == (1, "halo", "planted-secret-of-the-test")


@pytest.mark.parametrize("more", [{"algorithm": "sha512"}, {"digest": "hex"}])
async def test_a_signature_whose_number_in_halo_is_not_known_is_not_guessed(stage, more):
    stage.hook["auth"] = SIGNED | more
    with pytest.raises(CannotRegister, match="use sha256 and base64"):
        await stage.register()
    assert stage.writes == []


@pytest.mark.parametrize("url", ["hooks.example.com", "ftp://x", "https://u:p@x", "https://x?a=b", "", "https://"])
async def test_an_address_that_halo_could_not_call_is_refused(stage, url):
    with pytest.raises(ConfigError, match="public address"):
        await stage.register(url=url)


async def test_an_unknown_webhook_is_told_with_the_nearest_name(stage):
    with pytest.raises(command.NoSuchWebhook, match="did you mean"):
        await stage.register(name="ticket")


async def test_what_halo_refuses_is_told_in_its_words(stage):
    stage.halo.store.create("webhook", {"name": "Tickets", "url": "https://elsewhere.example.com", "type": 0})
    with pytest.raises(CannotRegister, match=r"Halo did not create the webhook 'tickets'.*Name must be unique"):
        await stage.register()


async def test_on_a_terminal_it_asks_before_it_removes(stage, monkeypatch):
    await stage.register()
    stage.hook["events"] = [3]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(command.typer, "confirm", lambda question: question == "Remove the event status_changed (76)?")
    await stage.register()
    assert stage.events() == [3]
