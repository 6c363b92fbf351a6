"""What runs on a node: one fresh process of pytest at a time, in a private folder. Standard library only.

Runs in the interpreter of Ray, or of a job of Slurm; what is measured runs in another.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from perfsuite.campaign.interruption import stop
from perfsuite.campaign.plan import QUESTION, TIMEOUT_S, code_of
from perfsuite.campaign.process_log import last_line
from perfsuite.child_process import log_end, started

MAX_LOG_BYTES = 200_000
"""Of the end of a log, which travels with every result."""

MAX_RESULT_BYTES = 256 * 1024**2
"""Of a result file; a larger one is not carried. That of all step cells of a GPU takes some 1 MB, a training of a
thousand epochs 400 KB."""

SHIPPED = "runtime_resources"
"""In the paths of what Ray ships to its workers. Source: Ray's `_private/runtime_env/agent/runtime_env_agent.py`."""


class NodeProcess:
    """Runs orders, one after the other; ends what it started when it ends."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._order: dict[str, Any] = {}
        self._folder = Path()
        self._began_s = 0.0
        self._is_late = False

    def begin(self, order: dict[str, Any]) -> None:
        """Start a process, or ask interpreters for their versions.

        Args:
            order: As `Order.to_json` gives it.
        """
        self.end()
        self._order, self._began_s, self._is_late = order, time.monotonic(), False
        if order["python"] is None:
            return
        self._folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="perfsuite-fleet-")))
        variables = _variables(order, order["environment"])
        command = [order["python"] or sys.executable, "-m", "pytest", *order["arguments"]]
        log = self._held.enter_context((self._folder / "log").open("wb"))
        try:
            self._process = self._held.enter_context(
                started(
                    [*command, f"--benchmark-json={self._folder / 'result.json'}"],
                    cwd=order["folder"] or None,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        except OSError as error:
            log.write(f"error: {command[0]} in {order['folder']}: {error.strerror}\n".encode())
            log.flush()

    def wait(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the end of the process, but not longer than this.

        Returns:
            Plain values: `attempt`, `line` while it runs; `status`, `result`, `log`, `duration_s` once it has ended.
        """
        attempt = self._order["attempt"]
        if self._order["python"] is None:
            return self._ended(0, self._versions())
        if self._process is None:
            return self._ended(127, None)
        left_s = self._began_s + self._order["max_s"] - time.monotonic()
        try:
            status = self._process.wait(max(0.0, min(timeout_s, left_s)))
        except subprocess.TimeoutExpired:
            if left_s > timeout_s:
                return {"attempt": attempt, "line": last_line(self._folder / "log")}
            self._is_late = True
            stop(self._process)
            status = self._process.returncode
        return self._ended(status, read_result(self._folder / "result.json"))

    def stop(self) -> None:
        """Let the process end as after Ctrl-C; `wait` gives what is left of it."""
        if self._process is not None and self._process.poll() is None:
            stop(self._process)

    def end(self) -> None:
        """Kill what still runs, and remove its folder."""
        held, self._held = self._held, contextlib.ExitStack()
        self._process = None
        held.close()

    def _ended(self, status: int, result: bytes | None) -> dict[str, Any]:
        log = "" if self._order["python"] is None else log_end(self._folder / "log", MAX_LOG_BYTES)
        if self._is_late:
            log += f"\nerror: stopped after {self._order['max_s']:.0f} s, the max_repetition_s of fleet.toml\n"
        found = {
            "attempt": self._order["attempt"],
            "status": status,
            "result": result,
            "log": log,
            "duration_s": time.monotonic() - self._began_s,
        }
        self.end()
        return found

    def _versions(self) -> bytes:
        """Return versions of each environment, or why it does not run; and the code of the checkout."""
        found = {}
        for environment, python in self._order["pythons"].items():
            found[environment] = _ask(
                python or sys.executable, self._order["folder"] or None, _variables(self._order, environment)
            )
        folder = Path(self._order["folder"] or Path.cwd())
        code = code_of(folder, without=Path(self._order["plan"])) if folder.is_dir() else None
        return json.dumps({"code": code, "versions": found}).encode()


def read_result(path: Path) -> bytes | None:
    """Return a result; None where there is none, or one that is too large."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_RESULT_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_RESULT_BYTES else None


def _variables(order: dict[str, Any], environment: str) -> dict[str, str]:
    """Return the environment variables of a process, without what Ray sets for its workers alone."""
    inherited = dict(os.environ)
    if "RAY_JOB_ID" in inherited:
        # Ray sets the number of threads by the CPUs of a task; torch is to choose it as in a process of a user.
        inherited.pop("OMP_NUM_THREADS", None)
        paths = inherited.pop("PYTHONPATH", "").split(os.pathsep)
        kept = [path for path in paths if path and SHIPPED not in path]
        inherited |= {"PYTHONPATH": os.pathsep.join(kept)} if kept else {}
    own: dict[str, str] = order["variables"].get(environment, {})
    return {**inherited, **own}


def _ask(python: str, folder: str | None, variables: dict[str, str]) -> dict[str, Any]:
    """Return the versions that an interpreter has, or `error`."""
    if shutil.which(python) is None:
        return {"error": f"no such interpreter: {python}"}
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user names is to be run
            [python, "-c", QUESTION],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            cwd=folder,
            env=variables,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        return {"error": f"{python} in {folder}: does not run: {reason}"}
    try:
        found = json.loads(done.stdout.decode().splitlines()[-1])
    except (IndexError, ValueError, RecursionError):
        return {"error": f"{python}: does not run: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}"}
    return found if isinstance(found, dict) else {"error": f"{python}: is not a Python interpreter"}
