"""``settings``: every origin, every problem, and never a key."""

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from lowtide.errors import CredentialMissing, InputRefused, SettingsInvalid
from lowtide.pacing import Measure, OutputCounted, PacingRules
from lowtide.settings import (
    BY_NAME,
    CHOICES,
    SETTINGS,
    ProviderSettings,
    Settings,
    credential,
    load_catalog,
    read_settings,
)

SIMULATOR = "http://127.0.0.1:8008"
Flags = dict[str, str | int | None]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def write_user(environment: dict[str, str], text: str) -> Path:
    path = Path(environment["XDG_CONFIG_HOME"]) / "lowtide" / "lowtide.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(flags: Flags, environment: dict[str, str], folder: Path) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        read_settings(flags, environment, folder)
    assert "docs/reference/settings.md" in refused.value.hint, "lowtide config show would stop at the same"
    assert refused.value.exit_code == 2
    return refused.value.message


# origins


def test_without_anybody_s_word_the_defaults_hold(environment: dict[str, str], project: Path) -> None:
    settings = read_settings({}, environment, project)
    assert {setting.name: getattr(settings, setting.name) for setting in SETTINGS} == {
        setting.name: setting.default for setting in SETTINGS
    }
    assert set(settings.origins.values()) == {"default"}


def test_later_origins_win_and_each_value_says_where_it_is_from(environment: dict[str, str], project: Path) -> None:
    user = write_user(environment, 'model = "user"\ncredential = "user"\nlanguage = "user"\ntries_max = 2\n')
    (project / "lowtide.toml").write_text('model = "project"\ncredential = "project"\nlanguage = "project"\n')
    environment |= {"LOWTIDE_MODEL": "environment", "LOWTIDE_CREDENTIAL": "environment", "LOWTIDE_PRICES": ""}
    settings = read_settings({"model": "flag", "credential": None}, environment, project)
    assert (settings.model, settings.origins["model"]) == ("flag", "--model")
    assert (settings.credential, settings.origins["credential"]) == ("environment", "LOWTIDE_CREDENTIAL")
    assert (settings.language, settings.origins["language"]) == ("project", str(project / "lowtide.toml"))
    assert (settings.tries_max, settings.origins["tries_max"]) == (2, str(user))
    assert settings.origins["prices"] == "default", "an empty variable says nothing"


def test_the_user_s_file_may_lie_below_home(environment: dict[str, str], project: Path) -> None:
    del environment["XDG_CONFIG_HOME"]
    path = Path(environment["HOME"]) / ".config" / "lowtide" / "lowtide.toml"
    path.parent.mkdir(parents=True)
    path.write_text('model = "home"')
    assert read_settings({}, environment, project).model == "home"


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_setting_may_be_a_variable(environment: dict[str, str], project: Path, name: str) -> None:
    values = {
        "simulator": SIMULATOR,
        "base_url": "https://proxy.example",
        "api_key": "file:/key",
        "openai_base_url": "https://proxy.example/v1",
        "openai_api_key": "file:/other",
        "store": "/store",
    }
    value = values.get(name, CHOICES[name][-1] if name in CHOICES else "7")
    settings = read_settings({}, environment | {f"LOWTIDE_{name.upper()}": value}, project)
    assert str(getattr(settings, name)) == value
    assert settings.origins[name] == f"LOWTIDE_{name.upper()}"


def test_flags_with_two_words_are_shown_as_typed(environment: dict[str, str], project: Path) -> None:
    assert read_settings({"tries_max": 3}, environment, project).origins["tries_max"] == "--tries-max"


