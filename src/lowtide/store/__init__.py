"""The only memory: a SQL database for what is decided upon, segment files for what was asked and answered.

One code for SQLite (WAL, every commit synced) and PostgreSQL. Every method here opens, migrates, begins or ends; the
statements themselves are functions in this folder, one statement each. A writing transaction takes the write lock at its
beginning, so two processes wait for each other and never see half of anything.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from lowtide.errors import StoreUnusable
from lowtide.store import segments
from lowtide.store.schema import META, SEGMENTS
from lowtide.store.segments import Place, SegmentReader, SegmentWriter

SCHEMA = "0001"  # the newest migration; a store with a newer one is refused
BUSY_SECONDS = 30
ROWS_AT_ONCE = 50  # with the 18 columns of the widest table: below the 999 values that every SQLite takes

Transaction = Connection


class Store:
    """One store: its database and its folder of segments.

    ``folder`` holds ``store.db`` (unless ``url`` names another database) and ``segments/``; both are readable by their
    owner alone. ``on_write`` is called before and after every commit, for tests that stop between any two writes.
    """

    def __init__(
        self, folder: Path, *, url: str = "", durable: bool = True, on_write: Callable[[str], None] | None = None
    ) -> None:
        self.folder = folder
        self._durable = durable
        self._on_write = on_write
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "segments").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise segments.disk_failed(error, folder) from error
        try:
            self.url = _address(url) if url else URL.create("sqlite", database=str(folder / "store.db"))
        except ArgumentError as error:
            # Without the address itself: a password may stand in it.
            raise StoreUnusable(
                "the setting database is no database address", hint="postgresql://USER@HOST/NAME, or nothing for SQLite"
            ) from error
        dialect = self.url.drivername.partition("+")[0]
        self.is_sqlite = dialect == "sqlite"
        if not self.is_sqlite and dialect != "postgresql":
            raise StoreUnusable(f"a store on {dialect} is not supported", hint="use SQLite or PostgreSQL")
        self._writing = self._engine(write=True)
        self._reading = self._engine(write=False)
        self.bodies = SegmentReader(self.segment_path)

    def open(self) -> "Store":
        """Connect, migrate if needed, and refuse a store of a newer version. Raises: StoreUnusable."""
        with self._translated():
            version = self._version()
            if version is not None and version > SCHEMA:
                raise StoreUnusable(
                    f"this store was written by a newer lowtide (schema {version}, this one knows {SCHEMA})",
                    hint="install the newer version again; the store was not touched",
                )
            if version != SCHEMA or not self._has_wal():  # new, of an older lowtide, or a copy
                self._migrate()
        if self.is_sqlite:
            for name in ("store.db", "store.db-wal", "store.db-shm"):
                with suppress(FileNotFoundError):
                    (self.folder / name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        return self

    def close(self) -> None:
        """Let go of files and connections."""
        self.bodies.close()
        self._writing.dispose()
        self._reading.dispose()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Look, in one consistent snapshot."""
        with self._translated(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change, all or nothing. The write lock is taken first."""
        with self._translated():
            if self._on_write is not None:
                self._on_write("before")
            with self._writing.connect() as connection, connection.begin():
                yield connection
            if self._on_write is not None:
                self._on_write("after")

    def bulk(self, tx: Transaction, statement: str, rows: list[tuple[Any, ...]]) -> int:
        """Run one statement (``?`` for each value) for many rows, at the driver's own speed; gives the rows changed."""
        if not rows:
            return 0
        if not self.is_sqlite:
            statement = statement.replace("?", "%s")
        return tx.exec_driver_sql(statement, rows).rowcount

    def insert(self, tx: Transaction, columns: str, row: str, rows: Sequence[tuple[Any, ...]], tail: str = "") -> int:
        """Insert many rows, ``ROWS_AT_ONCE`` a statement, for a statement costs as much as a row; gives the rows written.

        ``columns`` names table and columns, ``row`` is one row in brackets (``?`` for each value), ``tail`` what follows.
        """

        def statement(count: int) -> str:
            return f"insert into {columns} values {', '.join([row] * count)} {tail}"  # words of this folder alone

        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        groups = [rows[start : start + ROWS_AT_ONCE] for start in range(0, whole, ROWS_AT_ONCE)]
        written = self.bulk(tx, statement(ROWS_AT_ONCE), [tuple(chain.from_iterable(group)) for group in groups])
        return written + self.bulk(tx, statement(1), list(rows[whole:]))

    # segments

    def segment_path(self, number: int) -> Path:
        """Give the file of a segment."""
        return self.folder / "segments" / f"{number:08d}.seg"

    def new_segment(self, purpose: str, writer: str, now: datetime) -> SegmentWriter:
        """Begin a segment; its row is there before its file."""
        with self.write() as tx:
            number = tx.execute(
                SEGMENTS.insert()
                .values(purpose=purpose, writer=writer, sealed=False, pruned=False, created_at=now)
                .returning(SEGMENTS.c.segment)
            ).scalar_one()
        return SegmentWriter(self.segment_path(number), number, durable=self._durable)

    def seal_segment(self, writer: SegmentWriter) -> None:
        """Close a segment for good."""
        writer.close()
        with self.write() as tx:
            tx.execute(SEGMENTS.update().where(SEGMENTS.c.segment == writer.number).values(sealed=True))

    def body(self, where: int) -> bytes:
        """Read a record by its place."""
        return self.bodies.read(Place(where))

    # meta

    def meta(self, tx: Transaction, name: str) -> str | None:
        """Read one remembered word."""
        value: str | None = tx.execute(
            META.select().where(META.c.name == name).with_only_columns(META.c.value)
        ).scalar()
        return value

    def set_meta(self, tx: Transaction, name: str, value: str) -> None:
        """Remember one word."""
        if tx.execute(META.update().where(META.c.name == name).values(value=value)).rowcount == 0:
            tx.execute(META.insert().values(name=name, value=value))

    def set_money(self, *, simulated: bool) -> None:
        """Bind the store to simulated or to real money at its first use. Raises: StoreUnusable when it is the other."""
        wanted = "simulated" if simulated else "real"
        with self.read() as tx:
            found = self.meta(tx, "money")
        if found is None:
            with self.write() as tx:  # two may be first at once: only one of them writes, and both read what is written
                insert_missing(tx, META, {"name": "money", "value": wanted})
                found = self.meta(tx, "money")
        if found != wanted:
            raise StoreUnusable(
                f"the store in {self.folder} holds {found} money and cannot be used with {wanted} money",
                hint="use another store: --store FOLDER or LOWTIDE_STORE",
            )

    def backup(self, target: Path) -> None:
        """Copy the store to a new folder, consistent although work goes on. Raises: StoreUnusable."""
        if not self.is_sqlite:
            raise StoreUnusable(
                "only a store on SQLite is copied by lowtide", hint="use pg_dump, and copy the folder's segments/"
            )
        if target.exists():
            raise StoreUnusable(f"{target} is there already", hint="name a folder that does not exist")
        try:
            target.mkdir(mode=0o700, parents=True)
            (target / "segments").mkdir(mode=0o700)
            with self._translated():
                self._vacuum_into(target / "store.db")
            (target / "store.db").chmod(stat.S_IRUSR | stat.S_IWUSR)
            # Every place in the copied rows was synced before them, so copying the files afterwards misses nothing.
            for path in sorted((self.folder / "segments").glob("*.seg")):
                shutil.copy2(path, target / "segments" / path.name)
        except OSError as error:
            raise segments.disk_failed(error, target) from error

    # inside

    def _engine(self, *, write: bool) -> Engine:
        if not self.is_sqlite:
            return create_engine(
                self.url, isolation_level="READ COMMITTED" if write else "REPEATABLE READ", pool_pre_ping=True
            )
        engine = create_engine(self.url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: object) -> None:  # noqa: ANN401 a driver's own connection
            connection.isolation_level = None  # we say BEGIN ourselves
            cursor = connection.cursor()
            # FULL: a paid submission survives a power cut, too.
            cursor.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.execute("PRAGMA cache_size=-16000")
            cursor.execute("PRAGMA temp_store=FILE")
            cursor.close()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return engine

    def _version(self) -> str | None:
        with self._reading.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
            return version

    def _has_wal(self) -> bool:
        """Say whether readers and a writer may be at work side by side: the file itself remembers it.

        Asked of SQLite and not read from the file: who closes it, opened in whatever way, drops every lock that this process
        has on it (sqlite.org/howtocorrupt.html, section 2.2, checked 2026-11-22).
        """
        if not self.is_sqlite:
            return True
        with self._reading.connect() as connection:
            connection.exec_driver_sql("select 1 from sqlite_master").first()  # one that has not read says what it knew
            return bool(connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal")

    def _enter_wal(self) -> None:
        """Give the file a write-ahead log, by a connection of its own.

        That takes the whole file, and SQLite refuses it at once while anybody reads, whatever the timeout. An exclusive
        transaction does wait, and in this mode what it took is kept until the connection is closed.
        """
        with closing(sqlite3.connect(self.url.database or "", BUSY_SECONDS, isolation_level=None)) as alone:
            try:
                for statement in (
                    "PRAGMA locking_mode=EXCLUSIVE",
                    "BEGIN EXCLUSIVE",
                    "COMMIT",
                    "PRAGMA journal_mode=WAL",
                ):
                    alone.execute(statement)
            except sqlite3.OperationalError as error:
                raise self._unusable(error) from error

    def _migrate(self) -> None:
        """Run the migrations that are missing, one process at a time."""
        from alembic import command  # noqa: PLC0415 only a store that must change pays for this import
        from alembic.config import Config  # noqa: PLC0415

        with os.fdopen(os.open(self.folder / "migration.lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._has_wal():
                self._enter_wal()
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            with self._writing.connect() as connection:
                if not self.is_sqlite:  # the file keeps out processes of one folder, this those of other machines
                    connection.execute(text("select pg_advisory_xact_lock(718281828)"))
                if self._version() == SCHEMA:
                    return
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _vacuum_into(self, target: Path) -> None:
        """Copy the database in one snapshot; this one statement wants no transaction around it."""
        connection = self._reading.raw_connection()
        try:
            connection.cursor().execute("VACUUM INTO ?", (str(target),))
        except sqlite3.OperationalError as error:
            raise self._unusable(error) from error
        finally:
            connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the driver's complaints about disk, file and server into ours."""
        try:
            yield
        except OperationalError as error:
            raise self._unusable(error) from error
        except DBAPIError as error:
            if "not a database" in str(error.orig) or "malformed" in str(error.orig):
                raise StoreUnusable(
                    f"{self.folder} holds no readable store: {error.orig}", hint="restore a backup"
                ) from error
            raise

    def _unusable(self, error: Exception) -> StoreUnusable:
        cause = str(getattr(error, "orig", error)).strip()
        if "disk I/O" in cause:
            return StoreUnusable(
                f"the disk refused to read or write the store in {self.folder} ({cause})",
                hint="is it full, or failing? Then run the same command again; everything that was committed is kept",
            )
        if "full" in cause or "No space" in cause:
            return StoreUnusable(
                f"the disk is full: cannot write the store in {self.folder} ({cause})",
                hint="free some space and run the same command again; everything that was committed is kept",
            )
        if "locked" in cause:
            return StoreUnusable(
                f"the store in {self.folder} is kept busy by another process for over {BUSY_SECONDS} seconds",
                hint="look for a stuck lowtide process",
            )
        return StoreUnusable(f"the store in {self.folder} cannot be used: {cause}", hint="is the address right?")


def insert_missing(tx: Transaction, table: Table, values: Mapping[str, object]) -> bool:
    """Write a row unless one of its key is there already, also when two processes do it at once; says whether it did."""
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    written = tx.execute(insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key))
    return written.first() is not None


def _address(url: str) -> URL:
    """Read a database address; for PostgreSQL however it is written, with the driver that we install."""
    address = make_url(url)
    dialect = address.drivername.partition("+")[0]
    return address.set(drivername="postgresql+psycopg") if dialect in ("postgres", "postgresql") else address


def worker_name(clock_id: str) -> str:
    """Name this process, so that another on the same machine can see whether it still lives."""
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}:{clock_id}"[:40]


def worker_is_dead(name: str) -> bool:
    """Say whether a worker certainly died: it ran on this machine and its process is gone. Unknown is not dead."""
    host, pid, started, _ = [*name.split(":"), "", "", "", ""][:4]
    if host != _machine() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


@cache
def _machine() -> str:
    """Name this machine, this boot and this space of process ids: containers on one machine do not see each other."""
    known = [os.uname().nodename]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        try:
            known.append(str(path.readlink()) if path.is_symlink() else path.read_text())
        except OSError:
            known.append("")
    return hashlib.sha256("|".join(known).encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """Give the kernel's start time of a process, empty when there is none (or no /proc: then only leases decide)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19][-9:]


__all__ = ["SCHEMA", "Store", "Transaction", "insert_missing", "worker_is_dead", "worker_name"]
