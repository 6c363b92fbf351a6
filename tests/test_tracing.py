"""The marker `no_cover` holds in workers of pytest-xdist too, where two tracings were on top of each other."""

from __future__ import annotations

import sys

import pytest


@pytest.mark.no_cover
def test_nothing_is_traced_where_coverage_is_not_measured() -> None:
    assert sys.gettrace() is None
