"""An event loop whose time is a number: sleeping moves it, so minutes pass in no time and in a known order."""

import asyncio
import selectors

import pytest


class VirtualSelector(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        self.time = 1000.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self):
        return self.virtual.time


class VirtualClock:
    """The port's clock on the loop's time."""

    def monotonic(self):
        return asyncio.get_running_loop().time()

    def now(self):
        return 1_800_000_000.0 + self.monotonic()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


@pytest.fixture(scope="session")
def virtually():
    """Run a coroutine function on virtual time; it gets the clock."""

    def run(main):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main(VirtualClock()))

    return run
