"""Getting a real browser for the tests of the status page: Chromium, as it is installed or as apt-get installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from tests.tools.alone import alone
from tests.tools.rabbitmq import say

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = "WORKER_TEST_CHROMIUM"
MISSING = (
    "The tests of the status page need Chromium and found none. Any one of these three will do:\n"
    f"  1. set {CHROMIUM} to the path of a Chromium or Chrome;\n"
    "  2. install the package `chromium`;\n"
    "  3. run the tests as root on Debian, so that they can install it with apt-get."
)


def find_chromium(environment: Mapping[str, str] = os.environ) -> str | None:
    given = environment.get(CHROMIUM)
    return given or next((found for name in COMMANDS if (found := shutil.which(name, path=environment.get("PATH")))), None)


def install_chromium() -> str | None:
    """With apt-get, when we are root on a Debian."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    say("no Chromium is there for the status page; running: apt-get install chromium (once, about a minute)")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run([apt, *arguments], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode and arguments[0] == "install":
            say(f"apt-get could not install it: {done.stderr.strip()[-500:]}")
    return find_chromium()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Headless. Fails the test where there is none."""
    with alone("chromium"):
        path = find_chromium() or install_chromium()
    if path is None:
        pytest.fail(MISSING)
    arguments = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    async with async_playwright() as playwright:
        # as root, as in a container of a CI, Chromium has no sandbox
        browser = await playwright.chromium.launch(executable_path=path, args=arguments, chromium_sandbox=os.geteuid() != 0)
        try:
            yield browser
        finally:
            await browser.close()
