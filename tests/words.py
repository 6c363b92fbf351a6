"""Words that the project does not use, and what it says instead: `python tests/words.py` lists where they occur."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

WORDS = {
    r"reckon\w*": "compute, assuming",
    r"mend(?:s|ed|ing)?": "fix",
    r"hungr\w+": "uses more memory",
    r"go(?:es|ing)? on where|gone on with|begins? anew": "resume, start over",
    r"(?:tell|told|tells|telling) apart": "distinguish",
    r"stands? (?:beside|below)": "is reported with, is listed below",
    r"the study(?:'s)?|beside the thesis": "the thesis, compared with the thesis",
    r"(?:become|became|becomes) (?:a number|numbers)": "was measured; failed, skipped or not run",
    r"in alternation|in turns(?! for)|alternation": "interleaved",
    r"in force": "active",
    r"(?:held|holds?|holding|set) (?:it |them )?against": "compared with",
    r"held down by": "throttled by",
    r"other guests": "other virtual machines, steal time",
    r"provable": "detectable",
    r"beyond chance": "statistically significant",
    r"slowest tenth": "tail (p90)",
    r"unsteady|not steady": "noisy, unstable",
    r"fidelity": "harness overhead",
    r"circumstances": "likely causes",
    r"is no (?:size|number)": "is not a valid size, is not a number",
    r"survive the night": "can be interrupted at any time",
    r"gist": "summary",
    r"distrust|things to know": "warnings",
    r"surely within": "no change",
    r"less fp32": "minus fp32",
    r"speed of light": "hardware peak",
    r"found its level": "stabilised",
    r"ways out": "paths outside of the archive",
    r"quieten": "reduce background load",
    r"hardware did meanwhile": "hardware telemetry",
    r"(?:tell|tells|told) \w+ apart": "distinguish",
    r"c[oa]mes? to its end": "finish",
    r"(?:give|gives|given) against": "compared with",
    r"last words": "last output",
    r"their like": "others of this kind",
    r"left to chance": "not determined",
    r"passed over": "skipped",
    r"it said nothing": "it printed nothing",
    r"somebody(?:'s own| was told| ended it)": "the user's, was reported, was killed",
    r"told (?:what is being done|a line)": "called with",
    r"ordinary file": "regular file",
    r"is no (?:python|price|training step|tensor|name=price)": "is not a",
    r"(?-i:(?:MOST|LEAST|LARGEST|SMALLEST|LONGEST|SHORTEST)_[A-Z]\w*)": "MAX_, MIN_",
}
"""Regular expressions, and the field's words."""

ALLOWED = {"perfsuite/records/reading.py", "perfsuite/records/schema.py", "tests/records/test_records.py"}
"""Files that name what older result files hold."""


def occurrences() -> list[str]:
    """Return a line for each place that has one of the words."""
    patterns = {re.compile(rf"(?i:(?<![\w/-])(?:{words})(?![\w-]))"): better for words, better in WORDS.items()}
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md", "*.jinja", "*.toml"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.splitlines()
    found = []
    for name in names:
        path = REPOSITORY / name
        if name in {"CHANGELOG.md", *ALLOWED} or path == Path(__file__) or not path.exists():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for pattern, better in patterns.items():
                found += [f"{name}:{number}: {word!r}: write {better}" for word in pattern.findall(line)]
    return found


if __name__ == "__main__":
    lines = occurrences()
    sys.stdout.write("\n".join([*lines, f"{len(lines)} words to replace\n"]))
    sys.exit(1 if lines else 0)
