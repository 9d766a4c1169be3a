"""Keep the rows of the proof true: what a former run has measured is forgotten, and a test that ends early or is skipped leaves a row."""

import os
from collections.abc import Generator

import pytest

from tests.prove.proof import Proof, current_test, forget_rows, read_rows


@pytest.fixture(autouse=True)
def _rows_of_this_run_only(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("prove") is not None:
        forget_rows(current_test())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("prove") is None or report.passed:
        return report
    if report.skipped and "PROOF_FOLDER" in os.environ:  # what is promised and was not tried is not kept
        report.outcome = "failed"
    suite = getattr(getattr(item, "module", None), "PROOF", None)
    if report.failed and isinstance(suite, Proof) and all(row.holds for row in read_rows(suite.suite) if row.test == current_test()):
        reason = str(report.longrepr).strip().splitlines()[-1][:200]
        suite.keep(f"{item.name.replace('_', ' ')}: to its end", reason, "no error", holds=False)
    return report
