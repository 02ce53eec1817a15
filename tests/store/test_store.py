"""``store/__init__``: opening, migrating, reading, writing, refusing, copying; on SQLite and on PostgreSQL."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from world import NOW, PAYEE, PLAN, Home, add_batch, add_plan, add_run, add_shard, land, landed

import lowtide.store
from lowtide.batch import BatchState
from lowtide.errors import StoreUnusable
from lowtide.store import SCHEMA, Store, answers, books, plans, shards, worker_is_dead, worker_name
from lowtide.store.schema import METADATA, REQUESTS, Instant


def versions(home: Home) -> list[str]:
    with home.store().read() as tx:
        return list(tx.execute(text("select version_num from alembic_version")).scalars())


# migrations


def same_type(_context: object, _inspected: object, _column: object, _theirs: object, ours: object) -> bool | None:
    return False if isinstance(ours, Instant) else None


def test_the_migrations_make_exactly_the_schema(home: Home) -> None:
    store = home.open()
    with store.read() as tx:
        # SQLite gives a default back as it was written; PostgreSQL compares what it means, and speaks for both.
        options = {"compare_type": True, "compare_server_default": not store.is_sqlite}
        context = MigrationContext.configure(tx, opts=options)
        assert compare_metadata(context, METADATA) == []
    assert versions(home) == [SCHEMA]


def constraints(tx: Connection) -> set[tuple[str, str]]:
    if tx.dialect.name == "sqlite":
        rows = tx.execute(text("select name, sql from sqlite_master where type = 'table'"))
        return {(name, word) for name, sql in rows for word in sql.split() if word.startswith("ck_")}
    query = "select conrelid::regclass::text, conname from pg_constraint where contype = 'c' and conrelid > 0"
    return {(table, name) for table, name in tx.execute(text(query))}


def test_the_migrations_make_every_check_of_the_schema(home: Home) -> None:
    """Autogenerate does not compare checks."""
    wanted = {
        (table.name, str(METADATA.naming_convention["ck"] % {"table_name": table.name, "constraint_name": check.name}))
        if not str(check.name).startswith("ck_")
        else (table.name, str(check.name))
        for table in METADATA.tables.values()
        for check in table.constraints
        if type(check).__name__ == "CheckConstraint"
    }
    with home.open().read() as tx:
        assert constraints(tx) == wanted
    assert len(wanted) >= 7


def test_a_store_is_opened_again_as_it_was(home: Home) -> None:
    add_plan(home.open())
    with home.open().read() as tx:
        assert plans.find_plan(tx, PLAN) is not None


def test_a_newer_store_is_refused_and_not_touched(home: Home) -> None:
    store = home.open()
    with store.write() as tx:
        tx.execute(text("update alembic_version set version_num = '0999'"))
    store.close()
    before = (home.folder / "store.db").read_bytes() if home.kind == "sqlite" else b""
    with pytest.raises(StoreUnusable, match="newer lowtide") as refused:
        home.open()
    assert "not touched" in refused.value.hint
    assert versions(home) == ["0999"]
    if home.kind == "sqlite":
        assert (home.folder / "store.db").read_bytes() == before


NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade():
    with op.batch_alter_table("batches") as table:
        table.add_column(sa.Column("colour", sa.String(10), nullable=False, server_default="blue"))
"""


