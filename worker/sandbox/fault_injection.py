"""Applies faults to a request, to its connection and to its response."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib
from collections.abc import Sequence

import orjson
from aiohttp import web

from worker.sandbox.faults import ActiveFault, Fault, FaultBody, FaultKind
from worker.sandbox.responses import JSON_TYPE, error_body, json_answer, login_page
from worker.sandbox.settings import Wrapper
from worker.sandbox.simulated_halo import SimulatedHalo

PADDING_BYTES = 64 * 1024
NO_LINGER = struct.pack("ii", 1, 0)  # close with a reset


class ConnectionCut(Exception):
    """A fault cut the connection."""


async def inject_before(halo: SimulatedHalo, active: ActiveFault, request: web.Request) -> web.StreamResponse | None:
    """Applies a fault that comes before the response: instead of the operation, or after it. None: the request continues. Raises `ConnectionCut`."""
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
            return _fixed_answer(fault)
        case FaultKind.HTML:
            return login_page()
        case FaultKind.REDIRECT:
            return web.Response(status=fault.status if 300 <= fault.status < 400 else 302, headers={"Location": fault.location})  # noqa: PLR2004  the redirects
        case FaultKind.REVOKE:
            halo.revoke_tokens()
        case _:
            pass
    return None


def cut_connection(request: web.Request, *, reset: bool) -> None:
    """Closes the connection of a request, with a FIN or with a reset."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        transport.abort()
    else:
        transport.close()


async def corrupt_response(struck: Sequence[ActiveFault], answer: web.StreamResponse, request: web.Request) -> web.StreamResponse:
    """Applies the faults that change the response. Raises `ConnectionCut`."""
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
                return await _pad(body, request, fault.size)
            case FaultKind.BOMB:
                packed = zlib.compressobj(9, wbits=31)
                content = packed.compress(body) + b"".join(packed.compress(b" " * PADDING_BYTES) for _ in range(fault.size // PADDING_BYTES)) + packed.flush()
                return web.Response(body=content, content_type=JSON_TYPE, headers={"Content-Encoding": "gzip"})
            case _:
                continue
    return answer


def _fixed_answer(fault: Fault) -> web.Response:
    headers = dict(fault.headers)
    match fault.body:
        case FaultBody.EMPTY:
            return web.Response(status=fault.status, headers=headers)
        case FaultBody.HTML:
            return login_page(fault.status)
        case FaultBody.STRING | FaultBody.EXCEPTION:
            return json_answer(error_body(fault.text, Wrapper(fault.body.value)), fault.status, headers)
        case FaultBody.JSON:
            return web.Response(body=fault.text.encode(), status=fault.status, content_type=JSON_TYPE, headers=headers)


async def _cut(answer: web.StreamResponse, body: bytes, request: web.Request) -> None:
    started = await _start_response(answer, request, len(body))
    await started.write(body[: len(body) // 2])
    cut_connection(request, reset=False)
    raise ConnectionCut


async def _drip(answer: web.StreamResponse, body: bytes, request: web.Request, seconds: float) -> web.StreamResponse:
    started = await _start_response(answer, request, len(body))
    for index in range(len(body)):
        await started.write(body[index : index + 1])
        await asyncio.sleep(seconds)
    return started


async def _pad(body: bytes, request: web.Request, size: int) -> web.StreamResponse:
    started = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
    started.enable_chunked_encoding()
    await started.prepare(request)
    await started.write(body)
    for _ in range(max(size - len(body), 0) // PADDING_BYTES):
        await started.write(b" " * PADDING_BYTES)
    return started


async def _start_response(answer: web.StreamResponse, request: web.Request, length: int) -> web.StreamResponse:
    started = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers.get("Content-Type", JSON_TYPE)})
    started.content_length = length
    await started.prepare(request)
    return started


def _body(answer: web.StreamResponse) -> bytes:
    return answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b""
