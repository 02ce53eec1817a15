"""The help of every command, and what asking for it must not load."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from syrupy.assertion import SnapshotAssertion

from lowtide import __version__
from lowtide.batch import BatchState
from lowtide.cli import COMMAND, COMMANDS, EXIT_CODES
from lowtide.cli.pictures import BATCH_STATES, HOLDS, NOTHING_BOUGHT, STATES
from lowtide.dispatch import RunState
from lowtide.ledger import Reason

HEAVY = ("aiohttp", "sqlalchemy", "rich", "msgspec", "jinja2", "lowtide.engine")
NAMES = [name for name, *_ in COMMANDS if name != "simulator"]


def test_the_help_lists_every_command(snapshot: SnapshotAssertion) -> None:
    result = CliRunner().invoke(COMMAND, ["--help"], prog_name="lowtide")
    assert result.output == snapshot
    assert all(f"  {name}" in result.output for name, *_ in COMMANDS)
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_a_help(name: str, snapshot: SnapshotAssertion) -> None:
    result = CliRunner().invoke(COMMAND, [name, "--help"], prog_name="lowtide")
    assert result.exit_code == 0
    assert result.output == snapshot
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys, json\nfrom lowtide.cli import COMMAND\n"
        f"try: COMMAND.main({words!r}, prog_name='lowtide')\nexcept SystemExit as leave: code = leave.code\n"
        f"print(json.dumps([code, sorted(set({HEAVY!r}) & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_the_version() -> None:
    assert CliRunner().invoke(COMMAND, ["--version"], prog_name="lowtide").output == f"lowtide {__version__}\n"


@pytest.mark.parametrize("where", ["before", "after"])
def test_common_options_stand_before_or_after_the_command(where: str, tmp_path) -> None:
    option = ["--store", str(tmp_path / "here")]
    words = [*option, "config", "show"] if where == "before" else ["config", "show", *option]
    assert str(tmp_path / "here") in CliRunner().invoke(COMMAND, words).output.replace("\n", "").replace(" ", "")


def test_every_state_and_reason_has_a_word() -> None:
    assert {state.value for state in BatchState} | {"landed"} == set(BATCH_STATES)
    assert {state.value for state in RunState} == set(STATES)
    assert {reason.value for reason in Reason} == set(HOLDS)
    assert set(NOTHING_BOUGHT) - {"doubt_billed"} <= set(HOLDS), "what is settled is held no more"


def test_every_exit_code_is_told_once() -> None:
    assert [code for code, _ in EXIT_CODES] == [0, 1, 2, 3, 4, 5, 6, 7, 130]
