"""The guide "Try a mapping before it runs", followed to the letter: its commands run in its order, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.tools.commands import run_command
from tests.tools.documents import FENCE, TOP, text_of
from worker.cli.testing import run_tests
from worker.sandbox.simulated_halo import SimulatedHalo

GUIDE = "docs/guides/try.md"
SANDBOX = "http://127.0.0.1:8090"
BLOCKS = [(found["language"], found["text"]) for found in FENCE.finditer(text_of(GUIDE))]
RUNBOOK = "start ask-chatgpt"


async def test_every_command_of_the_guide_does_what_the_guide_says(tmp_path: Path, halos):
    halo: SimulatedHalo = await halos()
    place, ran = tmp_path, []
    for number, (language, text) in enumerate(BLOCKS):
        if language != "bash":
            continue
        out = ""
        for line in text.splitlines():
            words = shlex.split(line)
            if words[0] == "cd":
                place /= words[1]
            elif words[0] == "cp":
                (place / words[3]).mkdir()
                for file in (place / words[2]).iterdir():
                    (place / words[3] / file.name).write_text(file.read_text())
            else:
                ended = await run(place, words[1:], halo)
                assert (ended.code, ended.err) == (0, ""), line
                out = ended.out
                ran.append(words[1])
            at_the_sandbox(place, halo)
        after = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "")
        if after[0] == "text":
            assert out.splitlines() == after[1].splitlines(), text
    assert set(ran) == {"init", "check", "test", "plan", "start"}
    assert halo.journal.executed("POST") == []
    assert (place / "results.xml").is_file()


async def run(place: Path, words: list[str], halo: SimulatedHalo):
    """In the folder that the guide has led to; the runbook is that of the sample routes."""
    if " ".join(words).startswith(RUNBOOK):
        names = {name: f"the-{name}-of-the-tests" for name in ("COMPLETIONS_KEY", "HOOK_SECRET", "ASK_SECRET")}
        client = {"HALO_URL": halo.url, "HALO_CLIENT_ID": halo.settings.client_id, "HALO_CLIENT_SECRET": halo.settings.client_secret}
        variables = names | client | {"COMPLETIONS_URL": "https://example.com", "COMPLETIONS_HOST": "example.com"}
        return await run_command(place, *words, variables=variables, routes=TOP / "routes")
    return await run_command(place, *words, directory=place, routes="routes")


def at_the_sandbox(place: Path, halo: SimulatedHalo) -> None:
    """The guide's sandbox has a port of its own."""
    for file in place.glob("routes/clients.yaml"):
        file.write_text(file.read_text().replace(SANDBOX, halo.url))


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "yaml"])
def test_every_example_that_the_guide_shows_is_one_that_passes(text, tmp_path):
    (tmp_path / "shown.yaml").write_text(text)
    assert run_tests(tmp_path, {}, junit=None, as_json=False) == 0


def test_the_guide_names_every_key_of_an_example_and_of_what_it_expects():
    from worker.config.examples import ExampleDefinition, ExpectDefinition

    for model in (ExampleDefinition, ExpectDefinition):
        assert [key for key in model.model_fields if not re.search(rf"`{key}[:`]", text_of(GUIDE)) and key not in {"name", "expect"}] == []