def test_a_store_is_an_absolute_path(
    environment: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_settings({"store": "here"}, environment, project).store == str(project / "here")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert read_settings({"store": "~/there"}, environment, project).store == "/home/somebody/there"


def test_a_server_on_this_machine_that_is_no_simulator_is_pointed_out(
    environment: dict[str, str], project: Path
) -> None:
    settings = read_settings({"base_url": "http://localhost:9"}, environment, project)
    assert "money is counted as real" in settings.origins["base_url"]
    simulated = read_settings({"base_url": "http://localhost:9", "simulator": SIMULATOR}, environment, project)
    assert simulated.origins["base_url"] == "--base-url"


# problems


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"tries_max": 0}, "--tries-max: tries_max must be a whole number above 0 and at most 1,000,000,000, not 0"),
        ({"tries_max": "many"}, "tries_max must be a whole number above 0 and at most 1,000,000,000, not 'many'"),
        ({"tries_max": -1}, "above 0"),
        ({"settle_delay_seconds": 99_999_999_999_999}, "at most 1,000,000,000"),
        ({"poll_seconds_min": "1.5"}, "poll_seconds_min must be a whole number"),
        ({"model": 5}, "model must be text, not 5"),
        ({"simulator": "8008"}, "simulator must be an address such as"),
        ({"simulator": "http://10.0.0.1:8008"}, "the simulator must run on this machine"),
        ({"simulator": "http://example.com"}, "the simulator must run on this machine"),
        ({"base_url": "api.anthropic.com"}, "base_url must be an address"),
        ({"base_url": "ftp://api.anthropic.com"}, "base_url must be an address"),
        ({"base_url": "http://api.anthropic.com"}, "would send the key unencrypted"),
        ({"openai_base_url": "http://api.openai.com"}, "openai_base_url would send the key unencrypted"),
        ({"openai_base_url": "api.openai.com"}, "openai_base_url must be an address"),
        ({"api_key": "sk-ant-api03-secret"}, "api_key is a reference"),
        ({"route": "fast"}, "route must be one of auto, batch, realtime, 2h, 8h, not 'fast'"),
        ({"doubts": "forget"}, "doubts must be one of resend, wait, not 'forget'"),
    ],
)
def test_a_wrong_value_is_said_to_be_wrong(environment: dict[str, str], project: Path, flags: Flags, says: str) -> None:
    assert says in problems(flags, environment, project)


@pytest.mark.parametrize("key", ["sk-ant-api03-secret", "secret", "ENV:X", ""])
@pytest.mark.parametrize("name", ["api_key", "openai_api_key"])
def test_a_key_itself_is_never_a_setting_nor_shown(
    environment: dict[str, str], project: Path, name: str, key: str
) -> None:
    if key:
        said = problems({}, environment | {f"LOWTIDE_{name.upper()}": key}, project)
        assert key not in said
        assert "never the key" in said
    write_user(environment, f'{name} = "{key}"')
    assert "never the key" in problems({}, environment, project)


def test_every_problem_is_told_at_once(environment: dict[str, str], project: Path) -> None:
    user = write_user(environment, "modle = 'x'\ntries_max = 0\n")
    (project / "lowtide.toml").write_text("this is no toml")
    said = problems({"simulator": "nowhere"}, environment | {"LOWTIDE_POLL_SECONDS_MAX": "soon"}, project)
    assert f"{user}: no setting is called 'modle'" in said
    assert f"{user}: tries_max must be a whole number" in said
    assert str(project / "lowtide.toml") in said
    assert "LOWTIDE_POLL_SECONDS_MAX: poll_seconds_max" in said
    assert "--simulator: simulator must be an address" in said


def test_files_that_cannot_be_read_are_named(environment: dict[str, str], project: Path) -> None:
    (project / "lowtide.toml").write_bytes(b'model = "\xff"')
    assert str(project / "lowtide.toml") in problems({}, environment, project)
    (project / "lowtide.toml").unlink()
    (project / "lowtide.toml").mkdir()
    assert "Is a directory" in problems({}, environment, project)


@pytest.mark.parametrize("value", ["[]", "{ a = 1 }", "1.5", "true", "2026-01-01"])
def test_values_of_another_kind_are_problems_and_no_crash(
    environment: dict[str, str], project: Path, value: str
) -> None:
    (project / "lowtide.toml").write_text(f"model = {value}\n")
    assert "model must be text" in problems({}, environment, project)


def test_a_truth_is_no_number(environment: dict[str, str], project: Path) -> None:
    (project / "lowtide.toml").write_text("tries_max = true\n")
    assert "tries_max must be a whole number" in problems({}, environment, project)


