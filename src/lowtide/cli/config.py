"""``lowtide config`` and ``lowtide completion``: what this tool is set to, and how a shell completes it. Never a secret."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click

from lowtide.cli.desk import settings_of
from lowtide.cli.options import Choices, choices, with_json
from lowtide.settings import SETTINGS, Settings

BUILT_IN = ("anthropic", "openai")  # their words are settings already
WORDS = ("protocol", "profile", "base_url", "api_key", "tier")


@click.group(short_help="Show the settings and where each is from.", invoke_without_command=False)
def config() -> None:
    """Show the settings."""


@with_json
@click.command(name="show", short_help="Show the settings in force; never a key.")
@click.option("--origin", is_flag=True, help="Say where each value is from.")
def show(origin: bool) -> int:
    """Show the settings in force; a key is never among them, only where it is kept."""
    chosen = choices()
    settings = settings_of(chosen)
    rows = [
        (each.name, _without_password(getattr(settings, each.name)), settings.origins[each.name]) for each in SETTINGS
    ]
    rows += _tables(settings)
    if chosen.json:
        from lowtide.cli.shapes import print_json  # noqa: PLC0415 one of two ways

        values = [{"name": name, "value": value, "origin": where} for name, value, where in rows]
        print_json({"type": "settings", "settings": values, "store_folder": str(settings.store_folder)})
        return 0
    _show(chosen, rows, origin=origin)
    return 0


def _tables(settings: Settings) -> Iterator[tuple[str, str | int, str]]:
    """List the words of every ``[providers.NAME]`` table, and what holds where a provider of one's own is silent."""
    for provider in settings.providers:
        words: dict[str, str | int] = {word: getattr(provider, word) for word in WORDS} | dict(provider.limits)
        for word, value in words.items():
            name = f"providers.{provider.name}.{word}"
            if name in settings.origins or provider.name not in BUILT_IN:
                yield name, _without_password(value), settings.origins.get(name, "default")


def _show(chosen: Choices, rows: list[tuple[str, Any, str]], *, origin: bool) -> None:
    from lowtide.cli import pictures, screen  # noqa: PLC0415 one of two ways

    columns = ["NAME", "VALUE", "FROM"] if origin else ["NAME", "VALUE"]
    made = screen.table(*columns, fold=(1, 2))
    for name, value, where in rows:
        shown = "-" if value == "" else str(value)
        made.add_row(name, shown, *([where] if origin else []))
    pictures.show(screen.console(chosen), made)


def _without_password(value: str | int) -> str | int:
    """Leave the password out of an address."""
    if not isinstance(value, str) or "@" not in value or "://" not in value:
        return value
    parts = urlsplit(value)
    user, _, secret = parts.netloc.rpartition("@")[0].partition(":")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}" if secret else f"{user}@{host}"))


config.add_command(show)


@click.command(short_help="Print the script that completes commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the script that completes commands and run ids in your SHELL.

    bash: eval "$(lowtide completion bash)"; zsh: the same with zsh; fish: lowtide completion fish | source
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 only here

    from lowtide.cli import COMMAND  # noqa: PLC0415 the whole line is completed

    found = get_completion_class(shell)
    assert found is not None, f"click completes {shell}"
    print(found(COMMAND, {}, "lowtide", "_LOWTIDE_COMPLETE").source())
    return 0


__all__ = ["Choices", "completion", "config"]
