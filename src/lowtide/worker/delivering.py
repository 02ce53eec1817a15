"""Documents out: written atomically where the workload's ``place`` says, exactly once, and read back.

A shard is delivered as a whole when it has landed; what crashed half way is written again with the same bytes. A file
that is there with other content than we last wrote is never overwritten: it is reported, and the document stays
in the store (``lowtide results``).
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from lowtide import points
from lowtide.dispatch import Deliver, Finish, RunState
from lowtide.money import decimal_dollars
from lowtide.providers import kept_answer
from lowtide.request import RequestKey
from lowtide.store import answers, plans, runs, shards
from lowtide.store.answers import Finished
from lowtide.store.runs import RunRow
from lowtide.store.segments import disk_failed, sync_folder
from lowtide.worker.hands import Hands
from lowtide.worker.waves import scope_of, workload_of
from lowtide.workload import Delivery, Document, Scope, Workload

HALF = 1
META_NAME_LENGTH = 40


async def deliver(hands: Hands, run: RunRow, command: Deliver) -> None:
    """Write the documents of a landed shard."""
    workload, scope = _workload(hands, run)
    foreign: list[str] = []
    folders: set[Path] = set()
    for count, row in enumerate(answers.of_shard(hands.store, command.shard_id)):
        if row.state != "succeeded" or workload.place(scope, RequestKey(row.key)) is None:
            continue
        document = workload.document(scope, _delivery(hands, run, row))
        if not write_document(Path(run.out), document):
            foreign.append(str(document.path))
        folders.add(Path(run.out).joinpath(*document.path.parent.parts))
        if count == HALF:
            points.reached("deliver.half_written")
    for folder in folders:
        sync_folder(folder)  # the new names are durable before the row says so
    points.reached("deliver.before_mark")
    now = await hands.clock.now()
    with hands.store.write() as tx:
        shards.set_shard(tx, command.shard_id, delivered_at=now)
        for path in foreign[:20]:
            runs.note(tx, run.run_id, now, f"{path} is there and is not ours: it was left as it is", level="warning")
        if len(foreign) > 20:
            runs.note(tx, run.run_id, now, f"and {len(foreign) - 20} more files were left as they are", level="warning")


async def finish(hands: Hands, run: RunRow, command: Finish) -> None:
    """Write the pages that list what there is, then say that the run is over."""
    if run.out and command.state is RunState.DONE:
        workload, scope = _workload(hands, run)
        finished = {RequestKey(row.key): row.outcome or row.state for row in answers.in_order(hands.store, run.plan_id)}
        for document in workload.indexes(scope, finished):
            await _write_index(hands, run, document)
    points.reached("finish.before_mark")
    now = await hands.clock.now()
    with hands.store.write() as tx:
        current = runs.find_run(tx, run.run_id)
        assert current is not None
        if current.state is not run.state or (command.state is RunState.DONE and runs.retrying_count(tx, current)):
            return  # its user said something else in the meantime: decide again
        if command.state is RunState.CANCELED:
            plans.drop_unsealed(tx, run.plan_id, run.sealed_seq)
            shards.set_all(tx, run.plan_id, state="canceled", was=["pending", "trying", "retry"])
        runs.set_state(tx, run.run_id, command.state, ended_at=now)
        runs.note(tx, run.run_id, now, f"run {command.state}")


def _workload(hands: Hands, run: RunRow) -> tuple[Workload, Scope]:
    with hands.store.read() as tx:
        row = plans.find_plan(tx, run.plan_id)
    assert row is not None
    return workload_of(hands, run), scope_of(row)


def _delivery(hands: Hands, run: RunRow, row: Finished) -> Delivery:
    assert row.answer_at is not None
    outcome = kept_answer(hands.codecs[row.provider], hands.store.body(row.answer_at))
    return Delivery(
        key=RequestKey(row.key),
        kind=row.kind,
        model=outcome.model,
        plan_id=run.plan_id,
        text=outcome.text,
        stop_reason=outcome.stop_reason,
        usage=row.usage,
        cost_dollars="unknown" if row.cost is None else decimal_dollars(row.cost),
        simulated=hands.simulated,
        gaps=row.gaps,
    )


async def _write_index(hands: Hands, run: RunRow, document: Document) -> None:
    """Write a page that changes from one end of a run to the next; one that somebody edited is left as it is.

    What may be replaced is what a run of this store wrote: its digest is remembered before the file is there.
    """
    target = Path(run.out).joinpath(*document.path.parts)
    name = _digest(str(target).encode())[:META_NAME_LENGTH]
    with hands.store.write() as tx:
        known = (hands.store.meta(tx, name) or "").split()
        hands.store.set_meta(tx, name, " ".join([*known[-1:], _digest(document.text.encode())]))
    if not write_document(Path(run.out), document, replaces=known):
        now = await hands.clock.now()
        with hands.store.write() as tx:
            hands.store.set_meta(tx, name, " ".join(known))
            text = f"{target} is there and was not written so by us: it was left as it is"
            runs.note(tx, run.run_id, now, text, level="warning")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_document(out: Path, document: Document, *, replaces: Collection[str] = ()) -> bool:
    """Write one file whole or not at all; False when another file is in its place. Raises: StoreUnusable.

    What is there is replaced only where its SHA-256 (hex) is one of ``replaces``: the same bytes are no change, and
    other bytes are somebody's work.
    """
    target = out.joinpath(*document.path.parts)
    content = document.text.encode()
    try:
        if target.exists():
            found = target.read_bytes()
            if found == content:
                return True
            if _digest(found) not in replaces:
                return False
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name[:80]}.{os.getpid()}.part")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as error:
        raise disk_failed(error, target) from error
    return True
