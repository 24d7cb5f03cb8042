"""The documents for people, and their parts: code, examples, links, headings, prose."""

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(TOP).as_posix() for path in (TOP / "docs").rglob("*.md"))
GENERATED = [page for page in PAGES if page.startswith("docs/reference/")]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *PAGES]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE)
SAVED = re.compile(r"Save this as `([^`]+)`[^\n]*:\n\n\Z")
SPAN = re.compile(r"`([^`\n]+)`")


def text_of(document):
    return (TOP / document).read_text("utf-8")


def blocks(document, language):
    """The fenced blocks of one language."""
    return [found["text"] for found in FENCE.finditer(text_of(document)) if found["language"] == language]


def saved(document):
    """The files that a reader saves, by name, as they stand at the end of the page."""
    text = text_of(document)
    named = ((SAVED.search(text, 0, found.start()), found["text"]) for found in FENCE.finditer(text))
    return {name[1]: content for name, content in named if name}


def spans(document):
    """What stands between single backticks."""
    return SPAN.findall(FENCE.sub("", text_of(document)))


def code(document):
    """Everything that is code, as one text."""
    return "\n".join([*(found["text"] for found in FENCE.finditer(text_of(document))), *spans(document)])


def commands(document):
    """The lines of shell blocks, those that go on with a backslash as one, without comments."""
    joined = "\n".join(blocks(document, "bash")).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def prose(document):
    """The lines that are neither code, nor a table, nor a comment."""
    text = re.sub(r"<!--.*?-->", "", FENCE.sub("", text_of(document)), flags=re.DOTALL)
    return [line for line in text.splitlines() if not line.lstrip().startswith("|")]


def anchors(document):
    """The anchors of the headings, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(document)), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def links(document):
    """The targets of links to other files and headings of the project."""
    targets = re.findall(r"\]\(([^)\s]+)\)", SPAN.sub("", FENCE.sub("", text_of(document))))
    return [target for target in targets if "://" not in target]