@pytest.fixture
def next_lowtide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The lowtide to come, whose schema has one more migration."""
    source = Path(lowtide.store.__file__).parent / "migrations"
    target = tmp_path / "next" / "migrations"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "versions" / "0002_next.py").write_text(NEXT_MIGRATION, encoding="utf-8")

    def install() -> None:
        monkeypatch.setattr(lowtide.store, "__file__", str(tmp_path / "next" / "__init__.py"))
        monkeypatch.setattr(lowtide.store, "SCHEMA", "0002")

    return install


def test_an_older_store_is_migrated_with_batches_open(home: Home, next_lowtide: Callable[[], None]) -> None:
    store = home.open()
    add_run(store)
    add_shard(store)
    batch_id = add_batch(store, state=BatchState.RUNNING, provider_batch_id="msgbatch_1", verified=True)
    store.close()
    next_lowtide()
    store = home.open()
    assert versions(home) == ["0002"]
    with store.read() as tx:
        assert shards.batch(tx, batch_id).state is BatchState.RUNNING
        assert tx.execute(text("select colour from batches")).scalar() == "blue"
        assert books.imbalances(tx) == []
    land(store, [landed(0)])


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    home: Home, next_lowtide: Callable[[], None], tmp_path: Path
) -> None:
    store = home.open()
    add_plan(store)
    store.close()
    next_lowtide()
    broken = NEXT_MIGRATION + "    op.execute('update nothing set a = 1')\n"
    (tmp_path / "next/migrations/versions/0002_next.py").write_text(broken, encoding="utf-8")
    with pytest.raises((StoreUnusable, Exception), match="nothing"):
        home.open()
    assert versions(home) == ["0001"]
    with home.store().read() as tx:
        assert "colour" not in [row[0] for row in tx.execute(text("select * from batches")).cursor.description]
        assert plans.find_plan(tx, PLAN) is not None


def test_two_processes_may_open_a_new_store_at_once(home: Home) -> None:
    problems: list[BaseException] = []
    stores = [home.store() for _ in range(4)]
    gate = threading.Barrier(len(stores))

    def open_it(store: Store) -> None:
        gate.wait()
        try:
            store.open()
        except BaseException as error:  # noqa: BLE001 what a thread raised is looked at below
            problems.append(error)

    threads = [threading.Thread(target=open_it, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert versions(home) == [SCHEMA]


def test_who_opens_a_new_store_waits_for_whoever_reads_it(tmp_path: Path) -> None:
    """SQLite gives no write-ahead log to a file that anybody reads: it refuses at once, whatever the timeout."""
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("create table t (a)")
        other.execute("begin")
        other.execute("select * from t").fetchall()
        store, problems = Store(tmp_path, durable=False), []

        def open_it() -> None:
            try:
                store.open()
            except StoreUnusable as error:
                problems.append(error)

        thread = threading.Thread(target=open_it)
        thread.start()
        while thread.is_alive() and not (tmp_path / "migration.lock").exists():
            pass
        other.execute("commit")
        thread.join()
    assert problems == []
    with store.read() as tx:
        assert tx.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    store.close()


def test_a_store_that_is_opened_twice_here_keeps_its_locks(tmp_path: Path) -> None:
    """Whoever opens the file and closes it would drop them, and another process might then take the log away."""
    stores = [Store(tmp_path, durable=False).open() for _ in range(2)]
    take = "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;"
    script = f"import sqlite3; sqlite3.connect({str(tmp_path / 'store.db')!r}, 0).executescript({take!r})"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    for store in stores:
        store.close()


def test_a_copy_of_a_store_gets_its_write_ahead_log_when_it_is_opened(tmp_path: Path) -> None:
    store = Store(tmp_path / "one", durable=False).open()
    store.backup(tmp_path / "two")
    store.close()
    copy = Store(tmp_path / "two", durable=False).open()
    with copy.read() as tx:
        assert tx.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    copy.close()


# reading and writing


def test_a_write_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(KeyError), store.write() as tx:  # noqa: PT012 the transaction is what is tested
        books.open_account(tx, PAYEE, None)
        raise KeyError
    with store.read() as tx:
        assert books.find_account(tx, PAYEE) is None


def test_a_reader_sees_one_moment_although_others_write(store: Store, reopened: Callable[[], Store]) -> None:
    add_plan(store)
    other = reopened()
    with store.read() as tx:
        count = len(tx.execute(select(REQUESTS.c.seq)).all())
        with other.write() as writing:
            plans.drop_plan(writing, PLAN)
        assert len(tx.execute(select(REQUESTS.c.seq)).all()) == count == 3
    with store.read() as tx:
        assert tx.execute(select(REQUESTS.c.seq)).all() == []


def test_a_hook_is_called_before_and_after_every_commit(migrated: Home) -> None:
    calls: list[str] = []
    store = migrated.open(calls.append)
    calls.clear()
    with store.write():
        assert calls == ["before"]
    assert calls == ["before", "after"]
    with pytest.raises(KeyError), store.write():
        raise KeyError
    assert calls == ["before", "after", "before"]


def test_a_hook_that_stops_before_the_commit_leaves_nothing(migrated: Home) -> None:
    def stop(moment: str) -> None:
        raise InterruptedError(moment)

    store = migrated.open()
    with pytest.raises(InterruptedError), migrated.store(stop).write() as tx:
        books.open_account(tx, PAYEE, None)
    with store.read() as tx:
        assert books.find_account(tx, PAYEE) is None


def test_words_are_remembered_and_replaced(store: Store) -> None:
    with store.write() as tx:
        assert store.meta(tx, "colour") is None
        store.set_meta(tx, "colour", "blue")
        store.set_meta(tx, "colour", "green")
    with store.read() as tx:
        assert store.meta(tx, "colour") == "green"


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_a_store_of_one_money_refuses_the_other(
    store: Store, reopened: Callable[[], Store], first: bool, second: bool
) -> None:
    store.set_money(simulated=first)
    store.set_money(simulated=first)
    with pytest.raises(StoreUnusable, match=r"holds (simulated|real) money") as refused:
        reopened().set_money(simulated=second)
    assert "--store" in refused.value.hint


def test_of_two_first_users_with_different_money_one_is_refused(migrated: Home) -> None:
    """The other came between our look and our write."""
    other = migrated.open()

    def first(moment: str) -> None:
        if moment == "before":
            other.set_money(simulated=True)

    with pytest.raises(StoreUnusable, match="holds simulated money"):
        migrated.open(first).set_money(simulated=False)
    with other.read() as tx:
        assert other.meta(tx, "money") == "simulated"


# refusals


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no database address"):
        Store(tmp_path / "store", url="not an address")


def test_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="mysql is not supported") as refused:
        Store(tmp_path / "store", url="mysql://localhost/x")
    assert refused.value.hint == "use SQLite or PostgreSQL"


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", url=f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    with pytest.raises(StoreUnusable, match="cannot be used") as refused:
        store.open()
    assert refused.value.hint == "is the address right?"
    store.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_plain_postgresql_address_uses_the_installed_driver(tmp_path: Path, scheme: str) -> None:
    """What people write, and what `pip install lowtide[postgres]` brings."""
    store = Store(tmp_path / "store", url=f"{scheme}://nobody@/none?host={tmp_path}")
    with pytest.raises(StoreUnusable, match="cannot be used"):
        store.open()
    store.close()


def test_a_file_that_is_no_store_is_said_to_be_none(sqlite_home: Home) -> None:
    sqlite_home.folder.mkdir()
    (sqlite_home.folder / "store.db").write_bytes(b"this is no database at all, but a letter" * 200)
    with pytest.raises(StoreUnusable, match="no readable store") as refused:
        sqlite_home.open()
    assert refused.value.hint == "restore a backup"


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match="cannot write"):
        Store(tmp_path / "file" / "store")


def test_a_store_kept_busy_for_too_long_is_said_to_be_so(sqlite_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_home.open()
    monkeypatch.setattr(lowtide.store, "BUSY_SECONDS", 0)
    with (
        sqlite_home.store().write(),
        pytest.raises(StoreUnusable, match="kept busy by another process"),
        sqlite_home.store().write(),
    ):
        pass


# a full disk


@pytest.fixture
def full(sqlite_home: Home) -> Store:
    """A store whose disk holds little more than the schema."""
    store = sqlite_home.open()
    add_run(store, 3)
    with store.read() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
    with store.write() as tx:
        tx.exec_driver_sql(f"PRAGMA max_page_count={pages + 3}")
    return store


def test_a_full_disk_is_said_to_be_full_and_nothing_is_lost(full: Store, sqlite_home: Home) -> None:
    with pytest.raises(StoreUnusable, match="the disk is full") as refused, full.write() as tx:  # noqa: PT012 as above
        books.write_account(tx, books.Account(account_id=PAYEE, limit=None, spent=5))  # type: ignore[attr-defined]
        shards.set_all(tx, PLAN, state="trying", was=["pending"])
        for number in range(2000):
            full.set_meta(tx, f"word {number}", "x" * 4000)
    assert "everything that was committed is kept" in refused.value.hint
    with sqlite_home.open().read() as tx:
        account = books.find_account(tx, PAYEE)
        assert account is not None
        assert account.spent == 0
        assert [count.state for count in answers.states(tx, PLAN)] == ["pending"]
        assert books.imbalances(tx) == []
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_after_space_was_freed_the_same_store_goes_on(full: Store) -> None:
    def fill() -> None:
        with full.write() as tx:
            for number in range(2000):
                full.set_meta(tx, f"word {number}", "x" * 4000)

    with pytest.raises(StoreUnusable, match="the disk is full"):
        fill()
    with full.write() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count=1000000")
    fill()


# permissions


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_may_read(sqlite_home: Home) -> None:
    before = os.umask(0)  # the loosest there is
    try:
        store = sqlite_home.open()
        writer = store.new_segment("bodies", "w", NOW)
        writer.append(b"secret")
        writer.sync()
        store.seal_segment(writer)
        store.close()
        store = sqlite_home.open()
        add_plan(store)
    finally:
        os.umask(before)
    assert mode(sqlite_home.folder) == 0o700
    assert mode(sqlite_home.folder / "segments") == 0o700
    files = [path for path in sqlite_home.folder.rglob("*") if path.is_file()]
    assert {path.name: mode(path) for path in files if mode(path) & 0o077} == {}
    assert {"store.db", "00000001.seg"} <= {path.name for path in files}


# copies


def fill(store: Store) -> None:
    add_run(store)
    add_shard(store)
    add_batch(store)
    writer = store.new_segment("answers", "w", NOW)
    place = writer.append(b"the answer")
    writer.sync()
    store.seal_segment(writer)
    land(store, [landed(0, answer_at=place)])


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.read() as tx:
        return {name: [tuple(row) for row in tx.execute(select(table))] for name, table in METADATA.tables.items()}


def test_a_backup_opens_and_is_equal(sqlite_home: Home, tmp_path: Path) -> None:
    store = sqlite_home.open()
    fill(store)
    target = tmp_path / "copies" / "one"
    with store.write() as tx:  # work goes on
        store.set_meta(tx, "colour", "blue")
    store.backup(target)
    copy = Store(target).open()
    assert rows(copy) == rows(store)
    finished = list(answers.in_order(copy, PLAN, states=["succeeded"]))
    assert [copy.body(row.answer_at) for row in finished if row.answer_at] == [b"the answer"]
    assert mode(target) == mode(target / "segments") == 0o700
    assert mode(target / "store.db") == 0o600
    copy.close()


def test_a_backup_is_taken_while_another_writes(sqlite_home: Home, tmp_path: Path) -> None:
    store = sqlite_home.open()
    fill(store)
    with store.write() as tx:
        store.set_meta(tx, "colour", "not committed")
        sqlite_home.store().backup(tmp_path / "copy")
    copy = Store(tmp_path / "copy").open()
    with copy.read() as tx:
        assert copy.meta(tx, "colour") is None
    copy.close()


def test_a_backup_never_overwrites(sqlite_home: Home, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="is there already"):
        sqlite_home.open().backup(tmp_path)


def test_a_backup_that_cannot_be_written_says_so(sqlite_home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match="cannot write"):
        sqlite_home.open().backup(tmp_path / "file" / "copy")


def test_postgresql_is_copied_by_its_own_tool(store: Store, tmp_path: Path) -> None:
    if store.is_sqlite:
        store.backup(tmp_path / "copy")
        assert (tmp_path / "copy" / "store.db").exists()
    else:
        with pytest.raises(StoreUnusable, match="only a store on SQLite") as refused:
            store.backup(tmp_path / "copy")
        assert "pg_dump" in refused.value.hint


# complaints of drivers


def test_a_broken_law_of_the_schema_is_ours_and_stays_what_it_is(store: Store) -> None:
    add_plan(store)
    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(REQUESTS.update().values(state="sold"))


@pytest.mark.parametrize(
    ("cause", "match"),
    [("No space left on device", "disk is full"), ("disk I/O error", "disk refused"), ("went away", "cannot be used")],
)
def test_complaints_are_put_into_our_words(store: Store, cause: str, match: str) -> None:
    with pytest.raises(StoreUnusable, match=match), store.write():
        raise OperationalError("insert", {}, sqlite3.OperationalError(cause))


# names of processes


def test_this_process_lives() -> None:
    name = worker_name("abcde")
    assert not worker_is_dead(name)
    assert len(name) <= 40
    assert name.endswith(":abcde")


def test_a_process_that_is_gone_is_dead() -> None:
    host, _, started, clock_id = worker_name("abcde").split(":")
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert worker_is_dead(f"{host}:{gone.pid}:{started}:{clock_id}")


def test_a_process_that_is_killed_and_not_yet_waited_for_is_dead() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        host = worker_name("abcde").split(":")[0]
        name = f"{host}:{child.pid}:{fields[19][-9:]}:abcde"
        assert not worker_is_dead(name)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is over, and still in the table
        assert worker_is_dead(name)


def test_another_process_of_the_same_number_does_not_hide_a_death() -> None:
    host, pid, _, clock_id = worker_name("abcde").split(":")
    assert worker_is_dead(f"{host}:{pid}:1:{clock_id}")


@pytest.mark.parametrize("name", ["elsewhere:1:5:abcde", "", "nonsense", "a:b:c:d:e", "host:x:1:y"])
def test_unknown_is_not_dead(name: str) -> None:
    assert not worker_is_dead(name)