# what they mean


def make(environment: dict[str, str], project: Path, **flags: str | int) -> Settings:
    return read_settings(flags, environment, project)


def test_simulated_and_real_money_never_share_a_store(
    environment: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    real, simulated = make(environment, project), make(environment, project, simulator=SIMULATOR)
    assert real.store_folder == tmp_path / "state" / "lowtide" / "store"
    assert simulated.store_folder == tmp_path / "state" / "lowtide" / "simulated"
    assert make(environment, project, store="/named").store_folder == Path("/named")


def test_a_simulator_is_simulated_money(environment: dict[str, str], project: Path) -> None:
    assert not make(environment, project).simulated
    assert make(environment, project, simulator=SIMULATOR).simulated


def test_rules_are_made_of_settings(environment: dict[str, str], project: Path) -> None:
    settings = make(
        environment,
        project,
        queued_requests_max=1,
        batch_requests_max=2,
        tries_max=3,
        settle_delay_seconds=4,
        poll_seconds_min=5,
        poll_seconds_max=6,
    )
    dispatch, retry = settings.dispatch_rules(), settings.retry_rules()
    assert (dispatch.queued_requests_max, dispatch.shard_requests_max) == (1, 2)
    assert (retry.tries_max, retry.settle_delay) == (3, timedelta(seconds=4))
    assert (retry.poll_min, retry.poll_max) == (timedelta(seconds=5), timedelta(seconds=6))


# providers


def provider(settings: Settings, name: str = "anthropic") -> ProviderSettings:
    return next(each for each in settings.providers if each.name == name)


def test_two_providers_are_always_there(environment: dict[str, str], project: Path) -> None:
    settings = make(environment, project, tier="build", openai_tier="4", base_url="https://a.example")
    assert settings.providers == (
        ProviderSettings(
            name="anthropic",
            protocol="anthropic",
            profile="anthropic",
            base_url="https://a.example",
            api_key="env:ANTHROPIC_API_KEY",
            tier="build",
        ),
        ProviderSettings(
            name="openai",
            protocol="openai",
            profile="openai",
            base_url="https://api.openai.com",
            api_key="env:OPENAI_API_KEY",
            tier="4",
        ),
    )


def test_a_file_adds_providers_and_says_more_of_others(environment: dict[str, str], project: Path) -> None:
    write_user(
        environment,
        """
        [providers.mine]
        base_url = "http://127.0.0.1:8080/v1"
        requests_per_minute = 5
        [providers.groq]
        profile = "groq"
        api_key = "env:GROQ"
        """,
    )
    (project / "lowtide.toml").write_text(
        """
        [providers.mine]
        tokens_per_minute = 9
        [providers.openai]
        output_tokens_per_minute = 7
        """
    )
    settings = make(environment, project)
    assert [each.name for each in settings.providers] == ["anthropic", "openai", "mine", "groq"]
    assert provider(settings, "mine") == ProviderSettings(
        name="mine",
        protocol="openai",
        profile="compatible",
        base_url="http://127.0.0.1:8080/v1",
        api_key="",
        limits={"requests_per_minute": 5, "tokens_per_minute": 9},
    ), "what both files say of it"
    assert (provider(settings, "groq").profile, provider(settings, "groq").api_key) == ("groq", "env:GROQ")
    assert provider(settings, "openai").limits == {"output_tokens_per_minute": 7}
    assert provider(settings, "openai").base_url == "https://api.openai.com"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("providers = 5", "providers must be tables: [providers.NAME]"),
        ("[providers]\nmine = 5", "providers must be tables: [providers.NAME]"),
        ("[providers.Mine]\nbase_url = 'https://a'", "small letters, digits and hyphens"),
        ("[providers.mine]", "lowtide.toml: [providers.mine]: base_url is missing: where is it reached?"),
        ("[providers.mine]\nbase_url = 'a.example'", "base_url must be an address"),
        (
            "[providers.mine]\nbase_url = 'http://a.example'\napi_key = 'env:X'",
            "base_url would send the key unencrypted to http://a.example",
        ),
        ("[providers.mine]\nbase_url = 'https://a'\napi_key = 'sk-secret'", "never the key"),
        ("[providers.mine]\nbase_url = 'https://a'\ncolour = 'x'", "no setting of a provider is called 'colour'"),
        ("[providers.mine]\nbase_url = 5", "base_url must be text, not 5"),
        ("[providers.mine]\nbase_url = 'https://a'\nprotocol = 'smoke'", "protocol must be one of"),
        ("[providers.openai]\nrequests_per_minute = 0", "requests_per_minute must be a whole number above 0, not 0"),
        ("[providers.openai]\nrequests_per_minute = true", "above 0, not True"),
        ("[providers.openai]\nrequests_per_minute = '5'", "above 0, not '5'"),
    ],
)
def test_what_is_wrong_with_a_provider_is_said(
    environment: dict[str, str], project: Path, text: str, says: str
) -> None:
    (project / "lowtide.toml").write_text(text)
    said = problems({}, environment, project)
    assert says in said
    assert "sk-secret" not in said


