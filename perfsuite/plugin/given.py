"""Whether the user set an option, wherever options are set."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest


def given(config: pytest.Config, option: str) -> bool:
    """Whether the user set a long option: on the command line, in `PYTEST_ADDOPTS` or in the ini-file's `addopts`."""
    arguments = [
        *config.invocation_params.args,
        *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
        *config.getini("addopts"),
    ]
    return any(argument.partition("=")[0] == option for argument in _expanded(map(str, arguments), config))


def _expanded(arguments: Iterable[str], config: pytest.Config) -> Iterator[str]:
    """Yield the arguments, those in files (`@file`, one a line, as pytest reads them) included."""
    for argument in arguments:
        yield argument
        if argument.startswith("@"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = (config.invocation_params.dir / argument[1:]).read_text(encoding="utf-8")
                yield from _expanded(text.splitlines(), config)
