"""Settings: files, environment and flags become one value, and each says where it came from.

Order, later wins: the defaults here, the user's ``lowtide.toml``, the project's ``lowtide.toml``, ``LOWTIDE_*``, flags.
A provider's key is never a setting: only a reference to it is (``env:NAME``, ``file:PATH``, ``keyring:SERVICE/USER``).
"""

import importlib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from lowtide.catalog import PACKAGED, Catalog
from lowtide.catalog.parse import parse
from lowtide.dispatch import DispatchRules
from lowtide.errors import CredentialMissing, InputRefused, Problem, SettingsInvalid
from lowtide.retry import RetryRules
from lowtide.transport import is_loopback

FILE_NAME = "lowtide.toml"
NUMBER_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: its name, what it is when nobody says otherwise, and one line of help."""

    name: str
    default: str | int
    help: str


# The table of settings; the reference page of the documentation is made from it.
SETTINGS: tuple[Setting, ...] = (
    Setting(name="store", default="", help="folder of the store; default: the state folder of your system"),
    Setting(
        name="database", default="", help="database address, for a store on PostgreSQL; default: SQLite in the store"
    ),
    Setting(
        name="simulator", default="", help="address of a running simulator: its clock, its answers, simulated money"
    ),
    Setting(name="base_url", default="https://api.anthropic.com", help="where the provider is reached"),
    Setting(
        name="api_key",
        default="env:ANTHROPIC_API_KEY",
        help="where the key is: env:NAME, file:PATH, keyring:SERVICE/USER",
    ),
    Setting(name="credential", default="default", help="name of the key in runs and messages; never the key itself"),
    Setting(name="model", default="claude-sonnet-5-5", help="model of requests that name none"),
    Setting(name="language", default="en", help="language of the shipped prompts"),
    Setting(name="prices", default="", help="price files of your own, separated by a colon"),
    Setting(
        name="batch_requests_max",
        default=100_000,
        help="requests in one batch, at most (the provider's limit holds too)",
    ),
    Setting(
        name="queued_requests_max", default=200_000, help="requests in open batches at most (Anthropic's Start tier)"
    ),
    Setting(name="tries_max", default=4, help="tries of one request, the first included"),
    Setting(
        name="settle_delay_seconds",
        default=90,
        help="wait after a lost create before it is believed never to have arrived",
    ),
    Setting(name="poll_seconds_min", default=5, help="seconds between two looks at a young batch"),
    Setting(name="poll_seconds_max", default=300, help="seconds between two looks at an old batch"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force. ``origins`` maps each name to where its value is from; paths are absolute."""

    store: str
    database: str
    simulator: str
    base_url: str
    api_key: str
    credential: str
    model: str
    language: str
    prices: str
    batch_requests_max: int
    queued_requests_max: int
    tries_max: int
    settle_delay_seconds: int
    poll_seconds_min: int
    poll_seconds_max: int
    origins: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether time and money are simulated."""
        return bool(self.simulator)

    @property
    def provider_url(self) -> str:
        """Where calls go."""
        return self.simulator or self.base_url

    @property
    def store_folder(self) -> Path:
        """The store's folder; simulated and real money never share one."""
        if self.store:
            return Path(self.store)
        import platformdirs  # noqa: PLC0415 only when no store is named

        folder = Path(platformdirs.user_state_dir("lowtide", appauthor=False))
        return folder / "simulated" if self.simulated else folder / "store"

    def dispatch_rules(self) -> DispatchRules:
        """Give the rules of sending."""
        return DispatchRules(queued_requests_max=self.queued_requests_max, shard_requests_max=self.batch_requests_max)

    def retry_rules(self) -> RetryRules:
        """Give the rules of patience."""
        return RetryRules(
            tries_max=self.tries_max,
            settle_delay=timedelta(seconds=self.settle_delay_seconds),
            poll_min=timedelta(seconds=self.poll_seconds_min),
            poll_max=timedelta(seconds=self.poll_seconds_max),
        )


