"""Desks of faces: commands run in a small folder against a simulator of its own, and one picture of what they printed,
with what changes from run to run replaced by its name."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from lowtide.cli import COMMAND

ROOT = Path(__file__).resolve().parents[2]
MODEL = "claude-haiku-4-5"

# What differs from one run to the next, and the name that stands for it. Names keep the columns where they can.
VOLATILE = (
    (re.compile(r"\bp_[0-9a-z]{7}\b"), "p_PLANPLA"),
    (re.compile(r"\br_[0-9a-z]{7}\b"), "r_RUNRUNR"),
    (re.compile(r"\blt[0-9a-hjkmnp-tv-z]{14}\b"), "ltSHARDSHARDSHA"),
    (re.compile(r"\bmsgbatch_\w{24}\b"), "msgbatch_BATCHBATCHBATCHBATCHBATC"),
    (re.compile(r"\bbatch_[0-9a-f]{32}\b"), "batch_BATCHBATCHBATCHBATCHBATCHBATCHBA"),
    (re.compile(r"\bmsg_\w{24}\b"), "msg_MESSAGE"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://ADDRESS"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=127\.0\.0\.1', )\d+"), "PORT"),
    (re.compile(r"[\d.]+ GiB free"), "N GiB free"),
    (re.compile(r"/tmp/lt-\w{8}"), "/tmp/lt-FOLDER00"),
    (re.compile(r"process \d+"), "process PID"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """What one command printed, and its exit code."""

    words: tuple[str, ...]
    out: str
    err: str
    code: int

    def __str__(self) -> str:
        """Draw it as a person sees it, what is volatile replaced."""
        text = "$ " + " ".join(["lowtide", *self.words]) + "\n" + self.out
        if self.err:
            text += "--- standard error\n" + self.err
        return plain(text + f"--- exit {self.code}\n")

    @property
    def told(self) -> str:
        """What stands on standard error, what is volatile replaced."""
        return plain(self.err)

    @property
    def objects(self) -> list[dict[str, object]]:
        """Read the JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def plain(text: str) -> str:
    """Replace what is volatile."""
    for pattern, name in VOLATILE:
        text = pattern.sub(name, text)
    return text


@dataclass(slots=True)
class Desk:
    """A folder, an environment, and the command line in it."""

    folder: Path
    environment: dict[str, str]
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __call__(self, *words: str, typed: str | None = None) -> Said:
        """Run a command in this process."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            result = CliRunner(env={**self.environment}).invoke(COMMAND, list(words), input=typed, prog_name="lowtide")
        finally:
            os.chdir(before)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(words, result.stdout, result.stderr, result.exit_code)

    def process(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command as a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lowtide.cli", *words],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Stop what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def run_id(self) -> str:
        """Name the newest run."""
        runs = self("status", "--json").objects[0]["runs"]
        assert isinstance(runs, list)
        return str(runs[0]["run"])

    def write(self, name: str, text: str) -> Path:
        """Put a file into the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def requests(self, count: int, *, name: str = "requests.jsonl", max_tokens: int = 200) -> str:
        """Write a batch file with so many requests; gives its name."""
        lines = [
            {
                "custom_id": f"row {number}/ö",
                "params": {
                    "model": MODEL,
                    "max_tokens": max_tokens,
                    "messages": [{"role": "user", "content": f"Say {number} in words."}],
                },
            }
            for number in range(count)
        ]
        self.write(name, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        return name


@contextmanager
def simulators() -> Iterator[Callable[..., str]]:
    """Start simulators; each call gives an address, all are stopped at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> str:
        words = [sys.executable, "-m", "lowtide_simulator", "--seed", "7", *flags]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return str(json.loads(process.stdout.readline())["address"])

    yield start
    for process in running:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
