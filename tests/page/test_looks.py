"""How the status page looks and behaves in a real browser: phone width, light and dark, liveness, and what it loads."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from tests.tools.every import every
from tests.tools.waiting import until

PATHS = ("/", "/dead", "/route?name=computers", "/route?name=onboarding", "/runs", "/clients", "/story?id=m1", "/login")
CONTRAST = """() => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const paper = element => { for (let at = element; at; at = at.parentElement) { const color = getComputedStyle(at).backgroundColor; if (!/, 0\\)|transparent/.test(color)) return color; } return 'rgb(255, 255, 255)'; };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest('svg, noscript, script, .skip') || !element.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(paper(element))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) low.push(`${node.textContent.trim().slice(0, 40)}: ${((a + .05) / (b + .05)).toFixed(2)}`);
  }
  return low;
}"""


async def every_page_fits_a_phone_and_its_text_has_contrast_in_light_and_dark(scene):
    phone = await scene.page(viewport={"width": 360, "height": 740})
    dark = await scene.page(color_scheme="dark")
    await scene.overview_shows(phone, "onboarding")
    await scene.open_letter(phone, "m1")
    papers = set()
    for path in (*PATHS, phone.url.removeprefix(scene.address)):
        for page in (phone, dark):
            await page.goto(f"{scene.address}{path}")
            assert await page.evaluate(CONTRAST) == [], path
            papers.add(await page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        assert await phone.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert len(papers) == 2, "light and dark differ"


async def every_page_has_one_heading_landmarks_labels_and_a_way_past_the_menu(scene):
    page = await scene.page()
    await scene.overview_shows(page, "computers")
    for path in PATHS:
        await page.goto(f"{scene.address}{path}")
        counts = await page.evaluate("['h1', 'main', 'header', 'nav[aria-label]', 'html[lang]', 'title'].map(each => document.querySelectorAll(each).length)")
        assert counts[0] == counts[1] == counts[2] == 1, path
        assert all(counts), path
        unlabelled = "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(each => !each.labels.length).length"
        assert await page.evaluate(unlabelled) == 0, path
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"


async def states_show_by_a_word_and_a_sign_not_by_colour_alone(scene):
    page = await scene.page()
    await scene.overview_shows(page, "tickets")
    texts = await page.locator(".state").all_inner_texts()
    assert len(texts) == 3
    assert all(re.fullmatch(r"[✓…‖✗] (running|waiting|paused|down)", text) for text in texts), texts


async def test_the_page_is_live_is_silent_while_its_tab_is_hidden_and_says_when_it_is_stale(scene):
    page = await scene.page()
    await page.clock.install()
    await scene.overview_shows(page, "Nothing. There are no dead letters.")
    await page.evaluate("window.loadedOnce = true")
    await scene.fail("m1")
    shown = page.get_by_text("1 dead letter of 1 route")
    while not await shown.count():
        async with page.expect_response(scene.address + "/"):
            await page.clock.run_for(5_000)
    assert await page.evaluate("window.loadedOnce"), "it was not loaded again"
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); true")
    before = len(scene.requests)
    await page.clock.run_for(60_000)
    assert scene.requests[before:] == [], "a hidden tab asks for nothing"
    await page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true}); true")
    await page.route("**/*", lambda route: route.abort())
    await page.clock.run_for(30_000)
    await expect(page.get_by_role("alert")).to_contain_text("This page is not updated since")
    await page.unroute("**/*")
    async with page.expect_response(scene.address + "/"):
        await page.clock.run_for(5_000)
    await expect(page.locator("#stale")).to_be_hidden()


async def no_page_loads_anything_from_another_host_and_none_breaks_its_own_policy(scene):
    page = await scene.page()
    broken: list[str] = []
    page.on("console", lambda line: broken.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    await scene.sign_in(page)
    await scene.open_letter(page, "m1")
    for path in PATHS:
        await page.goto(f"{scene.address}{path}")
    await page.goto(scene.address)
    async with page.expect_response(scene.address + "/"):
        await page.evaluate("document.querySelector('[data-live]').dispatchEvent(new CustomEvent('refresh')); true")
    assert {urlsplit(each).netloc for each in scene.requests} == {urlsplit(scene.address).netloc}
    assert broken == []


LOOKS = (
    every_page_fits_a_phone_and_its_text_has_contrast_in_light_and_dark,
    every_page_has_one_heading_landmarks_labels_and_a_way_past_the_menu,
    states_show_by_a_word_and_a_sign_not_by_colour_alone,
    no_page_loads_anything_from_another_host_and_none_breaks_its_own_policy,
)


@pytest.fixture
async def scene_with_failures(scene):
    await scene.fail("m1")
    await scene.join("Ann", 999_999)
    return scene


@every("look", LOOKS, ids=lambda look: look.__name__)
async def test_pages_with_failures_look_as_they_should(scene_with_failures, look):
    await look(scene_with_failures)


async def test_everything_works_without_javascript(scene):
    await scene.fail("m1")
    page = await scene.page(java_script_enabled=False)
    await scene.sign_in(page)
    await scene.open_letter(page, "m1")
    await page.get_by_role("button", name="Replay").click()
    await page.get_by_text("computers: 1 letter replayed").wait_for()


async def test_a_run_is_shown_step_by_step_on_its_flow_chart(scene):
    await scene.join("Ann", 999_999)
    page = await scene.page()
    await scene.overview_shows(page, re.compile("1 dead letter of 1 route"))
    link = page.get_by_role("link", name=re.compile("^[0-9a-f]{32}$"))

    async def listed():
        await page.goto(f"{scene.address}/runs")
        return await link.count() == 1 and await page.get_by_text("1 dead", exact=True).count()

    await until(listed)
    await link.click()
    assert await page.locator("ol li").all_inner_texts() == ["start → asked", "asked → welcome", "welcome → refused"]
    assert await page.locator("path.went").count() == 2, "the way from the start is no line of the chart"
    assert await page.locator("g.at text").all_text_contents() == ["refused", "dead here"]


@pytest.mark.long
async def test_the_broker_that_is_away_is_told_with_the_age_of_what_is_shown(scene, rabbitmq):
    page = await scene.page()
    await scene.overview_shows(page, "computers")
    rabbitmq.stop()
    try:
        await scene.overview_shows(page, "The broker is away")
        assert await page.get_by_text("What is shown is from").count() == 1
        assert await page.get_by_role("link", name="computers", exact=True).count() == 1, "what was known stays"
    finally:
        rabbitmq.start()
    await scene.overview_shows(page, re.compile("Yes. 1 replica of 1 ready"))
