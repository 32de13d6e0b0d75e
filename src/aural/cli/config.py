"""The configuration file: where it is, what it may hold, and how its values reach the commands.

TOML, one table a command and, before the first table, what every command that has the option is
to use:

    threads = 2

    [transcribe]
    model = "whisper/small"
    beam_size = 1
"""

import os
from pathlib import Path
from typing import Any

from aural.errors import InputError, UnknownName

SHARED = ("compute_type", "device", "offline", "threads")
"""Options that mean the same everywhere: set once as AURAL_<OPTION> or before the first table."""

MAX_BYTES = 1 << 20


def config_path() -> Path:
    """The file that is read: AURAL_CONFIG, or config.toml in the user's configuration folder."""
    if given := os.environ.get("AURAL_CONFIG"):
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "aural" / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("aural", appauthor=False) / "config.toml"


def default_map(commands: list[str]) -> dict[str, Any]:
    """What the file says for each command, as click's default_map; {} where there is no file.

    Raises InputError for a file that is missing though AURAL_CONFIG names it, too large, or not
    TOML; UnknownName for a table that is no command and an option that is not shared.
    """
    content = {dashed(key): value for key, value in read(config_path()).items()}
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    shared = {key.replace("-", "_"): content[key] for key in content if key not in tables}
    for name in tables:
        if name not in commands:
            raise UnknownName(f"table in {config_path()}", name, commands)
    for name in shared:
        if name not in SHARED:
            raise UnknownName(f"shared option in {config_path()}", name, SHARED)
    if not content:
        return {}
    return {name: {**shared, **underscored(tables.get(name, {}))} for name in commands}


def read(path: Path) -> dict[str, Any]:
    """The file's content; {} when there is none and nobody asked for one."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        if "AURAL_CONFIG" in os.environ:
            message = (
                f"AURAL_CONFIG names {path}, which does not exist; write it or unset AURAL_CONFIG"
            )
            raise InputError(message) from error
        return {}
    except OSError as error:
        raise InputError(f"can't read the configuration {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"the configuration {path} is larger than {MAX_BYTES} bytes")
    return parse(path, content)


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """The TOML tables; InputError with the parser's reason where it is not TOML."""
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the configuration {path} is not valid TOML: {error}") from error


def dashed(name: str) -> str:
    """A command's name as typed."""
    return name.replace("_", "-")


def underscored(table: dict[str, Any]) -> dict[str, Any]:
    """Options as Python names them; a table in it ([models.fetch]) is of a command, as typed."""
    options = {k.replace("-", "_"): v for k, v in table.items() if not isinstance(v, dict)}
    tables = {dashed(k): underscored(v) for k, v in table.items() if isinstance(v, dict)}
    return options | tables
