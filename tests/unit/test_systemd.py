"""The unit files of `hako up --systemd`: systemd takes them, and they start what `hako up` would."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from pathlib import Path

from click.testing import CliRunner

from engine import systemd
from engine.cli_tools import hako
from engine.settings import Settings
from engine.supervisor import LABS_END_S, Address

SETTINGS = Settings(instance="hkunit", data=Path("/srv/my data/100%"), run=Path("/run/hkunit"))


def _units() -> dict[str, configparser.RawConfigParser]:
    found = {}
    for name, text in systemd.units(SETTINGS, Address("127.0.0.1", 8000), "/opt/hako of mine/.venv/bin/python").items():
        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(text)
        found[name] = parser
    return found


def test_the_service_is_up_in_a_slice_of_its_own() -> None:
    """Delegated, with the place of its groups said to the engine; the folder with a space stays one word."""
    service = _units()["hkunit.service"]["Service"]
    words = shlex.split(service["ExecStart"].replace("%%", "%"))
    assert words[0] == "/opt/hako of mine/.venv/bin/python"
    assert words[1:5] == ["-P", "-m", "engine.cli", "up"]
    assert words[5:] == ["--listen", "127.0.0.1", "--port", "8000", "--data", "/srv/my data/100%"]
    assert (service["Slice"], service["Delegate"]) == ("hkunit.slice", "yes")
    text = systemd.units(SETTINGS, Address("127.0.0.1", 8000))["hkunit.service"]
    assert "Environment=HAKO_CGROUP=hkunit.slice/hkunit.service\n" in text
    assert "Environment=HAKO_INSTANCE=hkunit\n" in text and "Environment=HAKO_RUN=/run/hkunit\n" in text


def test_it_is_ended_in_order_and_a_lab_out_of_memory_ends_nothing_else() -> None:
    """systemd's own patience is longer than the supervisor's, and an oom kill in a lab is the lab's affair."""
    service = _units()["hkunit.service"]["Service"]
    assert int(service["TimeoutStopSec"]) > LABS_END_S + 6 + 5
    assert (service["KillMode"], service["OOMPolicy"]) == ("mixed", "continue")


def test_what_is_quoted_is_one_word_for_systemd() -> None:
    """%, $, quotes and backslashes mean something in a unit."""
    assert systemd.quoted("/usr/bin/python3") == "/usr/bin/python3"
    assert systemd.quoted("a b") == '"a b"'
    assert systemd.quoted('5% of $x "\\') == '"5%% of $$x \\"\\\\"'
    assert systemd.quoted("") == '""'


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    """systemd-analyze(1) reads them as systemd would."""
    for name, text in systemd.units(SETTINGS, Address("127.0.0.1", 8000)).items():
        (tmp_path / name).write_text(text)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "hkunit" in line]
    assert complaints == []


def test_the_command_prints_them_and_starts_nothing(tmp_path: Path) -> None:
    """Each below the place where it belongs."""
    result = CliRunner().invoke(hako, ["up", "--systemd", "--port", "8123", "--data", str(tmp_path / "none")])
    assert result.exit_code == 0
    assert "# /etc/systemd/system/hako.slice\n" in result.output
    assert "# /etc/systemd/system/hako.service\n" in result.output and "--port 8123" in result.output
    assert "systemctl" in result.output and not (tmp_path / "none").exists()
