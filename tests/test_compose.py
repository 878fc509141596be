"""docker-compose.yml, the image and what they mount: held to what can be known without a Docker engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from streams.__main__ import COMMANDS
from streams.local.ports import free_port
from streams.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[1]
ALERTS: tuple[str, ...] = Settings.__dataclass_fields__["alerts"].metadata["choices"]
PINNED = re.compile(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
WRITES_ITS_OWN_FOLDER = {"kafka"}
SEEN_FROM_OUTSIDE = {"serve", "prometheus", "grafana"}


def _yaml(name: str) -> Any:
    """A YAML file, strictly: a key that stands twice is an error."""
    return YAML(typ="safe", pure=True).load((ROOT / name).read_text())


COMPOSE: dict[str, Any] = _yaml("docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def _environments() -> Iterator[tuple[str, str, str]]:
    """Service, name and value of everything in an environment."""
    for service, told in SERVICES.items():
        for name, value in told.get("environment", {}).items():
            yield service, name, str(value)


def test_it_is_a_compose_file() -> None:
    """It holds to the JSON schema of the Compose Specification."""
    # Found, not imported: of this package only the schema is wanted, which no package ships alone.
    found = find_spec("check_jsonschema")
    assert found is not None and found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text()))


def test_every_image_is_pinned() -> None:
    """By tag, to be read, and by digest; there is one image of our own."""
    foreign = {service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert [image for image in foreign if not PINNED.fullmatch(image)] == []
    assert {(SERVICES[name]["image"], SERVICES[name]["build"]) for name in OURS} == {
        ("shop-pulse:local", ".")
    }


@pytest.mark.parametrize("alerts", ALERTS)
def test_everything_that_is_mounted_exists(alerts: str) -> None:
    """For each active set of alerts; files of ours are mounted read-only, the rest are named volumes."""
    told = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    ours = [mount.replace("${SHOP_PULSE_ALERTS:-prometheus}", alerts) for mount in told if mount[0] == "."]
    assert ours
    assert [mount for mount in ours if not (ROOT / mount.split(":")[0]).exists()] == []
    assert [mount for mount in ours if not mount.endswith(":ro")] == []
    assert {mount.split(":")[0] for mount in told if mount[0] != "."} == set(COMPOSE["volumes"])


def test_only_this_machine_can_ask() -> None:
    """Each published port is one of loopback, and none is published twice."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert {name for name, service in SERVICES.items() if "ports" in service} == SEEN_FROM_OUTSIDE
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_no_password_has_a_default() -> None:
    """Whatever looks like a secret comes from the environment, and without it nothing starts."""
    secret = re.compile(r"PASSWORD|TOKEN|SECRET|redis://")
    found = [
        (service, name)
        for service, name, value in _environments()
        if secret.search(name + value) and not re.search(r"\$\{\w+:\?[^}]+\}", value)
    ]
    assert found == []
    assert SERVICES["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert "SHOP_PULSE_TOKEN" in SERVICES["serve"]["environment"]


def test_every_setting_exists() -> None:
    """Each SHOP_PULSE_* name is a setting, and those of a service are accepted together."""
    text = (ROOT / "docker-compose.yml").read_text()
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    assert set(re.findall(r"SHOP_PULSE_\w+", text)) <= known
    for name in OURS:
        told = SERVICES[name]["environment"]
        load({key: re.sub(r"\$\{\w+:[?-]([^}]*)\}", _given, str(value)) for key, value in told.items()})


def _given(variable: re.Match[str]) -> str:
    """What stands for a variable: its default, or a secret as it should be."""
    return "0123456789abcdef0123456789abcdef" if ":?" in variable[0] else variable[1]


def test_settings_are_given_in_one_file() -> None:
    """Each service of ours reads it before what the compose file sets, and its examples are accepted."""
    assert {tuple(SERVICES[name]["env_file"]) for name in OURS} == {("deploy/shop-pulse.env",)}
    lines = (ROOT / "deploy/shop-pulse.env").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == []
    examples = dict(re.findall(r"^# (SHOP_PULSE_\w+)=(\S+)$", "\n".join(lines), re.MULTILINE))
    assert len(examples) == 3
    load(examples)


def test_our_commands_exist() -> None:
    """Each container of ours runs a command that the image has."""
    assert {SERVICES[name]["command"][0] for name in OURS} <= set(COMMANDS)


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_may_do_little(name: str) -> None:
    """It is nobody in particular, can become nobody else, writes where it must, and has limits."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0 and group.isdigit()
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only") is True or name in WRITES_ITS_OWN_FOLDER
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["networks"] and "privileged" not in service and "cap_add" not in service


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_is_kept_running(name: str) -> None:
    """It is started again, has time to end in order, and is asked how it is where it can be asked."""
    service = SERVICES[name]
    assert service["restart"] == ("on-failure:5" if name == "topics" else "unless-stopped")
    assert int(service["stop_grace_period"].removesuffix("s")) >= 15
    asked = "test" in service["healthcheck"]
    assert asked or (name in OURS and name != "serve")


def test_who_waits_for_whom() -> None:
    """Whoever is waited for exists, and can say that it is ready or done."""
    for service in SERVICES.values():
        for other, told in service.get("depends_on", {}).items():
            ends = SERVICES[other]["restart"].startswith("on-failure")
            assert told["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_networks_keep_apart() -> None:
    """Kafka and Redis reach nothing outside; Prometheus and Grafana reach neither of them."""
    networks = COMPOSE["networks"]
    inner = {name for name, told in networks.items() if told.get("internal")}
    assert inner == {"events", "figures"}
    assert {*SERVICES["kafka"]["networks"], *SERVICES["redis"]["networks"]} == inner
    assert SERVICES["prometheus"]["networks"] == SERVICES["grafana"]["networks"] == ["watching"]


# The image


def _dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, in order."""
    text = (ROOT / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    pairs = (line.partition(" ") for line in lines if line.strip())
    return [(word, rest.strip()) for word, _, rest in pairs]


def test_the_image_is_built_from_pinned_things() -> None:
    """One base, by digest, for both stages; packages by hash, as wheels only."""
    told = _dockerfile()
    bases = [rest.split()[0] for word, rest in told if word == "FROM"]
    assert len(bases) == 2 and len(set(bases)) == 1 and PINNED.fullmatch(bases[0])
    runs = " ".join(rest for word, rest in told if word == "RUN")
    assert runs.count("pip") >= 4
    for install in re.findall(r"pip \S* ?\S* ?install [^&]*", runs):
        assert "--require-hashes --only-binary :all:" in install or "--no-index" in install
    assert "apt-get" not in runs and "curl" not in runs


def test_what_the_image_copies_exists() -> None:
    """Each source is there, and .dockerignore lets it through; nothing else gets through. All packages of the
    wheel are among them."""
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    copied = {
        name
        for word, rest in _dockerfile()
        if word == "COPY" and not rest.startswith("--from")
        for name in rest.split()[:-1]
    }
    assert copied == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied


def test_the_image_runs_as_nobody_and_hears_sigterm() -> None:
    """The last stage installs nothing, is no root, and starts the program without a shell between."""
    told = _dockerfile()
    last = told[max(place for place, (word, _) in enumerate(told) if word == "FROM") :]
    words = dict(last)
    assert words["USER"] == "10001:10001"
    assert json.loads(words["ENTRYPOINT"]) == ["shop-pulse"] and json.loads(words["CMD"]) == ["serve"]
    assert "/healthz" in words["HEALTHCHECK"]
    assert all("pip" not in rest for word, rest in last if word == "RUN")


@pytest.mark.parametrize("name", ["requirements-runtime.lock", "requirements-build.lock"])
def test_the_image_runs_what_was_tested(name: str) -> None:
    """Versions and hashes are those of requirements.lock, and no address is named."""
    assert "://" not in (ROOT / name).read_text()
    mine, tested = _pins(name), _pins("requirements.lock")
    assert mine and {package: tested.get(package) for package in mine} == mine


def test_the_locks_hold_what_is_needed() -> None:
    """Every dependency of the project is in the one, what builds it in the other, and no tool in either."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = {re.split(r"[\[<>=]", each)[0] for each in project["project"]["dependencies"]}
    build = {re.split(r"[\[<>=]", each)[0] for each in project["build-system"]["requires"]}
    locked = {each.partition("==")[0] for each in _pins("requirements-runtime.lock")}
    assert runtime <= locked and not {"pytest", "mypy", "hypothesis", *build} & locked
    assert build <= {each.partition("==")[0] for each in _pins("requirements-build.lock")}


def _pins(name: str) -> dict[str, frozenset[str]]:
    """By package with its version: the hashes that are accepted."""
    found = re.findall(r"^(\S+==\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", (ROOT / name).read_text(), re.M)
    return {package: frozenset(re.findall(r"sha256:\w+", hashes)) for package, hashes in found}


# What is mounted


@pytest.mark.parametrize("alerts", ALERTS)
def test_prometheus_accepts_its_configuration(alerts: str, tmp_path: Path) -> None:
    """promtool finds nothing wrong, in the layout that the container sees, rules included."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").touch()
    (tmp_path / "rules").symlink_to(ROOT / "dashboards" / "prometheus")
    (tmp_path / "alerts").symlink_to(ROOT / "dashboards" / "alerts" / alerts / "prometheus")
    shutil.copy(ROOT / "deploy" / "prometheus.yml", tmp_path)
    checked = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout


def test_prometheus_names_the_shop() -> None:
    """The target carries `env` and `shop`; the addresses of texts do not become labels of alerts."""
    told = _yaml("deploy/prometheus.yml")
    (job,) = (each for each in told["scrape_configs"] if each["job_name"] == "shop-pulse")
    assert set(job["static_configs"][0]["labels"]) == {"env", "shop"}
    (drop,) = told["alerting"]["alert_relabel_configs"]
    assert all(re.fullmatch(drop["regex"], name) for name in told["global"]["external_labels"])


def test_alertmanager_accepts_its_configuration() -> None:
    """amtool finds nothing wrong, and each severity has the receiver that it is meant for."""
    file = str(ROOT / "deploy" / "alertmanager.yml")
    subprocess.run(["amtool", "check-config", file], check=True, capture_output=True)
    for labels, receiver in {
        "severity=critical": "page",
        "severity=warning": "ticket",
        "alertname=ShopPulseWatchdog": "watchdog",
    }.items():
        command = ["amtool", "config", "routes", "test", f"--config.file={file}", labels]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == receiver


def test_redis_takes_its_password_from_its_input(tmp_path: Path) -> None:
    """The command of the container starts a Redis that asks for the password and shows it to nobody."""
    port = free_port()
    told = (ROOT / "deploy" / "redis.conf").read_text()
    for line, here in {
        "bind * -::*": "bind 127.0.0.1",
        "port 6379": f"port {port}",
        "dir /data": f"dir {tmp_path}",
    }.items():
        assert f"\n{line}\n" in told
        told = told.replace(f"\n{line}\n", f"\n{here}\n")
    (tmp_path / "redis.conf").write_text(told)
    (script,) = SERVICES["redis"]["command"]
    script = script.replace("$$", "$").replace("/etc/redis.conf", str(tmp_path / "redis.conf"))
    shell = [*SERVICES["redis"]["entrypoint"], script]
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    with subprocess.Popen(
        shell, env=path | {"REDIS_PASSWORD": "s3cret"}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            asked = ["redis-cli", "-p", str(port), "config", "get", "maxmemory-policy"]
            until = time.monotonic() + 20
            while "noeviction" not in _said(asked, path | {"REDISCLI_AUTH": "s3cret"}):
                assert time.monotonic() < until
                time.sleep(0.1)
            assert "NOAUTH" in _said(asked, path)
            assert "s3cret" not in Path(f"/proc/{process.pid}/cmdline").read_text()
        finally:
            process.terminate()


def _said(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("alerts", ALERTS)
def test_grafana_is_given_what_its_files_name(alerts: str) -> None:
    """Each variable of a provisioned file is in its environment; dashboards lie where it looks for them."""
    folders = (
        ROOT / "dashboards" / "grafana" / "provisioning",
        ROOT / "dashboards" / "alerts" / alerts / "grafana",
    )
    texts = [path.read_text() for folder in folders for path in folder.rglob("*") if path.is_file()]
    named = {name for text in texts for name in re.findall(r"\$\{(\w+)\}", text)}
    assert named <= set(SERVICES["grafana"]["environment"])
    provider = _yaml("dashboards/grafana/provisioning/dashboards/shop-pulse.yaml")["providers"][0]
    assert f"./dashboards/grafana:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
