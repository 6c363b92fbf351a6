"""Structure-aware fuzz of the command line and of the small JSON and TOML readers.

The tests run a few hundred cases; for long runs: `PYTHONPATH=. python tests/fuzz_commands.py 20000 [SEED]`. A case
fails where a command raises, ends with another status than 0, 1 or 2, writes more than one line or a control character
to standard error, takes more than 20 s or, in long runs, 1 GiB more of address space than the first. What failed is
printed with its seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from builders import make_content, make_entry, make_record
from fuzz_limits import TooLong, limit_memory, limited_time
from scaling_builders import make_scaling, make_scaling_entry

from perfsuite.cli import main

TEXTS = ["", " ", "x", "-1", "0", "1e999", "nan", "9" * 5000, "~nouser", "\x1b[2J\x9b", "\ud800", "a\0b", "x" * 5000]
TEXTS += [
    "../..",
    "/dev/null",
    "5",
    "5%",
    "--",
    "=1+1",
    "é名",
    "{}",
    "[",
    "1,2",
    ",",
    "torch",
    "resnet18",
    "fp32",
    "t4",
    "not (fp32 or x)",
    "regressed",
    "name",
]
VALUES: list[Any] = [None, True, 0, -1, 1e308, 5e-324, -0.0, 2**63, 2**70, [], {}, [[]], {"a": {}}, *TEXTS]

NOISE = {
    "schema": "perfsuite-noise-2",
    "machines": {
        "m": {
            "measured": "2026-01-05",
            "num_processes": 5,
            "versions": {"torch": "2.13"},
            "detectable_slowdown_ratio": {"resnet18 fp32 train_step b128": 0.03},
            "process_scatter": {"resnet18 fp32 train_step b128": {"sd_log": 0.01, "num_dof": 8}},
        }
    },
}
SCALING = make_scaling_entry(make_scaling(run_id="b", num_blocks=2))
SCALING_OF_A = make_scaling_entry(make_scaling(run_id="a", num_blocks=2))["extra_info"]
CAMPAIGN = {
    "schema": "perfsuite-ab-1",
    "identity": {"arguments": ["a"], "baseline": {"versions": {}}, "candidate": {}},
    "processes": ["001-baseline", "002-candidate"],
}
THRESHOLDS = '[min-effect]\n"*" = "5%"\n"*resnet50*" = 0.1\n'
FLEET = (
    '[fleet]\nrepetitions = 2\nship = false\n[kinds.T4]\naccelerator_type = "T4"\nslurm = {time = 5}\n'
    '[environments.a]\npython = "/bin/false"\n[train]\nshared = "/x"\nseeds = 2\n'
)
FLEET_STATE = {
    "schema": "perfsuite-fleet-1",
    "id": "a",
    "identity": {"mode": "run", "kinds": {}},
    "num_nodes": {"T4": 2},
    "versions": {},
    "num_slots": 2,
    "progress": {
        "updated": "2026-01-05T10:00:00+00:00",
        "ended": False,
        "running": [{"kind": "T4", "node": "n", "environment": "a", "since": "2026-01-05T10:00:00+00:00", "left_s": 5}],
        "failed": [{"kind": "T4", "environment": "a", "reason": "x"}],
        "refused": {"n": "x"},
    },
}
RECIPE = 'epochs = 3\nbatch_size = 16\nlearning_rate = 0.1\nname = "mine"\ntarget_accuracy = 0.5\n'

OPTIONS: dict[str, list[str]] = {
    "collect": ["--table", "--extra", "--select", "--sort", "--format", "-o"],
    "compare": [
        *("--across", "--min-effect", "--alpha", "--accuracy-margin", "--fail-on", "--explain", "--format", "-o"),
        *("--only", "--select", "--sort"),
    ],
    "report": ["--min-effect", "--alpha", "--against", "-o"],
    "memory": ["--model", "--batch-size", "--gradients", "--capacity", "--gpu"],
    "limits": ["--gpu", "--model", "--batch-size"],
    "ab": ["--processes", "--run-dir", "--env-baseline", "--dir-candidate", "--fail-on", "--min-effect", "-o"],
    "noise": ["--processes", "--dir"],
    "bisect": [
        *("--good", "--bad", "--repository", "--run-dir", "--setup", "--env", "--alpha", "--min-effect"),
        *("--max-processes", "--metric", "--format", "-o"),
    ],
    "data": ["--data"],
    "fleet": ["--run-dir", "--wait", "--engine", "--address"],
    # Not -o: a text may be a folder outside, in which a file of its own name would be written.
    "export": [],
    # Not --store: all below a folder outside would be read.
    "history": ["--machine", "--min-effect", "--alpha", "--format"],
}
FORMATS = ["github-smaller", "github-bigger", "bencher", "pytorch", "otava"]


def mutated(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with one part of it replaced, removed, doubled or renamed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        kind = chance.random()
        if kind < 0.7:
            return {**value, key: mutated(value[key], chance)}
        if kind < 0.85:
            return {name: part for name, part in value.items() if name != key}
        return {chance.choice(TEXTS) if name == key else name: part for name, part in value.items()}
    if isinstance(value, list) and value and chance.random() < 0.85:
        index = chance.randrange(len(value))
        return [*value[:index], mutated(value[index], chance), *value[index + chance.randrange(2) :]]
    return chance.choice(VALUES)


def damaged(text: str, chance: random.Random) -> bytes:
    """Return a text of which some bytes are cut off, replaced, doubled or deeply nested."""
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice([0, 0, 1, 1, 3])):
        place = chance.randrange(len(data) + 1)
        length = chance.randrange(20)
        new = chance.choice([b"", b"\xff", b"[" * 3000, b"9" * 5000, b'"', b"\x1b[2J", b"\n", b"=", bytes(data[:50])])
        data[place : place + length] = new
    return bytes(data)


def write_files(folder: Path, chance: random.Random) -> None:
    """Write every file that commands read: most of them intact, some of them damaged."""
    record = make_record(run_id="a")
    contents = {
        "a.json": make_content([make_entry(record, [0.1, 0.2, 0.3]), {**SCALING, "extra_info": SCALING_OF_A}]),
        "b.json": make_content([make_entry(make_record(run_id="b"), [0.1, 0.2, 0.31]), SCALING]),
        "noise.json": NOISE,
        "run/campaign.json": CAMPAIGN,
        "run/fleet.json": FLEET_STATE,
    }
    (folder / "run").mkdir(exist_ok=True)
    chosen = chance.choice([*contents, "t.toml", "r.toml", "f.toml"])
    for name, content in contents.items():
        text = json.dumps(mutated(content, chance) if name == chosen else content)
        (folder / name).write_bytes(
            damaged(text, chance) if name == chosen and chance.random() < 0.3 else text.encode()
        )
    for name, text in (("t.toml", THRESHOLDS), ("r.toml", RECIPE), ("f.toml", FLEET)):
        (folder / name).write_bytes(damaged(text, chance) if name == chosen else text.encode())


def command_line(chance: random.Random) -> list[str]:
    """Return a command with a value or two that are unexpected; nothing in it measures or takes long."""
    command = chance.choice([*OPTIONS, "compare", "collect", "collect"])
    options = chance.sample(OPTIONS[command], k=min(chance.randrange(3), len(OPTIONS[command])))
    given = [part for option in options for part in (option, chance.choice(TEXTS))]
    thresholds = ["--thresholds", "t.toml"] if chance.random() < 0.5 else []
    needed = {
        "collect": ["a.json", chance.choice(["b.json", "b.json", *TEXTS])],
        "compare": ["--baseline", "a.json", "--candidate", "b.json", *thresholds],
        "report": ["a.json", "-o", "a.json"],
        # /bin/false is no interpreter: nothing is ever run.
        "ab": ["--baseline", chance.choice(["/bin/false", *TEXTS]), "--candidate", "/bin/false"],
        "noise": ["--python", "/bin/false"],
        # No repository has such commits, and /bin/false is no interpreter: nothing is ever run.
        "bisect": chance.choice(
            [
                ["--good", "none", "--bad", "none", "--benchmark", chance.choice(["a::b", *TEXTS])],
                ["--benchmark", "a::b", "--environments", *chance.choices(["/bin/false", *TEXTS], k=3)],
            ]
        ),
        "data": ["show"],
        # No folder of a fleet, and no address that answers: nothing is ever run.
        "fleet": chance.choice([["status", "run"], ["run", chance.choice(["f.toml", *TEXTS]), "--address", "nowhere"]]),
        "export": [chance.choice([*FORMATS, *FORMATS, *TEXTS]), "a.json", chance.choice(["b.json", "b.json", *TEXTS])],
        "history": chance.choice(
            [
                ["show", "--store", "."],
                ["check", "a.json", "--store", "."],
                ["alarms", "--store", "."],
                ["alarms", "--store", ".", "--told", chance.choice(["all", *TEXTS])],
            ]
        ),
        # A wrong value ends these before anything is predicted, which would take seconds.
        "memory": ["--precision", "fp8"],
        "limits": ["--precision", "fp8"],
    }
    return [command, *needed[command], *given]


def run_case(seed: int, folder: Path) -> str | None:
    """Run one case; return in words what is wrong with how it ended, or None."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    write_files(folder, chance)
    arguments = command_line(chance)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            with limited_time():
                status: Any = main(arguments)
        except TooLong:
            return f"seed {seed}: {arguments!r:.300} took too long"
        except SystemExit as ended:
            status = ended.code
        if chance.random() < 0.3:
            from perfsuite.errors import PerfsuiteError
            from perfsuite.recipes import read_recipe

            with contextlib.suppress(PerfsuiteError):
                read_recipe(chance.choice(["r.toml", *TEXTS]), folder)
    text = err.getvalue()
    if status not in {0, 1, 2}:
        return f"seed {seed}: {arguments!r:.300} ended with {status}: {text[:500]}"
    if status == 2 and (text.count("\n") != 1 or len(text) > 1200):
        return f"seed {seed}: {arguments!r:.300} wrote {text.count(chr(10))} lines, {len(text)} characters"
    if not all(character == "\n" or character.isprintable() for character in text + out.getvalue()):
        return f"seed {seed}: {arguments!r:.300} wrote control characters"
    return None


def fuzz(num_cases: int, first_seed: int = 0) -> list[str]:
    """Run so many cases in an empty folder; return what failed."""
    problems = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        os.environ["PERFSUITE_NOISE"] = str(Path(name) / "noise.json")
        os.environ["XDG_CACHE_HOME"] = str(Path(name) / "cache")
        try:
            for seed in range(first_seed, first_seed + num_cases):
                problem = run_case(seed, Path(name))
                problems += [] if problem is None else [problem]
        finally:
            os.chdir(before)
    return problems


if __name__ == "__main__":
    num_cases, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    fuzz(100, first)  # imports everything, before memory is limited
    limit_memory()
    found: list[str] = []
    for begin in range(first, first + num_cases, 500):
        new = fuzz(min(500, first + num_cases - begin), begin)
        found += new
        lines = [*new, f"{begin - first + 500:,} cases, {len(found)} failed"]
        print("\n".join(lines), flush=True)  # noqa: T201 - a script
    sys.exit(bool(found))
