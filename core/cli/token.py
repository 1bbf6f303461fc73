"""The command ``tocsin token``: creates, lists and revokes API tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.table import Table
from rich.text import Text

from tocsin.core.auth.tokens import TokenStore
from tocsin.core.cli.context import Context, Failure, pass_context
from tocsin.core.contracts.route import Role
from tocsin.core.runtime.owned import private_files
from tocsin.core.units import parse_duration


def _store(context: Context) -> TokenStore:
    directory = context.data_dir()
    if hint := context.hint:
        click.echo(f"tocsin: these are the tokens of {directory}{hint}", err=True)
    return TokenStore(directory / "tokens.db")


@contextmanager
def _telling() -> Iterator[None]:
    """Turn errors of a name, a duration or the token file into a Failure.

    Files that are written inside the block are readable by the user only.
    """
    try:
        with private_files():
            yield
    except (ValueError, OverflowError) as error:
        raise Failure(str(error), 2) from error
    except OSError as error:
        raise Failure(f"the tokens cannot be used: {error}") from error


@click.group()
def token() -> None:
    """Create, list and revoke API tokens. A running tocsin applies the change at once."""


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="viewer reads, operator also acts, admin also administers.",
)
@click.option(
    "--expires", metavar="DURATION", help="How long it is valid, such as 90d [default: for ever]."
)
@pass_context
def create(context: Context, name: str, role: str, expires: str | None) -> None:
    """Create a token called NAME and print it. It cannot be shown again later."""
    with _telling():
        ttl = None if expires is None else parse_duration(expires)
        plain = _store(context).create(name, Role(role), ttl)
    click.echo(plain)


@token.command("list")
@pass_context
def list_(context: Context) -> None:
    """List the tokens: names, roles, expiry; never the tokens themselves."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("name", "role", "created", "expires", "state"):
        table.add_column(column)
    with _telling():
        tokens = _store(context).all()
    for info in tokens:
        table.add_row(
            Text(info.name),
            info.role.value,
            f"{info.created_at:%Y-%m-%d %H:%M} UTC",
            "never" if info.expires_at is None else f"{info.expires_at:%Y-%m-%d %H:%M} UTC",
            info.state,
        )
    context.console.print(table)


@token.command()
@click.argument("name")
@pass_context
def revoke(context: Context, name: str) -> None:
    """Revoke the token called NAME, at once and permanently."""
    try:
        with _telling():
            _store(context).revoke(name)
    except KeyError:
        raise Failure(f"no token is called {name!r}; 'tocsin token list' lists them") from None
    click.echo(f"{name} is revoked")