def test_a_server_on_this_machine_needs_no_encryption(environment: dict[str, str], project: Path) -> None:
    text = "[providers.mine]\nbase_url = 'http://127.0.0.1:8080'\napi_key = 'env:X'"
    (project / "lowtide.toml").write_text(text)
    assert provider(make(environment, project), "mine").base_url == "http://127.0.0.1:8080"


# pacing


DAY = date(2026, 11, 22)


def pacing(settings: Settings, name: str, model: str) -> PacingRules:
    return settings.pacing_rules(load_catalog(settings), name, model, DAY)


def test_real_time_is_paced_by_the_tier_s_limits(environment: dict[str, str], project: Path) -> None:
    small = pacing(make(environment, project, in_flight_max=9), "anthropic", "claude-haiku-4-5")
    large = pacing(make(environment, project, tier="scale"), "anthropic", "claude-haiku-4-5")
    assert set(small.limits) == {Measure.REQUESTS, Measure.INPUT_TOKENS, Measure.OUTPUT_TOKENS}
    assert all(small.limits[measure] < large.limits[measure] for measure in small.limits)
    assert (small.in_flight_max, small.output_counted, small.cache_reads_count) == (9, OutputCounted.WRITTEN, False)


def test_a_limit_that_nobody_knows_is_not_made_up(environment: dict[str, str], project: Path) -> None:
    """It is learned from the headers of the first reply."""
    rules = pacing(make(environment, project), "openai", "gpt-5.6-luna")
    assert rules.limits == {}
    assert (rules.output_counted, rules.cache_reads_count, rules.refusals_count) == (OutputCounted.LIMIT, True, True)


def test_one_s_own_word_of_a_limit_comes_first(environment: dict[str, str], project: Path) -> None:
    (project / "lowtide.toml").write_text("[providers.anthropic]\nrequests_per_minute = 7")
    limits = pacing(make(environment, project), "anthropic", "claude-haiku-4-5").limits
    assert limits[Measure.REQUESTS] == 7
    assert limits[Measure.INPUT_TOKENS] > 7, "the others are the tier's"


def test_a_simulator_tells_its_limits_itself(environment: dict[str, str], project: Path) -> None:
    assert pacing(make(environment, project, simulator=SIMULATOR), "anthropic", "claude-haiku-4-5").limits == {}


# the key


def test_a_simulator_needs_no_key(environment: dict[str, str], project: Path) -> None:
    settings = make(environment, project, simulator=SIMULATOR)
    assert [credential(settings, each, {}) for each in settings.providers] == ["sk-simulated"] * 2


def test_a_server_that_wants_no_key_gets_none(environment: dict[str, str], project: Path) -> None:
    (project / "lowtide.toml").write_text("[providers.mine]\nbase_url = 'http://127.0.0.1:8080'")
    settings = make(environment, project)
    assert credential(settings, provider(settings, "mine"), {"ANTHROPIC_API_KEY": "sk-1"}) == ""


