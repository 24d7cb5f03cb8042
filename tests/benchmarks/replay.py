"""Answers Halo's lists from memory in its own process, so that a benchmark does not measure how the simulated Halo builds pages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import web


@contextmanager
def replaying(origin: str) -> Iterator[str]:
    """Yield the address of a server that asks `origin` once per list, page and parameters, then repeats the same bytes."""
    command = [sys.executable, "-m", "tests.benchmarks.replay", origin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


async def main(origin: str) -> None:
    kept: dict[str, tuple[bytes, str]] = {}
    async with aiohttp.ClientSession() as session:

        async def asked(request: web.BaseRequest) -> tuple[int, bytes, str]:
            headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
            async with session.request(request.method, origin + request.path_qs, headers=headers, data=await request.read()) as answer:
                return answer.status, await answer.read(), answer.headers.get("Content-Type", "")

        async def answered(request: web.BaseRequest) -> web.Response:
            list_of_records = request.method == "GET" and "page_no" in request.query
            if list_of_records and request.path_qs in kept:
                body, kind = kept[request.path_qs]
                return web.Response(body=body, headers={"Content-Type": kind})
            status, body, kind = await asked(request)
            if list_of_records and status == web.HTTPOk.status_code:
                kept[request.path_qs] = (body, kind)
            return web.Response(status=status, body=body, headers={"Content-Type": kind})

        runner = web.ServerRunner(web.Server(answered))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
