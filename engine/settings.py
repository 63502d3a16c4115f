"""Every knob of the engine in one place, read from the environment (`HAKO_…`) and nowhere else.

`instance` names all that is visible on the host: the cgroup, the bridge, the nftables table. Two engines with
different instances, data and run directories live beside each other on one machine; the tests depend on it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import BadInput

MIB = 1024 * 1024


class Settings(BaseSettings):
    """Settings of one engine. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix="HAKO_", frozen=True)

    # IFNAMSIZ leaves 15 characters for a link name; "<instance>c0" and "<instance>l0" must fit with room for an index.
    instance: str = Field(default="hako", pattern=r"^[a-z][a-z0-9]{0,8}$")
    data: Path = Path("/var/lib/hako")
    run: Path = Path("/run/hako")
    subnet: str = "10.209.0.0/16"
    id_base: int = 1_000_000_000
    # Where in the v2 tree our group is made: what systemd's unit was given (engine/systemd.py).
    cgroup: str = ""

    lab_memory_bytes: int = 512 * MIB
    lab_cpus: float = 1.0
    lab_pids: int = 512
    lab_disk_bytes: int = 2048 * MIB
    lab_idle_s: int = 1800
    lab_life_s: int = 4 * 3600
    labs_max: int = 32
    terminals_per_lab: int = 8

    @property
    def lab_socket(self) -> Path:
        """Where `web` talks to the engine: lab verbs only."""
        return self.run / "lab.sock"

    @property
    def engine_socket(self) -> Path:
        """Where root's command line talks to the engine: container verbs."""
        return self.run / "engine.sock"

    @property
    def zygote_socket(self) -> Path:
        """Where the daemon talks to the zygote."""
        return self.run / "zygote.sock"


def load(**values: object) -> Settings:
    """The settings of the environment, with `values` over them.

    Raises:
        BadInput: one of them is not what it must be; names the variable.
    """
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise BadInput(
            f"The setting HAKO_{name} is wrong: {first['msg']}.", "docs/configuration.md lists them."
        ) from None
