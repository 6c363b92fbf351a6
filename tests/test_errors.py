from __future__ import annotations

import pytest

from perfsuite.errors import InvalidChoiceError
from perfsuite.parsing import choose


def test_a_known_name_is_picked_from_the_table() -> None:
    assert choose({"a": 1, "b": 2}, "b", kind="letter") == 2


def test_an_unknown_name_fails_by_name_and_lists_what_is_allowed() -> None:
    with pytest.raises(InvalidChoiceError) as caught:
        choose({"tf32": 1, "fp32": 2}, "fp8", kind="precision")
    assert str(caught.value) == "unknown precision 'fp8'; choose from fp32, tf32"