def test_each_provider_has_its_own_key(environment: dict[str, str], project: Path) -> None:
    settings = make(environment, project)
    keys = {"ANTHROPIC_API_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"}
    assert [credential(settings, each, keys) for each in settings.providers] == ["sk-1", "sk-2"]
    with pytest.raises(CredentialMissing, match="no key for OpenAI: env:OPENAI_API_KEY is empty or not set"):
        credential(settings, provider(settings, "openai"), {"ANTHROPIC_API_KEY": "sk-1"})


def key(settings: Settings, environment: dict[str, str]) -> str:
    return credential(settings, provider(settings), environment)


def test_a_key_is_read_from_the_named_variable(environment: dict[str, str], project: Path) -> None:
    settings = make(environment, project, api_key="env:MY_KEY")
    assert key(settings, {"MY_KEY": "sk-1"}) == "sk-1"
    with pytest.raises(CredentialMissing, match="env:MY_KEY is empty or not set") as missing:
        key(settings, {"ANTHROPIC_API_KEY": "sk-2"})
    assert "export MY_KEY=" in missing.value.hint
    assert missing.value.exit_code == 4


def test_a_key_is_read_from_a_file_that_others_cannot_read(
    environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    settings = make(environment, project, api_key=f"file:{path}")
    with pytest.raises(CredentialMissing, match="No such file"):
        key(settings, {})
    path.write_text("sk-file\n")
    for mode in (0o640, 0o604, 0o644):
        path.chmod(mode)
        with pytest.raises(CredentialMissing, match="can be read by others") as refused:
            key(settings, {})
        assert refused.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert key(settings, {}) == "sk-file"
    path.write_text("\n")
    with pytest.raises(CredentialMissing, match="is empty or not set"):
        key(settings, {})


@pytest.mark.parametrize("text", ["sk-new\nsk-old", "sk-new\tmine", "\N{LEFT DOUBLE QUOTATION MARK}sk-new"])
def test_a_file_with_more_than_a_key_is_refused(
    environment: dict[str, str], project: Path, tmp_path: Path, text: str
) -> None:
    """No header may have it: the client refused each call, and nobody was told."""
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(CredentialMissing, match="holds more than a key") as refused:
        key(make(environment, project, api_key=f"file:{path}"), {})
    assert "sk-" not in refused.value.message


class FakeKeyring(ModuleType):
    """What is used of the keyring: one call, one error."""

    class errors:  # noqa: N801 as there
        class KeyringError(Exception):
            pass

    def __init__(self, answer: Callable[[str, str], str | None]) -> None:
        super().__init__("keyring")
        self.get_password = answer


def test_a_key_is_read_from_the_system_s_keyring(
    environment: dict[str, str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make(environment, project, api_key="keyring:anthropic/me")
    known = {("anthropic", "me"): "sk-ring"}
    monkeypatch.setitem(sys.modules, "keyring", FakeKeyring(lambda service, user: known.get((service, user))))
    assert key(settings, {}) == "sk-ring"
    known.clear()
    with pytest.raises(CredentialMissing, match="is empty or not set"):
        key(settings, {})

    def locked(service: str, user: str) -> str:
        raise FakeKeyring.errors.KeyringError("locked")

    monkeypatch.setitem(sys.modules, "keyring", FakeKeyring(locked))
    with pytest.raises(CredentialMissing, match="the keyring does not answer: locked"):
        key(settings, {})


# the catalog


OWN = """
[[model]]
provider = "anthropic"
name = "claude-of-mine"
"""


def test_the_packaged_catalog_is_read(environment: dict[str, str], project: Path) -> None:
    assert load_catalog(make(environment, project)).model("anthropic", "claude-sonnet-5-5") is not None


def test_price_files_of_one_s_own_are_read_and_every_problem_told(
    environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[price]]\nmodel = 3\n")
    with pytest.raises(InputRefused) as refused:
        load_catalog(make(environment, project, prices=f"{tmp_path / 'none.toml'}:{broken}"))
    where = [problem.where for problem in refused.value.problems]
    assert str(tmp_path / "none.toml") in where
    assert any(str(broken) in place for place in where)
