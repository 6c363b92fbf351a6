"""The suite as pytest sees it: options, cells and fixtures, progress, outcomes, summary. Only this imports pytest.

Loaded by the root conftest.py. Rests on public hooks, the public fixture and, in `session.py` alone, on four
attributes of pytest-benchmark's session object.
"""

import atexit
import gc

# At its end the interpreter would look for garbage in all that torch has imported, which takes a third of a second.
atexit.register(gc.freeze)

pytest_plugins = (
    "perfsuite.plugin.registration",
    "perfsuite.plugin.options",
    "perfsuite.plugin.selection",
    "perfsuite.plugin.distribution",
    "perfsuite.plugin.matrix",
    "perfsuite.plugin.collected_cells",
    "perfsuite.plugin.cells",
    "perfsuite.plugin.own_tests",
    "perfsuite.plugin.trainings",
    "perfsuite.plugin.side_by_side",
    "perfsuite.plugin.numerics",
    "perfsuite.plugin.scaling",
    "perfsuite.plugin.outcomes",
    "perfsuite.plugin.results",
    "perfsuite.plugin.progress",
    "perfsuite.plugin.profiles",
    "perfsuite.plugin.summary",
)
