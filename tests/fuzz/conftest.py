"""Mutated files, as many as asked for: ``python -m pytest tests/fuzz -s --mutations 100000``."""

import numpy as np
import pytest


def pytest_addoption(parser):
    group = parser.getgroup("fuzz")
    group.addoption("--mutations", type=int, default=500, help="mutated files a reader")
    group.addoption("--seed", type=int, default=0, help="of the mutations")
    group.addoption("--first-mutation", type=int, default=0, help="number of the first, to see one again by itself")


@pytest.fixture
def mutations(request):
    """Calls a check with a generator of each mutation's own, says which mutation failed, and counts what was read.

    The check returns whether a file was read (and compared); False if it was refused.
    """
    option = request.config.getoption
    seed, first, count = option("--seed"), option("--first-mutation"), option("--mutations")

    def run(check, files):
        read = 0
        for number in range(first, first + count):
            try:
                read += check(np.random.default_rng([seed, number]))
            except Exception as error:
                raise AssertionError(
                    f"--seed {seed} --first-mutation {number} --mutations 1: {type(error).__name__}: {error}"
                ) from error
        print(f"{count} mutated {files}: {read} read and compared, {count - read} refused")
        if count >= 500:  # a fuzz that only ever meets one answer tests nothing
            assert 0.05 * count < read < 0.95 * count

    return run
