"""Settings: files, environment and flags become one value, and each says where it came from.

Order, later wins: the defaults here, the user's ``lowtide.toml``, the project's ``lowtide.toml``, ``LOWTIDE_*``, flags.
A provider's key is never a setting: only a reference to it is (``env:NAME``, ``file:PATH``, ``keyring:SERVICE/USER``).
"""

import importlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from lowtide.catalog import PACKAGED, Catalog, LimitName
from lowtide.catalog.parse import parse
from lowtide.dispatch import DispatchRules
from lowtide.errors import CredentialMissing, InputRefused, Problem, SettingsInvalid
from lowtide.pacing import Measure, OutputCounted, PacingRules
from lowtide.providers.openai_profiles import PROFILES
from lowtide.providers.registry import PROTOCOLS
from lowtide.retry import RetryRules
from lowtide.routing import RouteRules
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
    Setting(name="openai_base_url", default="https://api.openai.com", help="where OpenAI is reached"),
    Setting(name="openai_api_key", default="env:OPENAI_API_KEY", help="where OpenAI's key is, as api_key"),
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
    Setting(name="tier", default="start", help="Anthropic's usage tier, for its limits: start, build, scale"),
    Setting(name="openai_tier", default="1", help="OpenAI's usage tier, for its limits: 1 to 5"),
    Setting(
        name="route", default="auto", help="how requests go out: auto, batch, realtime, 2h or 8h (OpenAI's windows)"
    ),
    Setting(name="realtime_below", default=50, help="fewer requests than this go in real time, without a deadline"),
    Setting(
        name="one_batch_through", default=1000, help="up to so many requests make one batch, above that several do"
    ),
    Setting(name="in_flight_max", default=256, help="real-time calls at once, at one provider"),
    Setting(
        name="caching",
        default="auto",
        help="prompt caches: auto (where it pays, with one request of each prefix first), at-once (no waiting), off",
    ),
    Setting(
        name="doubts",
        default="resend",
        help="a real-time request whose reply was lost: resend (a second hold), or wait for lowtide doubt",
    ),
    Setting(
        name="tokens",
        default="local",
        help="how prompts are counted: local (judged from their letters), exact (OpenAI's vocabularies; needs the extra"
        " tokens), counted (exact, and the provider's free counter where it decides something)",
    ),
    Setting(name="tries_max", default=4, help="tries of one request, the first included"),
    Setting(
        name="settle_delay_seconds",
        default=90,
        help="wait after a lost create before it is believed never to have arrived",
    ),
    Setting(
        name="poll_seconds_min",
        default=5,
        help="seconds between two looks at a young batch; a quarter less where another is looked at anyway",
    ),
    Setting(name="poll_seconds_max", default=300, help="seconds between two looks at an old batch"),
)
CHOICES = {
    "route": ("auto", "batch", "realtime", "2h", "8h"),
    "caching": ("auto", "at-once", "off"),
    "doubts": ("resend", "wait"),
    "tokens": ("local", "exact", "counted"),
}
BY_NAME = {setting.name: setting for setting in SETTINGS}


