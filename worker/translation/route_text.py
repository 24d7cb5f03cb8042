"""Writes definitions as the text of a route file."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from worker.translation.secrets import with_references


class TextRepresenter(SafeRepresenter):
    """Writes texts of several lines as blocks, and no aliases: route files do not take them."""

    def ignore_aliases(self, _: Any) -> bool:
        return True

    def represent_text(self, text: str) -> ScalarNode:
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
        return node


TextRepresenter.add_representer(str, TextRepresenter.represent_text)


def route_text(comment: str, sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of one file. `sections`: definitions by section and name."""
    yaml, out = YAML(typ="safe", pure=True), StringIO()
    yaml.Representer = TextRepresenter
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(with_references({name: dict(section) for name, section in sections.items()}), out)
    return f"# {' '.join(comment.split())}\n{out.getvalue()}"
