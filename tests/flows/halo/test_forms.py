"""Multipart forms, as a server reads them."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from worker.core.errors import Undecodable
from worker.halo.forms import encode_form


async def test_a_form_arrives_with_texts_values_and_files_as_a_server_reads_them():
    received = {}

    async def take(request: web.Request) -> web.Response:
        fields = await request.post()
        for name, field in fields.items():
            received[name] = (field.filename, field.content_type, field.file.read()) if isinstance(field, web.FileField) else field
        return web.Response()

    application = web.Application()
    application.router.add_post("/", take)
    async with TestClient(TestServer(application)) as client:
        body, kind = await encode_form(
            {"note": "grüezi", "count": 3, "pairs": [{"key": "a"}], "file": {"filename": "ü.png", "content_type": "image/png", "data_base64": "AAEC"}}
        )
        await client.post("/", data=body, headers={"Content-Type": kind})
    assert received == {"note": "grüezi", "count": "3", "pairs": '[{"key":"a"}]', "file": ("ü.png", "image/png", b"\x00\x01\x02")}


async def test_a_data_url_is_taken_as_browsers_make_it():
    body, _ = await encode_form({"file": {"data_base64": "data:image/png;base64,AAEC"}})
    assert b"\x00\x01\x02" in body


async def test_a_file_that_is_not_base64_is_refused_by_name_only():
    with pytest.raises(Undecodable) as refusal:
        await encode_form({"file": {"data_base64": "not base64!"}})
    assert str(refusal.value) == "the file 'file' is not Base64 in its member data_base64"


@pytest.mark.parametrize(
    "fields",
    [[1], "text", None, {"file": {"data_base64": "AAEC", "content_type": "a\r\nX: 1"}}, {"note": "\ud800"}, {"file": {"data_base64": "é"}}, {"when": object()}],
)
async def test_what_cannot_stand_in_a_form_is_refused(fields):
    with pytest.raises(Undecodable):
        await encode_form(fields)


async def test_names_cannot_break_out_of_their_place():
    body, _ = await encode_form({'a"; name="b': {"data_base64": "AAEC", "filename": 'x"\r\nX-Evil: 1'}})
    assert b'name="a%22; name=%22b"; filename="x%22%0D%0AX-Evil: 1"' in body
