"""`mozzart hash-password`: what to put into ADMIN_PASSWORD instead of the password itself."""

from __future__ import annotations

import sys

import click

from cli import exit_code


@click.command("hash-password", short_help="Print the argon2 hash of a password.")
def hash_password() -> int:
    """Print the argon2 hash of a password, for ADMIN_PASSWORD; asks for it, or reads a line of standard input."""
    from api.guard.password import hash_of

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.UsageError("The password is empty.")
    click.echo(hash_of(password))
    return exit_code.OK
