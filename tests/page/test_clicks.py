"""The status page in a real browser: what an operator sees, and what a click does."""

from __future__ import annotations

import re

import pytest

from tests.tools.waiting import until


async def test_the_five_questions_are_answered_on_one_screen(scene):
    await scene.fail("m1")
    page = await scene.page(viewport={"width": 1280, "height": 800})
    await scene.overview_shows(page, re.compile("1 dead letter of 1 route"))
    await scene.overview_shows(page, re.compile("rejected: Halo answered 400"))
    for question in ("Is it running?", "Is it late?", "What failed, and why?", "What will a change do?", "How do I undo it?"):
        box = await page.get_by_role("heading", name=question).bounding_box()
        assert box is not None
        assert box["y"] < 800, question
    assert await page.get_by_text("Yes. 1 replica of 1 ready").count() == 1


async def test_a_letter_is_edited_and_replayed_by_clicks_and_arrives_in_halo(scene):
    await scene.fail("m1")
    page = await scene.page()
    await scene.sign_in(page)
    await scene.open_letter(page, "m1")
    await page.get_by_text("Could not convert string to integer").first.wait_for()
    await page.get_by_role("link", name="Edit the body…").click()
    body = page.get_by_label("New body")
    await body.fill((await body.input_value()).replace('"Jane Doe"', "12"))
    await page.get_by_role("button", name="Save the edit").click()
    await page.get_by_text("computers: 1 letter edited").wait_for()
    await scene.open_letter(page, "m1")
    await page.get_by_text("the original is in halo.edits.dead").wait_for()
    await page.get_by_role("button", name="Replay").click()
    await page.get_by_text("computers: 1 letter replayed").wait_for()

    async def created():
        return [entry for entry in scene.halo.journal.executed("POST", "/Asset") if entry.created]

    assert len(await until(created)) == 1
    await scene.other.settles("cmdb.computers.dead", 0)
    await scene.other.settles("halo.edits.dead", 1)


async def test_letters_are_discarded_only_after_a_question(scene):
    await scene.fail("m1", "m2")
    page = await scene.page()
    await scene.sign_in(page)
    await scene.open_letter(page, "m1")
    await page.get_by_role("link", name="Discard…").click()
    await page.get_by_role("heading", name="Discard 1 letter?").wait_for()
    assert await scene.other.depth("cmdb.computers.dead") == 2
    await page.get_by_role("button", name="Discard 1 letter").click()
    await page.get_by_text("computers: 1 letter discarded").wait_for()
    await scene.other.settles("cmdb.computers.dead", 1)


@pytest.mark.long
async def test_letters_that_died_after_the_question_was_asked_are_not_discarded(scene):
    await scene.fail("m1")
    page = await scene.page()
    await scene.sign_in(page)
    await scene.open_letter(page, "m1")
    await page.goto(f"{scene.address}/confirm?action=discard&route=computers")
    await page.get_by_role("heading", name="Discard 1 letter?").wait_for()
    await scene.other.send({"serial": "S-9", "customer": "x"}, "cmdb.computers", message_id="m9")
    await scene.other.settles("cmdb.computers.dead", 2)
    await page.get_by_role("button", name="Discard 1 letter").click()
    await page.get_by_text("computers: 1 letter discarded").wait_for()
    await scene.other.settles("cmdb.computers.dead", 1)
    await scene.open_letter(page, "m9")


async def test_a_route_is_paused_and_resumed_by_the_keyboard_alone(scene):
    page = await scene.page()
    await scene.sign_in(page)

    async def listed():
        await page.goto(scene.address)
        return await page.get_by_role("link", name="computers", exact=True).count()

    await until(listed)
    await tab_to(page, "computers")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="computers").wait_for()
    await tab_to(page, "reason")
    await page.keyboard.type("the CMDB moves")
    await tab_to(page, "Pause on all replicas")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus shows"
    await page.keyboard.press("Enter")
    await page.get_by_text("computers: paused on all replicas").wait_for()
    await scene.running.until(lambda: scene.running.service.control.pause_of("computers") is not None)
    pause = scene.running.service.control.pause_of("computers")
    assert (pause.reason, pause.by) == ("the CMDB moves", "the status page, from 127.0.0.1")

    async def resumable() -> bool:
        await page.goto(f"{scene.address}/route?name=computers")
        return await page.get_by_role("button", name="Resume on all replicas").count() == 1

    await until(resumable)
    await tab_to(page, "Resume on all replicas")
    await page.keyboard.press("Enter")
    await page.get_by_text("computers: resumed on all replicas").wait_for()
    await scene.running.until(lambda: scene.running.service.control.pause_of("computers") is None)


async def tab_to(page, what):
    """Press the tabulator until the element with this id or text has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if what in await page.evaluate("[document.activeElement.id, document.activeElement.textContent.trim()]"):
            return
    pytest.fail(f"the tabulator does not reach {what}")
