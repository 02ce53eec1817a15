"""Documents out: written atomically where the workload's ``place`` says, exactly once, and read back.

A shard is delivered as a whole when it has landed; what crashed half way is written again with the same bytes. A file
that is there with other content, and that we did not write, is never overwritten: it is reported, and the document stays
in the store (``lowtide results``).
"""

import os
from pathlib import Path

from lowtide import points
from lowtide.dispatch import Deliver, Finish, RunState
from lowtide.money import decimal_dollars
from lowtide.request import RequestKey
from lowtide.result import Succeeded
from lowtide.store import answers, plans, runs, shards
from lowtide.store.answers import Finished
from lowtide.store.runs import RunRow
from lowtide.store.segments import disk_failed, sync_folder
from lowtide.worker.hands import Hands
from lowtide.worker.waves import scope_of, workload_of
from lowtide.workload import Delivery, Document, Scope, Workload

HALF = 1


async def deliver(hands: Hands, run: RunRow, command: Deliver) -> None:
    """Write the documents of a landed shard."""
    workload, scope = _workload(hands, run)
    foreign: list[str] = []
    folders: set[Path] = set()
    for count, row in enumerate(answers.of_shard(hands.store, command.shard_id)):
        if row.state != "succeeded" or workload.place(scope, RequestKey(row.key)) is None:
            continue
        document = workload.document(scope, _delivery(hands, run, row))
        if not write_document(Path(run.out), document, ours=f"plan: {run.plan_id}"):
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
            write_document(Path(run.out), document, ours="lowtide")
    points.reached("finish.before_mark")
    now = await hands.clock.now()
    with hands.store.write() as tx:
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
    outcome = hands.codec.decode_message(status=200, headers={}, body=hands.store.body(row.answer_at))
    assert isinstance(outcome, Succeeded)
    return Delivery(
        key=RequestKey(row.key),
        kind=row.kind,
        model=outcome.model,
        plan_id=run.plan_id,
        text=outcome.text,
        stop_reason=outcome.stop_reason,
        usage=row.usage,
        cost_dollars=decimal_dollars(row.cost),
        simulated=hands.simulated,
        gaps=row.gaps,
    )


def write_document(out: Path, document: Document, *, ours: str) -> bool:
    """Write one file whole or not at all; False when a foreign file is in its place. Raises: StoreUnusable.

    A file counts as ours when it carries ``ours`` near its beginning.
    """
    target = out.joinpath(*document.path.parts)
    content = document.text.encode()
    try:
        if target.exists():
            found = target.read_bytes()
            if found == content:
                return True
            if ours.encode() not in found[:4096]:
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