MEASURES = {
    "requests_per_minute": Measure.REQUESTS,
    "input_tokens_per_minute": Measure.INPUT_TOKENS,
    "output_tokens_per_minute": Measure.OUTPUT_TOKENS,
    "tokens_per_minute": Measure.TOKENS,
}
LIMITS = tuple(MEASURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One provider: how it is spoken to (``protocol``, and the ``profile`` of its accent), where, and with which key.

    An empty ``api_key`` means that it wants none. ``tier`` is the account's, in the provider's words; ``limits`` are its own
    limits a minute by name (``LIMITS``), where the catalog does not know them or they were raised.
    """

    name: str
    protocol: str
    profile: str
    base_url: str
    api_key: str
    tier: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings in force. ``origins`` maps each name to where its value is from; paths are absolute."""

    store: str
    database: str
    simulator: str
    base_url: str
    api_key: str
    openai_base_url: str
    openai_api_key: str
    credential: str
    model: str
    language: str
    prices: str
    batch_requests_max: int
    queued_requests_max: int
    tier: str
    openai_tier: str
    route: str
    realtime_below: int
    one_batch_through: int
    in_flight_max: int
    caching: str
    doubts: str
    tokens: str
    tries_max: int
    settle_delay_seconds: int
    poll_seconds_min: int
    poll_seconds_max: int
    origins: Mapping[str, str]
    providers: tuple[ProviderSettings, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether time and money are simulated."""
        return bool(self.simulator)

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

    def route_rules(self) -> RouteRules:
        """Give the numbers of choosing a lane."""
        return RouteRules(
            realtime_below=self.realtime_below,
            one_batch_through=self.one_batch_through,
            poll_seconds_max=self.poll_seconds_max,
        )

    def pacing_rules(self, catalog: Catalog, provider: str, model: str, day: date) -> PacingRules:
        """Give the limits of real-time calls to a model: our own word first, then the catalog's for the account's tier."""
        chosen = next(each for each in self.providers if each.name == provider)
        limits: dict[Measure, int] = {}
        for name, measure in MEASURES.items():
            found = chosen.limits.get(name)
            if found is None and not self.simulated:
                found = catalog.limit_of(provider, LimitName(name), model, day, tier=chosen.tier)
            if found is not None:
                limits[measure] = found
        openai = chosen.protocol == "openai"
        return PacingRules(
            in_flight_max=self.in_flight_max,
            limits=limits,
            output_counted=OutputCounted.LIMIT if openai else OutputCounted.WRITTEN,
            cache_reads_count=openai,
            refusals_count=openai,
            token_step=1 if openai else 1000,
        )

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
    tables: dict[str, dict[str, str | int]] = {}
    for path in (_user_file(environment), folder / FILE_NAME):
        found, own = _file(path, problems)
        for name, value in found.items():
            values[name], origins[name] = value, str(path)
        for name, table in own.items():
            tables.setdefault(name, {}).update(table)
            origins |= {f"providers.{name}.{word}": str(path) for word in table}
    for name, table in tables.items():
        where = next((origins[key] for key in origins if key.startswith(f"providers.{name}.")), FILE_NAME)
        problems.extend(filter(None, [_wrong_wire(f"{where}: [providers.{name}]", name, table)]))
    for setting in SETTINGS:
        variable = f"LOWTIDE_{setting.name.upper()}"
        if environment.get(variable):
            values[setting.name], origins[setting.name] = environment[variable], variable
    for name, flag in flags.items():
        if flag is not None:
            values[name], origins[name] = flag, f"--{name.replace('_', '-')}"
    checked = {name: _checked(name, value, origins[name], folder, problems) for name, value in values.items()}
    if problems:
        raise SettingsInvalid(
            "; ".join(problems), hint="mend it where it is; docs/reference/settings.md lists every setting"
        )
    providers = _providers(checked, tables)
    settings = Settings(origins=origins, providers=providers, **checked)  # type: ignore[arg-type]
    if not settings.simulated and is_loopback(urlsplit(settings.base_url).hostname or ""):
        origins["base_url"] += " (a server on this machine: money is counted as real)"
    return settings


def credential(settings: Settings, provider: ProviderSettings, environment: Mapping[str, str]) -> str:
    """Read a provider's key from where its reference says; empty where it wants none. Raises: CredentialMissing."""
    if settings.simulated:
        return "sk-simulated"
    if not provider.api_key:
        return ""
    said = {"anthropic": "LOWTIDE_API_KEY=", "openai": "LOWTIDE_OPENAI_API_KEY="}.get(provider.name, "api_key = ")
    shown = {"anthropic": "Anthropic", "openai": "OpenAI"}.get(provider.name, provider.name)
    return read_secret(
        provider.api_key,
        environment,
        what=f"key for {shown}",
        elsewhere=f"point at a file or keyring with {said}file:PATH",
        where_said="see api_key in: lowtide config show --origin",
    )


def read_secret(reference: str, environment: Mapping[str, str], *, what: str, elsewhere: str, where_said: str) -> str:
    """Read what a reference points at: ``env:NAME``, ``file:PATH`` or ``keyring:SERVICE/USER``.

    ``what`` names the secret in messages; ``elsewhere`` is the way for who has no variable, ``where_said`` where the reference
    is from. Raises: CredentialMissing, also for a file that others can read.
    """
    kind, _, where = reference.partition(":")
    secret = ""
    hint = where_said
    if kind == "env":
        secret = environment.get(where, "").strip()
        hint = f"export {where}=..., or {elsewhere}"
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
        raise CredentialMissing(f"no {what}: {reference} is empty or not set", hint=hint)
    if not (secret.isascii() and secret.isprintable()):
        raise CredentialMissing(f"{reference} holds more than a key: several lines, or letters no key has", hint=hint)
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


def _providers(
    values: Mapping[str, str | int], tables: Mapping[str, Mapping[str, str | int]]
) -> tuple[ProviderSettings, ...]:
    """Put the providers together: the two that are always there, and those that the files add or say more of."""
    known = {
        "anthropic": {
            "protocol": "anthropic",
            "profile": "anthropic",
            "base_url": values["base_url"],
            "api_key": values["api_key"],
            "tier": values["tier"],
        },
        "openai": {
            "protocol": "openai",
            "profile": "openai",
            "base_url": values["openai_base_url"],
            "api_key": values["openai_api_key"],
            "tier": values["openai_tier"],
        },
    }
    made: list[ProviderSettings] = []
    for name in (*known, *(name for name in tables if name not in known)):
        said = {"protocol": "openai", "base_url": "", "api_key": "", "tier": ""}
        said |= {**known.get(name, {}), **tables.get(name, {})}  # type: ignore[dict-item]
        said.setdefault("profile", _profile(name, said["protocol"]))
        words = {word: str(said[word]) for word in ("protocol", "profile", "base_url", "api_key", "tier")}
        limits = {word: int(said[word]) for word in LIMITS if word in said}
        made.append(ProviderSettings(name=name, limits=limits, **words))
    return tuple(made)


def _profile(name: str, protocol: str) -> str:
    """Name the profile of a table that names none: the one of its name, else the plainest of its protocol."""
    plainest = "anthropic" if protocol == "anthropic" else "compatible"
    return name if name in PROTOCOLS.get(protocol, ()) else plainest


def _wrong_wire(where: str, name: str, table: Mapping[str, str | int]) -> str:
    """Say what is wrong with a table's protocol, profile or address, if anything is; all files together are one table."""
    protocol = str(table.get("protocol") or (name if name in PROTOCOLS else "openai"))
    if name in PROTOCOLS and protocol != name:
        return f"{where}: {name} speaks {name}; another protocol needs a table of another name"
    if protocol not in PROTOCOLS:
        return f"{where}: protocol must be one of {', '.join(PROTOCOLS)}, not {protocol!r}"
    profile = str(table.get("profile") or _profile(name, protocol))
    if profile not in PROTOCOLS[protocol]:
        return f"{where}: profile must be one of {', '.join(PROTOCOLS[protocol])}, not {profile!r}"
    known = name in PROTOCOLS or (profile in PROFILES and PROFILES[profile].base_url)
    return "" if known or table.get("base_url") else f"{where}: base_url is missing: where is it reached?"


def _tables(path: Path, found: object, problems: list[str]) -> dict[str, dict[str, str | int]]:
    """Read ``[providers.NAME]`` tables, with everything that is wrong with them."""
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        problems.append(f"{path}: providers must be tables: [providers.NAME]")
        return {}
    words = ("protocol", "profile", "base_url", "api_key", "tier")
    tables: dict[str, dict[str, str | int]] = {}
    for name, table in found.items():
        where = f"{path}: [providers.{name}]"
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            problems.append(f"{where}: a provider's name has small letters, digits and hyphens")
        for word, value in table.items():
            if word in LIMITS:
                if type(value) is not int or not 1 <= value <= NUMBER_MAX:
                    problems.append(f"{where}: {word} must be a whole number above 0, not {value!r}")
            elif word not in words:
                problems.append(
                    f"{where}: no setting of a provider is called {word!r}; there are {', '.join(words + LIMITS)}"
                )
            elif not isinstance(value, str):
                problems.append(f"{where}: {word} must be text, not {value!r}")
        key = table.get("api_key", "")
        if key and not str(key).startswith(("env:", "file:", "keyring:")):
            problems.append(
                f"{where}: api_key is a reference (env:NAME, file:PATH, keyring:SERVICE/USER), never the key"
            )
        url = str(table.get("base_url", ""))
        if url.startswith("http:") and not is_loopback(urlsplit(url).hostname or "") and key:
            problems.append(f"{where}: base_url would send the key unencrypted to {url}")
        elif url and urlsplit(url).scheme not in ("http", "https"):
            problems.append(f"{where}: base_url must be an address such as http://127.0.0.1:8080, not {url!r}")
        tables[name] = {word: value for word, value in table.items() if word in words + LIMITS}
    return tables


def _file(path: Path, problems: list[str]) -> tuple[dict[str, str | int], dict[str, dict[str, str | int]]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{path}: {error}")
        return {}, {}
    tables = _tables(path, table.pop("providers", {}), problems)
    for name in sorted(set(table) - set(BY_NAME)):
        problems.append(f"{path}: no setting is called {name!r}")
    return {name: value for name, value in table.items() if name in BY_NAME}, tables


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
    if name in ("api_key", "openai_api_key") and not value.startswith(("env:", "file:", "keyring:")):
        problems.append(f"{origin}: {name} is a reference (env:NAME, file:PATH, keyring:SERVICE/USER), never the key")
        return str(BY_NAME[name].default)
    if name in CHOICES and value not in CHOICES[name]:
        problems.append(f"{origin}: {name} must be one of {', '.join(CHOICES[name])}, not {value!r}")
    if (
        name in ("simulator", "base_url", "openai_base_url")
        and value
        and urlsplit(value).scheme not in ("http", "https")
    ):
        problems.append(f"{origin}: {name} must be an address such as http://127.0.0.1:8008, not {value!r}")
    if name == "simulator" and value and not is_loopback(urlsplit(value).hostname or ""):
        problems.append(f"{origin}: the simulator must run on this machine, not at {value}")
    if (
        name in ("base_url", "openai_base_url")
        and value.startswith("http:")
        and not is_loopback(urlsplit(value).hostname or "")
    ):
        problems.append(f"{origin}: {name} would send the key unencrypted to {value}")
    if name == "store" and value:
        return str((folder / Path(value).expanduser()).resolve())
    return value


assert {each.name for each in fields(Settings)} == {*BY_NAME, "origins", "providers"}
