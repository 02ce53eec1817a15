"""``lowtide simulator``: becomes the simulator, a program of its own that shares no code with this one."""

import os
import sys

import click


@click.command(
    short_help="Start a provider to try against.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def simulator(words: tuple[str, ...]) -> int:
    """Start a provider to try against; every flag is its own: lowtide simulator --help."""
    sys.stdout.flush()
    if not any(word in ("-h", "--help") for word in words):
        print("A simulated provider: nothing here costs anything. Ctrl-C stops it.", file=sys.stderr, flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "lowtide_simulator", *words])  # noqa: S606 a list of words, no shell
