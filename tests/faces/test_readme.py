"""The README runs: its console blocks are executed in order, its demo prints what it says, its table is the catalog's."""

import json
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from lowtide.catalog import Lane
from lowtide.cli import COMMANDS, EXIT_CODES
from lowtide.money import show_dollars
from lowtide.settings import load_catalog, read_settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guides" / "commands.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMAND = f"{shlex.quote(sys.executable)} -m lowtide.cli"


def shape(text: str) -> list[str]:
    """Keep the words: figures, ids, paths, times and the places where lines break may differ."""
    text = re.sub(r"(/\S+)+/demo-out", "DEMO-OUT", text)
    text = re.sub(r"\br_[0-9a-z]{7}\b", "RUN", text)
    text = re.sub(r"\b\d+ (?:d|h|min|s)\b(?: \d+ (?:h|min|s)\b)?", "SPAN", text)
    return re.sub(r"[+-]?\$?\d[\d.,]*", "N", text).split()


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder that looks like a clone, as far as the README needs it."""
    (folder / "src").symlink_to(ROOT / "src")
    return folder


def test_the_demo_prints_what_the_readme_shows(folder: Path) -> None:
    (block,) = [block for block in BLOCKS if block.startswith("$ make demo\n")]
    done = subprocess.run(
        [sys.executable, "-m", "lowtide.cli", "demo"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "equal to the last nano-dollar" in " ".join(done.stdout.split())
    assert shape(done.stdout) == shape(block.removeprefix("$ make demo\n"))
    assert max(map(len, done.stdout.splitlines())) <= 80
    documents = [path for path in (folder / "demo-out").rglob("*.md") if path.name != "index.md"]
    assert len(documents) > 300
    assert all("simulated: true" in path.read_text(encoding="utf-8") for path in documents)


def test_a_second_demo_begins_afresh_and_nobodys_folder_is_emptied(folder: Path) -> None:
    words = [sys.executable, "-m", "lowtide.cli", "demo", "-q", "--out"]
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").write_text("keep me")
    refused = subprocess.run([*words, "mine"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "is not empty and not of a demo" in refused.stderr
    assert (folder / "mine" / "letter.txt").read_text() == "keep me"
    for _ in range(2):
        done = subprocess.run([*words, "there"], cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0
        assert "313 documents written from 313 requests" in done.stdout


def test_the_other_steps_run(folder: Path, start_simulator) -> None:
    """The simulator of the README gets a free port here; everything else is typed as it stands."""
    address = start_simulator("--results-delay", "600")
    steps = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
    steps = steps[steps.index("lowtide simulator --port 8008") + 1 :]
    assert len(steps) >= 4
    script = "set -eu\n" + "\n".join(steps).replace("http://127.0.0.1:8008", address).replace("lowtide ", f"{COMMAND} ")
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Nothing has been sent or spent." in done.stdout
    assert "313 / 313" in done.stdout
    assert list((folder / "documents").rglob("index.md"))


def test_the_simulator_starts_as_the_readme_says() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lowtide.cli", "simulator", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    process.terminate()
    _, told = process.communicate(timeout=20)
    assert ready["simulated"] is True
    assert "nothing here costs anything" in told


def test_the_table_of_costs_is_the_catalogs() -> None:
    catalog = load_catalog(read_settings({}, {}, ROOT))
    each = {
        lane: catalog.sheet("anthropic", "claude-sonnet-4-5", lane, date(2025, 12, 22)).likely_nanos(50_000, 3_000)
        for lane in (Lane.REALTIME, Lane.BATCH)
    }
    for nodes in (100, 300, 1_000):
        realtime, batch = each[Lane.REALTIME] * nodes, each[Lane.BATCH] * nodes
        row = [f"{nodes:,}", show_dollars(realtime), show_dollars(batch), show_dollars(realtime - batch)]
        assert f"| {' | '.join(row)} |" in README
    assert show_dollars((each[Lane.REALTIME] - each[Lane.BATCH]) * 300 * 10 * 12) == "$3,510.00"


def test_every_command_and_exit_code_is_in_the_guide() -> None:
    for name, *_ in COMMANDS:
        assert f"lowtide {name}" in GUIDE, f"docs/guides/commands.md does not tell of {name}"
    for code, meaning in EXIT_CODES:
        assert re.search(rf"^\| {code} \| {re.escape(meaning)[:12]}", README.replace("`", ""), re.MULTILINE)


def test_every_page_is_in_the_navigation_and_every_link_leads_somewhere() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = sorted((ROOT / "docs").rglob("*.md"))
    assert len(pages) > 20
    for page in pages:
        assert str(page.relative_to(ROOT / "docs")) in navigation
        for target in re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page}: {target}"


def test_what_the_readme_points_at_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists() or target == "CONTRIBUTING.md", target
