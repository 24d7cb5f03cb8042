"""How the simulated Halo tells others what happens to tickets."""

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from aiohttp import web


class Receiver:
    def __init__(self):
        self.requests = asyncio.Queue()
        self.status = 200

    async def take(self, request):
        self.requests.put_nowait((request.headers, await request.read()))
        return web.Response(status=self.status, text="thanks")


@pytest.fixture
def receive():
    @asynccontextmanager
    async def receiving():
        receiver = Receiver()
        application = web.Application()
        application.router.add_post("/hook", receiver.take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield receiver
        finally:
            await runner.cleanup()

    return receiving


async def hooked(visitor, url, *events, **members):
    made = (await visitor.post("/Webhook", [{"name": "hook", "url": url, "type": 0, "method": 0, "active": True, **members}])).json
    for event in events:
        notification = {"webhook_id": made["id"], "type": -2, "delivery_method": 6, "eventno": str(event), "filter_type": 2, "conditions": []}
        assert (await visitor.post("/Notification", [notification])).status == 201
    return made["id"]


async def events_of(visitor, count):
    """The log of deliveries, once it has that many entries."""
    while True:
        answer = (await visitor.get("/WebhookEvent")).json
        if answer["record_count"] >= count:
            return answer["events"]


async def test_a_new_ticket_calls_the_webhook_with_the_whole_ticket(visit, receive):
    async with visit() as visitor, receive() as receiver:
        webhook = await hooked(visitor, receiver.url, 3)
        await visitor.post("/Tickets", [{"summary": "Printer on fire", "client_id": 3}])
        headers, body = await receiver.requests.get()
        told = json.loads(body)
        assert headers["Content-Type"] == "application/json"
        assert (told["event"], told["object_id"], told["webhook_id"]) == ("new ticket logged", 31, webhook)
        assert told["ticket"]["summary"] == "Printer on fire"
        assert str(UUID(told["id"])) == told["id"]
        assert told["timestamp"].endswith("Z")
        assert [(event["responsestatus"], event["responsebody"], event["webhook_id"]) for event in await events_of(visitor, 1)] == [(200, "thanks", webhook)]


@pytest.mark.parametrize(
    ("event", "change", "text"),
    [
        (61, {"summary": "x"}, "ticket updated"),
        (76, {"status_id": 2}, "ticket status changed"),
        (39, {"status_id": 9}, "ticket closed"),
    ],
)
async def test_only_the_requested_events_call_the_webhook(visit, receive, event, change, text):
    async with visit() as visitor, receive() as receiver:
        visitor.halo.store.update("Tickets", 3, {"status_id": 1})
        await hooked(visitor, receiver.url, event)
        await hooked(visitor, receiver.url, 3, name="another")
        visitor.halo.store.update("Tickets", 3, change)
        assert json.loads((await receiver.requests.get())[1])["event"] == text
        assert len(await events_of(visitor, 1)) == 1


async def test_a_deleted_ticket_calls_the_webhook(visit, receive):
    async with visit() as visitor, receive() as receiver:
        await hooked(visitor, receiver.url, 1072)
        await visitor.delete("/Tickets/3")
        assert json.loads((await receiver.requests.get())[1])["ticket"]["id"] == 3


async def test_a_delivery_is_signed_over_its_raw_body(visit, receive):
    async with visit() as visitor, receive() as receiver:
        await hooked(visitor, receiver.url, 3, authentication_type=3, authentication_header="Token", basic_password="key", algorithm=0)
        await visitor.post("/Tickets", [{"summary": "Grüße"}])
        headers, body = await receiver.requests.get()
        assert headers["Token"] == base64.b64encode(hmac.new(b"key", body, hashlib.sha256).digest()).decode()


async def test_a_delivery_may_carry_basic_credentials_which_are_never_shown(visit, receive):
    async with visit() as visitor, receive() as receiver:
        webhook = await hooked(visitor, receiver.url, 3, authentication_type=1, basic_username="sam", basic_password="pass")
        await visitor.post("/Tickets", [{"summary": "x"}])
        headers, _ = await receiver.requests.get()
        assert headers["Authorization"] == "Basic " + base64.b64encode(b"sam:pass").decode()
        assert b"pass" not in (await visitor.get(f"/Webhook/{webhook}", includedetails="true")).body


async def test_a_failed_delivery_is_not_repeated_and_too_many_switch_the_webhook_off(visit, receive):
    async with visit() as visitor, receive() as receiver:
        webhook = await hooked(visitor, receiver.url, 3, auto_disable_attempts=2)
        receiver.status = 500
        for number in range(1, 4):
            await visitor.post("/Tickets", [{"summary": "x"}])
            await events_of(visitor, min(number, 2))
        assert [event["responsestatus"] for event in await events_of(visitor, 2)] == [500, 500]
        assert (await visitor.get(f"/Webhook/{webhook}")).json["active"] is False


async def test_a_receiver_that_is_not_there_is_written_down(visit):
    async with visit() as visitor:
        await hooked(visitor, "http://127.0.0.1:1/hook", 3)
        await visitor.post("/Tickets", [{"summary": "x"}])
        assert [event["error"] for event in await events_of(visitor, 1)] == [True]


async def test_deliveries_may_come_as_arrays(visit, receive):
    async with visit(webhook_arrays=True) as visitor, receive() as receiver:
        await hooked(visitor, receiver.url, 3)
        await visitor.post("/Tickets", [{"summary": "x"}])
        assert len(json.loads((await receiver.requests.get())[1])) == 1


async def test_a_note_on_a_ticket_calls_the_webhook_as_an_update_with_the_action(visit, receive):
    async with visit() as visitor, receive() as receiver:
        await hooked(visitor, receiver.url, 61)
        await visitor.post("/Actions", [{"ticket_id": 3, "outcome": "Note", "note": "Why is it slow?"}])
        told = json.loads((await receiver.requests.get())[1])
        assert (told["event"], told["ticket"]["id"]) == ("ticket updated", 3)
        assert (told["action"]["outcome"], told["action"]["note"]) == ("Note", "Why is it slow?")
        visitor.halo.store.update("Tickets", 3, {"summary": "x"})
        assert "action" not in json.loads((await receiver.requests.get())[1])


async def test_a_delivery_may_come_more_than_once_under_the_same_id(visit, receive):
    async with visit(webhook_copies=3) as visitor, receive() as receiver:
        await hooked(visitor, receiver.url, 3)
        await visitor.post("/Tickets", [{"summary": "x"}])
        assert len({json.loads((await receiver.requests.get())[1])["id"] for _ in range(3)}) == 1
