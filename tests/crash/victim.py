"""A run in a process of its own over a real file and real TCP, killed from outside with SIGKILL, and judged at the end."""

import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from lowtide.store import Store, books
from lowtide.store.schema import ACCOUNTS, HOLDS, REQUESTS, TRANSFERS

PATIENCE_SECONDS = 120
MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" id="d" targetNamespace="t">
 <bpmn:process id="order" name="Order" isExecutable="true">
  <bpmn:startEvent id="s"/>
  <bpmn:userTask id="check" name="Check the order"/>
  <bpmn:subProcess id="ship" name="Ship it">
   <bpmn:serviceTask id="pack" name="Pack"/>
   <bpmn:userTask id="hand" name="Hand over"/>
   <bpmn:sequenceFlow id="f3" sourceRef="pack" targetRef="hand"/>
  </bpmn:subProcess>
  <bpmn:sequenceFlow id="f1" sourceRef="s" targetRef="check"/>
  <bpmn:sequenceFlow id="f2" sourceRef="check" targetRef="ship"/>
 </bpmn:process>
</bpmn:definitions>
"""


@dataclass(kw_only=True)
class Victim:
    """One simulator, one store, one run; ``kill_at`` and ``kill_after`` end its process, ``finish`` lets it live.

    ``model`` says by whom everything is answered; it goes out in batches, but for the first of each kind.
    """

    folder: Path
    seed: int
    faults: list[dict] = field(default_factory=list)
    model: str = "claude-sonnet-5-5"
    route: str = "batch"
    killed: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        (self.folder / "models").mkdir()
        (self.folder / "models" / "order.bpmn").write_text(MODEL)
        (self.folder / "faults.json").write_text(json.dumps(self.faults))
        self.simulator = subprocess.Popen(
            [
                sys.executable, "-m", "lowtide_simulator", "--port", "0", "--clock", "virtual", "--seed", str(self.seed),
                "--faults", str(self.folder / "faults.json"), "--results-delay", "30-900",
            ],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.simulator.stdout is not None
        self.address = json.loads(self.simulator.stdout.readline())["address"]
        models = str(self.folder / "models")
        planned = self._command("plan", models, "--json", "--model", self.model, "--route", self.route)
        out, _ = planned.communicate(timeout=PATIENCE_SECONDS)
        assert planned.returncode == 0, out
        self.plan_id = json.loads(out)["plan"]

    def _command(self, *words: str, stop_at: str = "") -> subprocess.Popen:
        environment = {**os.environ, "LOWTIDE_SIMULATOR": self.address, "LOWTIDE_STOP_AT": stop_at}
        environment["LOWTIDE_STORE"] = str(self.folder / "store")
        return subprocess.Popen(
            [sys.executable, "-m", "lowtide.cli", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def _run(self, stop_at: str = "") -> subprocess.Popen:
        return self._command("run", self.plan_id, "--yes", "--out", str(self.folder / "out"), stop_at=stop_at)

    def kill_at(self, point: str, nth: int) -> bool:
        """Let the run go on until it stops itself at a named point, then kill -9 it. False when it never got there."""
        process = self._run(f"{point}:{nth}")
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.stdout is not None
            process.stdout.close()
            return False
        self._kill(process)
        self.killed[point] += 1
        return True

    def kill_after(self, seconds: float) -> None:
        """Kill -9 the run from outside at a moment it knows nothing of."""
        process = self._run()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.killed["(a random moment)"] += 1
        self._kill(process)

    def _kill(self, process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE_SECONDS)
        assert process.stdout is not None
        process.stdout.close()

    def finish(self) -> int:
        """Let the run live to its end; gives its exit code."""
        process = self._run()
        process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode

    def judge(self) -> None:
        """Nothing lost, nothing bought twice, the simulator's bill equal to the books."""
        bill = self._ask("/_simulator/bill")
        lines = [json.loads(line) for line in self._read("/_simulator/bill/lines?limit=10000").splitlines()]
        store = Store(self.folder / "store").open()
        with store.read() as tx:
            assert books.imbalances(tx) == []
            states = Counter(tx.execute(select(REQUESTS.c.state)).scalars())
            spent = sum(tx.execute(select(ACCOUNTS.c.spent_nanos).where(ACCOUNTS.c.account_id.like("run:%"))).scalars())
            holds = tx.execute(select(HOLDS).where(HOLDS.c.remaining_nanos > 0)).all()
            settled: dict[tuple[str, int], int] = defaultdict(int)
            for row in tx.execute(select(TRANSFERS).where(TRANSFERS.c.verb == "settle")):
                settled[row.shard_id, row.ordinal] += row.amount_nanos
        store.close()
        assert set(states) == {"succeeded"}, states
        assert {hold.reason for hold in holds} <= {"doubt"}, holds
        names = Counter(line["custom_id"] for line in lines if line.get("batch_id"))
        assert all(count == 1 for count in names.values()), f"bought twice: {names}"
        doubts = sum(hold.remaining_nanos for hold in holds)
        assert 0 <= bill["nanos"] - spent <= doubts, f"bill {bill['nanos']}, books {spent}, doubts {doubts}"
        if not holds:
            assert bill["nanos"] == spent
        documents = [path for path in (self.folder / "out").rglob("*.md") if path.name != "index.md"]
        assert len(documents) == states["succeeded"]
        assert not list((self.folder / "out").rglob("*.part"))

    def _ask(self, path: str) -> dict:
        found: dict = json.loads(self._read(path))
        return found

    def _read(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE_SECONDS) as reply:
            body: bytes = reply.read()
            return body

    def bury(self) -> None:
        """End the simulator."""
        self.simulator.terminate()
        self.simulator.wait(timeout=PATIENCE_SECONDS)
        assert self.simulator.stdout is not None
        self.simulator.stdout.close()


def moments(seed: int, count: int) -> list[float]:
    """Draw moments to kill at, from before the first byte to near the end of a run."""
    chance = random.Random(seed)
    return [chance.uniform(0.2, 1.2) for _ in range(count)]
