"""The page of the commands: usage, arguments and options of each, as the command line itself has them."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

from typer.main import get_command

from docs.generator.markdown import code, codes, link, page, paragraph, sentence, table
from worker.cli.main import app

INTRO = """Each command prints its options with `--help`. Commands that read route files take the settings of the worker from the
same [variables](settings.md)."""
CODES = """## Exit codes

| code | meaning |
| --- | --- |
| 0 | done; `run`: asked to stop, and all messages in flight ended in time |
| 1 | failed; `run`: messages in flight were cut off at the end of the grace period |
| 2 | wrong configuration or usage; the command changed nothing |"""
NOUNS = {"int": "INTEGER", "float": "NUMBER", "Path": "PATH", "str": "TEXT"}


def commands_page() -> str:
    found = leaves(get_command(app), ())
    overview = table(("command", "what it does"), ((link(" ".join(names), " ".join(names)), first(command.help)) for names, command in found))
    return page("Commands", INTRO, overview, *(section(names, command) for names, command in found), CODES)


def leaves(command: Any, names: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its names from the outside to the inside."""
    inner = getattr(command, "commands", None)
    return [(names, command)] if inner is None else [leaf for name, each in inner.items() for leaf in leaves(each, (*names, name))]


def section(names: tuple[str, ...], command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option"]
    usage = " ".join(["halo-worker", *names, *(["[OPTIONS]"] if options else []), *map(placeholder, arguments)])
    rows = [(code(argument.metavar or argument.name.upper()), needed(argument), sentence(argument.help or "")) for argument in arguments]
    rows += [(code(spelling(option)), needed(option), sentence(option.help or "")) for option in options]
    blocks = (f"## {' '.join(names)}", f"```text\n{usage}\n```", paragraph(command.help or ""), table(("argument or option", "default", "meaning"), rows))
    return "\n\n".join(filter(None, blocks))


def placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    many = f"{name}..." if argument.nargs < 0 else name
    return many if argument.required else f"[{many}]"


def spelling(option: Any) -> str:
    return option.opts[0] if option.is_flag else f"{option.opts[0]} {option.metavar or noun(option.type_descriptor.annotation)}"


def noun(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ",".join(member.value for member in annotation)
    inner = [each for each in get_args(annotation) if each is not type(None)]
    if inner and isinstance(inner[0], str):
        return "|".join(inner)
    return noun(inner[0]) if inner else NOUNS.get(annotation.__name__, "TEXT")


def needed(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default is None or isinstance(default, bool) or default == "" or not parameter.show_default else codes([default])


def first(text: str | None) -> str:
    return sentence((text or "").partition("\n\n")[0])
