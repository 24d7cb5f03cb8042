"""`halo-worker permissions`: the RabbitMQ permissions of every user, as a table, as `rabbitmqctl` commands or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from shlex import quote

from worker.app.permissions import Account, accounts_of, warnings_of
from worker.cli.console import errors, output, table, write_json
from worker.config.routes import Routes
from worker.core.errors import ConfigError, Problem


def print_permissions(routes: Routes, readers: Sequence[str], vhost: str, *, ctl: bool, as_json: bool) -> int:
    """Print the permissions. Warnings go to standard error, and into the JSON. Raises `ConfigError`."""
    if ctl and as_json:
        raise ConfigError([Problem("--json", 0, 0, "--ctl and --json exclude each other: choose one")])
    accounts, warnings = accounts_of(routes, readers), warnings_of(routes)
    if as_json:
        document = {"accounts": [asdict(account) for account in accounts], "warnings": list(warnings)}
        write_json(document)
        return 0
    if ctl:
        for account in accounts:
            for line in commands_of(account, vhost):
                output().print(line, soft_wrap=True)
    else:
        print_table(accounts)
    for warning in warnings:
        errors().print(f"warning: {warning}", soft_wrap=True)
    return 0


def print_table(accounts: Sequence[Account]) -> None:
    console = output()
    shown = table(console, "user", "purpose", "configure", "write", "read")
    for account in accounts:
        shown.add_row(account.user, account.purpose, account.configure, account.write, account.read)
    console.print(shown)


def commands_of(account: Account, vhost: str) -> list[str]:
    """Return the commands for an existing user. `rabbitmqctl add_user` is left out: it asks for the password, which belongs in no command line."""
    user = quote(account.user)
    grant = f"rabbitmqctl set_permissions -p {quote(vhost)} {user} {quote(account.configure)} {quote(account.write)} {quote(account.read)}"
    return [grant, f"rabbitmqctl set_user_tags {user} {account.tag}"] if account.tag else [grant]
