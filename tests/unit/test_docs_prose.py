"""The documents are written as the project writes: short lines, short sentences, the words of the field."""

import re

import pytest

from tests.tools.documents import DOCUMENTS, GENERATED, TOP, prose

WRITTEN = [document for document in DOCUMENTS if document not in GENERATED]
LINE = 120
SENTENCE = 25  # words
AVOIDED = re.compile(r"\b(whoever|nobody|somebody|anybody|anew|by itself|so many|at hand|is told|tells of)\b", re.IGNORECASE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_line_of_prose_is_longer_than_can_be_read(document):
    assert [line for line in prose(document) if len(line) > LINE] == []


@pytest.mark.parametrize("document", WRITTEN)
def test_no_sentence_is_longer_than_can_be_understood_at_night(document):
    paragraphs = re.split(r"\n\s*\n|\n\s*(?=- |\d+\. )", "\n".join(prose(document)))
    sentences = [sentence for paragraph in paragraphs for sentence in re.split(r"(?<=[.:;?!])\s+", paragraph)]
    assert [sentence for sentence in sentences if len(sentence.split()) > SENTENCE and "**Held by**" not in sentence] == []


@pytest.mark.parametrize("document", WRITTEN)
def test_no_document_uses_words_that_the_project_avoids(document):
    assert [line for line in prose(document) if AVOIDED.search(line)] == []


def test_no_sentence_in_the_code_uses_words_that_the_project_avoids():
    files = sorted((TOP / "worker").rglob("*.py"))
    lines = [f"{file.relative_to(TOP)}: {line.strip()}" for file in files for line in file.read_text("utf-8").splitlines() if AVOIDED.search(line)]
    assert files
    assert lines == []
