"""Settings of one machine: where the data live, which programs run. Read when asked for, never at import.

Every setting is an environment variable ``LIZRCL_<NAME>`` or a key of the TOML file that ``LIZRCL_CONFIG_FILE`` names;
the environment wins.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from lizrcl_flows.errors import InputError


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "lizrcl"


class Settings(BaseSettings):
    """What one machine is told."""

    model_config = SettingsConfigDict(env_prefix="LIZRCL_", extra="forbid", frozen=True)

    data_dir: Path = Field(default_factory=_data_home, description="embedded database, file store, work directories")
    db_uri: str | None = Field(default=None, description="MongoDB URI; the embedded mongod where absent")
    db_name: str = Field(default="lizrcl", description="database of the archive, the LaunchPad and the JobStore")
    mongod: str | None = Field(default=None, description="mongod to run as the embedded server")
    db_port: int = Field(default=0, ge=0, le=65535, description="port of the embedded mongod; 0 chooses a free one")
    db_timeout_s: float = Field(default=10.0, gt=0, description="how long to look for the database")
    nep_command: str | None = Field(default=None, description="GPUMD's nep where found with a GPU, else lizrcl-nep")
    gpumd_command: str | None = Field(
        default=None, description="GPUMD's gpumd where found with a GPU, else lizrcl-gpumd"
    )
    threads: int = Field(default=1, ge=1, description="threads of one training or dynamics run")
    gridfs_max_bytes: int = Field(default=256 * 1024**2, ge=0, description="larger files go to the file store")
    file_store: Path | None = Field(default=None, description="folder for large files; <data_dir>/files where absent")
    work_dir: Path | None = Field(
        default=None, description="scratch for engine runs; the job's own folder where absent"
    )
    models_dir: Path | None = Field(
        default=None, description="folder of foundation models and other model files; <data_dir>/models where absent"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read keyword arguments, then the environment, then the TOML file."""
        chosen: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        config_file = os.environ.get("LIZRCL_CONFIG_FILE")
        if config_file:
            if not Path(config_file).is_file():
                raise InputError(f"LIZRCL_CONFIG_FILE names '{config_file}', which is not a file")
            chosen.append(TomlConfigSettingsSource(settings_cls, toml_file=config_file))
        return tuple(chosen)

    def resolved_file_store(self) -> Path:
        """Return the folder of files too large for GridFS."""
        return self.file_store or self.data_dir / "files"

    def resolved_models_dir(self) -> Path:
        """Return the folder of model files that are not the campaign's own."""
        return self.models_dir or self.data_dir / "models"

    def resolved_nep_command(self) -> str:
        """Return the training command: as set, GPUMD's ``nep`` where it and a GPU are there, else ``lizrcl-nep``."""
        return self.nep_command or _gpu_program("nep") or "lizrcl-nep"

    def resolved_gpumd_command(self) -> str:
        """Return the dynamics command: as set, GPUMD's ``gpumd`` where it and a GPU are, else ``lizrcl-gpumd``."""
        return self.gpumd_command or _gpu_program("gpumd") or "lizrcl-gpumd"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment and the configuration file.

    Raises
    ------
    InputError
        If a value is not what the setting accepts.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"setting {name} (environment variable LIZRCL_{name.upper()}): {first['input']!r} is not accepted: "
            f"{first['msg']}"
        ) from error


def _gpu_program(name: str) -> str | None:
    """Return the path of a GPUMD program if this machine has it and an NVIDIA GPU that answers."""
    program = shutil.which(name)
    return program if program and Path("/proc/driver/nvidia/gpus").is_dir() else None
