"""Doing to a connection and to an answer what the faults in force say."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Sequence

import orjson
from aiohttp import web

from worker.sandbox.faults import ActiveFault, BodyKind, Fault, FaultKind
from worker.sandbox.responses import JSON_TYPE, empty, error_body, json_answer, login_page
from worker.sandbox.settings import Wrapper
from worker.sandbox.simulated_halo import SimulatedHalo

CHUNK = 64 * 1024
LINGER_NOT = struct.pack("ii", 1, 0)


class ConnectionCut(Exception):
    """The connection was cut on purpose."""


async def inject_before(halo: SimulatedHalo, active: ActiveFault, request: web.Request) -> web.StreamResponse | None:
    """Lets a fault happen that stands at the place of the operation, or right after it. None: the request goes on. Raises `ConnectionCut`."""
    fault = active.fault
    active.arrived.set()
    match fault.does:
        case FaultKind.DELAY:
            await asyncio.sleep(fault.seconds)
        case FaultKind.HOLD:
            await active.removed.wait()
        case FaultKind.RESET | FaultKind.CLOSE:
            cut_connection(request, reset=fault.does is FaultKind.RESET)
            raise ConnectionCut
        case FaultKind.ANSWER:
            return _answer(fault)
        case FaultKind.HTML:
            return login_page()
        case FaultKind.REDIRECT:
            return empty(fault.status if 300 <= fault.status < 400 else 302, {"Location": fault.location})  # noqa: PLR2004  the redirects
        case FaultKind.REVOKE:
            halo.revoke_tokens()
        case _:
            pass
    return None


def cut_connection(request: web.Request, *, reset: bool) -> None:
    """Closes the connection under a request: quietly, or with a reset that the other side cannot miss."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        transport.abort()
    else:
        transport.close()


async def corrupt_response(struck: Sequence[ActiveFault], answer: web.StreamResponse, request: web.Request) -> web.StreamResponse:
    """Spoils an answer on its way out. Raises `ConnectionCut`."""
    for active in struck:
        fault, body = active.fault, _body(answer)
        match fault.does:
            case FaultKind.WRONG_COUNT:
                value = orjson.loads(body)
                answer = json_answer({**value, "record_count": fault.size} if isinstance(value, dict) else value, answer.status)
            case FaultKind.CUT:
                await _cut(answer, body, request)
            case FaultKind.DRIP:
                return await _drip(answer, body, request, fault.seconds)
            case FaultKind.HUGE:
                return await _swell(body, request, fault.size)
            case FaultKind.BOMB:
                packed = zlib.compressobj(9, wbits=31)
                content = packed.compress(body) + b"".join(packed.compress(b" " * CHUNK) for _ in range(fault.size // CHUNK)) + packed.flush()
                return web.Response(body=content, content_type=JSON_TYPE, headers={"Content-Encoding": "gzip"})
            case _:
                continue
    return answer


def _answer(fault: Fault) -> web.Response:
    headers = dict(fault.headers)
    match fault.body:
        case BodyKind.EMPTY:
            return empty(fault.status, headers)
        case BodyKind.HTML:
            return login_page(fault.status)
        case BodyKind.STRING | BodyKind.EXCEPTION:
            return json_answer(error_body(fault.text, Wrapper(fault.body.value)), fault.status, headers)
        case BodyKind.JSON:
            return web.Response(body=fault.text.encode(), status=fault.status, content_type=JSON_TYPE, headers=headers)


async def _cut(answer: web.StreamResponse, body: bytes, request: web.Request) -> None:
    started = await _started(answer, request, len(body))
    await started.write(body[: len(body) // 2])
    cut_connection(request, reset=False)
    raise ConnectionCut


async def _drip(answer: web.StreamResponse, body: bytes, request: web.Request, seconds: float) -> web.StreamResponse:
    started = await _started(answer, request, len(body))
    for index in range(len(body)):
        await started.write(body[index : index + 1])
        await asyncio.sleep(seconds)
    return started


async def _swell(body: bytes, request: web.Request, size: int) -> web.StreamResponse:
    started = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
    started.enable_chunked_encoding()
    await started.prepare(request)
    await started.write(body)
    for _ in range(max(size - len(body), 0) // CHUNK):
        await started.write(b" " * CHUNK)
    return started


async def _started(answer: web.StreamResponse, request: web.Request, length: int) -> web.StreamResponse:
    started = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", JSON_TYPE)})
    started.content_length = length
    await started.prepare(request)
    return started


def _body(answer: web.StreamResponse) -> bytes:
    return answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
