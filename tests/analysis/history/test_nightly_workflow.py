"""The workflow of the documentation: its YAML, its shell, its commands; its loop that opens issues is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from history_builders import write_night

from perfsuite.analysis.history.alarms import TOLD, read_told
from perfsuite.cli import _parser

README = Path(__file__).parents[3] / "perfsuite" / "analysis" / "history" / "README.md"
BLOCK = re.compile(r"^```yaml\n(# \.github/workflows/nightly\.yml\n.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(name="workflow")
def read_workflow() -> dict[Any, Any]:
    yaml = pytest.importorskip("yaml")
    (block,) = BLOCK.findall(README.read_text(encoding="utf-8"))
    found: dict[Any, Any] = yaml.safe_load(block)
    return found


def scripts(workflow: dict[Any, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_workflow_runs_every_night_one_at_a_time_and_may_do_what_it_does(workflow: dict[Any, Any]) -> None:
    triggers = workflow[True]  # YAML 1.1 reads `on` as a boolean, as GitHub does not
    assert re.fullmatch(r"\d+ \d+ \* \* \*", triggers["schedule"][0]["cron"])
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert {"issues": "write", "pages": "write", "id-token": "write"}.items() <= workflow["permissions"].items()
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
    assert workflow["jobs"]["publish"]["needs"] in workflow["jobs"]


def test_every_script_of_the_workflow_is_a_shell_script_without_expressions(workflow: dict[Any, Any]) -> None:
    """An expression in a script would be text of others that a shell runs."""
    for script in scripts(workflow):
        assert "${{" not in script
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)  # noqa: S607
        assert (checked.returncode, checked.stderr) == (0, "")


def test_every_command_of_the_workflow_is_one_of_perfsuite(workflow: dict[Any, Any]) -> None:
    commands = [
        command
        for script in scripts(workflow)
        for line in script.replace("\\\n", " ").splitlines()
        for command in re.findall(r"(?:^|[;|&]\s*)\s*perfsuite ([^;|&]*)", line)
    ]
    assert {command.split()[1] for command in commands} == {"check", "add", "page", "show", "alarms"}
    for command in commands:
        arguments = shlex.split(command)
        _parser(arguments).parse_args(arguments)  # ends with an error where an option is unknown


GH = """#!{bash}
# Stands in for the GitHub CLI: keeps issues in a folder; opens none while a file `down` is there.
cd {issues} || exit 1
case "$1 $2" in
  "issue list") cat ./*.body 2>/dev/null; exit 0 ;;
  "issue create")
    [ -e down ] && {{ echo "HTTP 503" >&2; exit 1; }}
    while [ $# -gt 0 ]; do
      case "$1" in --title) title=$2 ;; --body-file) body=$2 ;; esac
      shift
    done
    number=$(ls ./*.body 2>/dev/null | wc -l)
    printf '%s' "$title" > "$number.title"; cp "$body" "$number.body" ;;
esac
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="a script of bash")
def test_the_loop_opens_one_issue_though_github_was_down_and_the_store_forgot_it(
    workflow: dict[Any, Any], tmp_path: Path
) -> None:
    """The script as it stands there, with a stand-in for `gh` alone."""
    pytest.importorskip("ruptures")
    store, issues, tools = (tmp_path / name for name in ("store", "issues", "tools"))
    for folder in (issues, tools):
        folder.mkdir()
    hostile = "b `touch harmed` $(touch harmed)"
    for night in range(16):
        write_night(store, night, {hostile: 0.1 * (1.1 if night >= 10 else 1.0) * (1 + night % 3 / 1000)})
    bash = shutil.which("bash")
    (tools / "gh").write_text(GH.format(bash=bash, issues=shlex.quote(str(issues))))
    (tools / "perfsuite").write_text(f'#!{bash}\nexec {shlex.quote(sys.executable)} -m perfsuite "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    script = next(script for script in scripts(workflow) if "gh issue create" in script)

    def run_night(name: str) -> int:
        temporary = tmp_path / name
        temporary.mkdir()
        environment = {
            **os.environ,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(README.parents[3]), os.environ.get("PYTHONPATH", "")]),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "STORE": str(store),
            "RUNNER_TEMP": str(temporary),
        }
        command = [str(bash), "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]  # as GitHub runs it
        return subprocess.run(command, env=environment, cwd=temporary, capture_output=True, check=False).returncode

    (issues / "down").touch()
    assert run_night("down") == 1
    assert read_told(store) == ()
    (issues / "down").unlink()
    assert run_night("up") == 0
    (key,) = read_told(store)
    (store / TOLD).unlink()
    assert run_night("forgotten") == 0
    assert read_told(store) == (key,)
    (title,) = issues.glob("*.title")
    assert title.read_text().startswith(f"tests/test_it.py::{hostile}: time +")
    assert key in (issues / "0.body").read_text()
    assert not list(tmp_path.rglob("harmed"))