def read_settings(flags: Mapping[str, str | int | None], environment: Mapping[str, str], folder: Path) -> Settings:
    """Put the settings together. ``flags`` are those given on the command line (``None``: not given).

    Raises: SettingsInvalid with everything that is wrong.
    """
    values: dict[str, str | int] = {setting.name: setting.default for setting in SETTINGS}
    origins = dict.fromkeys(values, "default")
    problems: list[str] = []
    for path in (_user_file(environment), folder / FILE_NAME):
        for name, value in _file(path, problems).items():
            values[name], origins[name] = value, str(path)
    for setting in SETTINGS:
        variable = f"LOWTIDE_{setting.name.upper()}"
        if environment.get(variable):
            values[setting.name], origins[setting.name] = environment[variable], variable
    for name, flag in flags.items():
        if flag is not None:
            values[name], origins[name] = flag, f"--{name.replace('_', '-')}"
    checked = {name: _checked(name, value, origins[name], folder, problems) for name, value in values.items()}
    if problems:
        raise SettingsInvalid("; ".join(problems), hint="lowtide config show --origin says where each value is from")
    settings = Settings(origins=origins, **checked)  # type: ignore[arg-type]
    if not settings.simulated and is_loopback(urlsplit(settings.base_url).hostname or ""):
        origins["base_url"] += " (a server on this machine: money is counted as real)"
    return settings


def credential(settings: Settings, environment: Mapping[str, str]) -> str:
    """Read the provider's key from where its reference says. Raises: CredentialMissing."""
    if settings.simulated:
        return "sk-simulated"
    kind, _, where = settings.api_key.partition(":")
    secret = ""
    hint = "see api_key in: lowtide config show --origin"
    if kind == "env":
        secret = environment.get(where, "").strip()
        hint = f"export {where}=..., or point at a file or keyring with LOWTIDE_API_KEY=file:PATH"
    elif kind == "file":
        try:
            path = Path(where).expanduser()
            if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
                raise CredentialMissing(f"{where} can be read by others", hint=f"chmod 600 {where}")
            secret = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CredentialMissing(f"cannot read the key in {where}: {error.strerror}", hint=hint) from error
    elif kind == "keyring":
        service, _, user = where.partition("/")
        keyring = importlib.import_module("keyring")
        try:
            secret = keyring.get_password(service, user) or ""
        except keyring.errors.KeyringError as error:
            raise CredentialMissing(f"the keyring does not answer: {error}", hint=hint) from error
    if not secret:
        raise CredentialMissing(f"no key for Anthropic: {settings.api_key} is empty or not set", hint=hint)
    return secret


def load_catalog(settings: Settings) -> Catalog:
    """Read the packaged price files and the user's own. Raises: InputRefused with every problem of the user's files."""
    packaged = resources.files("lowtide.catalog")
    files = {name: packaged.joinpath(name).read_bytes() for name in PACKAGED}
    problems: list[Problem] = []
    for name in filter(None, settings.prices.split(":")):
        try:
            files[name] = Path(name).read_bytes()
        except OSError as error:
            problems.append(Problem(where=name, what=f"cannot read this price file: {error.strerror}"))
    catalog, found = parse(files)
    problems.extend(found)
    if problems:
        raise InputRefused(problems)
    return catalog


def _user_file(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")  # noqa: PTH118
    return Path(home) / "lowtide" / FILE_NAME


def _file(path: Path, problems: list[str]) -> dict[str, str | int]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: {error}")
        return {}
    for name in sorted(set(table) - set(BY_NAME)):
        problems.append(f"{path}: no setting is called {name!r}")
    return {name: value for name, value in table.items() if name in BY_NAME}


def _checked(name: str, value: object, origin: str, folder: Path, problems: list[str]) -> str | int:
    if isinstance(BY_NAME[name].default, int):
        try:
            number = int(str(value))
        except ValueError:
            number = 0
        if not 1 <= number <= NUMBER_MAX:
            problems.append(
                f"{origin}: {name} must be a whole number above 0 and at most {NUMBER_MAX:,}, not {value!r}"
            )
        return number
    if not isinstance(value, str):
        problems.append(f"{origin}: {name} must be text, not {value!r}")
        return ""
    if name == "api_key" and not value.startswith(("env:", "file:", "keyring:")):
        problems.append(f"{origin}: api_key is a reference (env:NAME, file:PATH, keyring:SERVICE/USER), never the key")
        return "env:ANTHROPIC_API_KEY"
    if name in ("simulator", "base_url") and value and urlsplit(value).scheme not in ("http", "https"):
        problems.append(f"{origin}: {name} must be an address such as http://127.0.0.1:8008, not {value!r}")
    if name == "simulator" and value and not is_loopback(urlsplit(value).hostname or ""):
        problems.append(f"{origin}: the simulator must run on this machine, not at {value}")
    if name == "base_url" and value.startswith("http:") and not is_loopback(urlsplit(value).hostname or ""):
        problems.append(f"{origin}: base_url would send the key unencrypted to {value}")
    if name == "store" and value:
        return str((folder / Path(value).expanduser()).resolve())
    return value


assert {field.name for field in fields(Settings)} == {*BY_NAME, "origins"}
