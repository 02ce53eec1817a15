"""``settings``: every origin, every problem, and never a key."""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from lowtide.errors import CredentialMissing, InputRefused, SettingsInvalid
from lowtide.settings import BY_NAME, SETTINGS, Settings, credential, load_catalog, read_settings

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
    assert "config show --origin" in refused.value.hint
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
        "store": "/store",
    }
    value = values.get(name, "7")
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
        ({"api_key": "sk-ant-api03-secret"}, "api_key is a reference"),
    ],
)
def test_a_wrong_value_is_said_to_be_wrong(environment: dict[str, str], project: Path, flags: Flags, says: str) -> None:
    assert says in problems(flags, environment, project)


@pytest.mark.parametrize("key", ["sk-ant-api03-secret", "secret", "ENV:X", ""])
def test_a_key_itself_is_never_a_setting_nor_shown(environment: dict[str, str], project: Path, key: str) -> None:
    if key:
        said = problems({}, environment | {"LOWTIDE_API_KEY": key}, project)
        assert key not in said
        assert "never the key" in said
    write_user(environment, f'api_key = "{key}"')
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


def test_calls_go_to_the_simulator_when_there_is_one(environment: dict[str, str], project: Path) -> None:
    assert make(environment, project).provider_url == "https://api.anthropic.com"
    assert not make(environment, project).simulated
    simulated = make(environment, project, simulator=SIMULATOR)
    assert simulated.provider_url == SIMULATOR
    assert simulated.simulated


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


# the key


def test_a_simulator_needs_no_key(environment: dict[str, str], project: Path) -> None:
    assert credential(make(environment, project, simulator=SIMULATOR), {}) == "sk-simulated"


def test_a_key_is_read_from_the_named_variable(environment: dict[str, str], project: Path) -> None:
    settings = make(environment, project, api_key="env:MY_KEY")
    assert credential(settings, {"MY_KEY": "sk-1"}) == "sk-1"
    with pytest.raises(CredentialMissing, match="env:MY_KEY is empty or not set") as missing:
        credential(settings, {"ANTHROPIC_API_KEY": "sk-2"})
    assert "export MY_KEY=" in missing.value.hint
    assert missing.value.exit_code == 4


def test_a_key_is_read_from_a_file_that_others_cannot_read(
    environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    settings = make(environment, project, api_key=f"file:{path}")
    with pytest.raises(CredentialMissing, match="No such file"):
        credential(settings, {})
    path.write_text("sk-file\n")
    for mode in (0o640, 0o604, 0o644):
        path.chmod(mode)
        with pytest.raises(CredentialMissing, match="can be read by others") as refused:
            credential(settings, {})
        assert refused.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert credential(settings, {}) == "sk-file"
    path.write_text("\n")
    with pytest.raises(CredentialMissing, match="is empty or not set"):
        credential(settings, {})


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
    assert credential(settings, {}) == "sk-ring"
    known.clear()
    with pytest.raises(CredentialMissing, match="is empty or not set"):
        credential(settings, {})

    def locked(service: str, user: str) -> str:
        raise FakeKeyring.errors.KeyringError("locked")

    monkeypatch.setitem(sys.modules, "keyring", FakeKeyring(locked))
    with pytest.raises(CredentialMissing, match="the keyring does not answer: locked"):
        credential(settings, {})


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
