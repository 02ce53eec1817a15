"""The command line: parse into one value, ask the engine, show. No arithmetic, no SQL, nothing decided here.

This file knows the commands by name and loads none of them: ``lowtide --help`` imports click and nothing else. It is
also the one place where an error becomes a message and an exit code; a traceback is a bug.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from lowtide import __version__
from lowtide.errors import LowtideError

# Name, module and function, section, one line of help. The reference page of the documentation is made from it.
COMMANDS: tuple[tuple[str, str, str, str], ...] = (
    ("plan", "plan:plan", "Buy", "Show what an input would cost. Sends nothing, spends nothing."),
    ("run", "run:run", "Buy", "Carry out a plan, go on with a run, or plan an input and run it."),
    ("worker", "run:worker", "Buy", "Go on with every run that is open."),
    ("webhooks", "webhooks:webhooks", "Buy", "Hear from OpenAI when to look, instead of waiting for the next look."),
    ("status", "status:status", "Look", "Show the runs, or one run with its batches."),
    ("results", "results:results", "Look", "Write what has landed, also while the rest still runs."),
    ("prices", "prices:prices", "Look", "Show what a model costs on a day, and where the figure is from."),
    ("raise", "steer:raise_cap", "Steer", "Give a run another cap."),
    ("retry", "steer:retry", "Steer", "Send again what failed and can succeed."),
    ("doubt", "doubt:doubt", "Steer", "List lost replies, which count as spent, or settle them."),
    ("cancel", "steer:cancel", "Steer", "Stop a run for good; what was bought is kept."),
    ("adopt", "steer:adopt", "Steer", "Take over batches that another program submitted."),
    ("doctor", "care:doctor", "Care", "Check key, limits, clock, disk, prices and books."),
    ("backup", "care:backup", "Care", "Copy the store while work goes on."),
    ("prune", "care:prune", "Care", "Forget bodies and answers of runs long over; the books stay."),
    ("config", "config:config", "Care", "Show the settings and where each is from."),
    ("demo", "demo:demo", "Try", "Run a shipped set of real models against the simulator. No key, no cost."),
    ("simulator", "simulator:simulator", "Try", "Start a provider to try against. No key, no cost."),
    ("completion", "config:completion", "Care", "Print the script that completes commands in your shell."),
)
SECTIONS = ("Buy", "Look", "Steer", "Care", "Try")
EXIT_CODES = (
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage or settings"),
    (3, "refused: over the budget or the cap, or not to be bought; nothing was spent"),
    (4, "the provider's key is missing or not accepted"),
    (5, "finished, with requests that failed or were never made"),
    (6, "paused at its cap"),
    (7, "plan --detailed-exitcode: differs from the saved plan"),
    (130, "left by Ctrl-C: what was submitted goes on"),
)
PROBLEMS_SHOWN = 100


class LazyGroup(click.Group):
    """The commands of ``COMMANDS``, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of the help."""
        return [name for section in SECTIONS for name, _, where, _ in COMMANDS if where == section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        for name, target, _, _ in COMMANDS:
            if name == cmd_name:
                module, _, function = target.partition(":")
                command = getattr(importlib.import_module(f"lowtide.cli.{module}"), function)
                assert isinstance(command, click.Command)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest ones when there is none of that name."""
        if args and args[0] not in self.list_commands(ctx):
            import difflib  # noqa: PLC0415 only a mistyped name pays for it

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"Did you mean {near[0]}?" if near else "lowtide --help lists them."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands from ``COMMANDS``, importing none of them."""
        for section in SECTIONS:
            rows = [(name, text) for name, _, where, text in COMMANDS if where == section]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=12)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:  # noqa: ANN401 click's own
        """Run a command and leave with its exit code, every error told in words."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **extra)
        except click.exceptions.Exit as leave:
            code = leave.exit_code
        except click.Abort:
            print("left; what was submitted goes on", file=sys.stderr)
            code = 130
        except KeyboardInterrupt:
            code = 130
        except click.ClickException as error:
            from lowtide.cli.failing import show_usage  # noqa: PLC0415 only what goes wrong pays for it

            code = show_usage(error, as_json="--json" in words)
        except BrokenPipeError:
            # Whoever read us has gone. Python would complain again when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except (LowtideError, OSError) as error:
            from lowtide.cli.failing import show_error  # noqa: PLC0415 as above

            code = show_error(error, as_json="--json" in words)
        sys.exit(code if isinstance(code, int) else 0)


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"lowtide {__version__}")
        ctx.exit(0)


EPILOG = "Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES) + "."


def _group() -> LazyGroup:
    from lowtide.cli.options import common  # noqa: PLC0415 it needs this file's names first

    group = LazyGroup(
        name="lowtide",
        help="Buys text from language models: shows the price first, waits for the cheap hour, never spends more than it"
        " was given, and keeps every receipt.",
        epilog=EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        no_args_is_help=True,
    )
    group.params.append(
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version."
        )
    )
    return common(group)


COMMAND = _group()


def main() -> NoReturn:
    """Run the command line, the entry point ``lowtide``."""
    COMMAND.main(prog_name="lowtide")
