import logging

import dask
import distributed
import pytest


@pytest.fixture(scope="module")
def client():
    """Two worker processes, each watched by a nanny that starts it again when it ends."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    settings = {
        "distributed.admin.large-graph-warning-threshold": "100 kB",  # no arrays among the arguments
        # Dask gives up a worker that is not there at some moment after it ended: one that is killed twice, by chance.
        "distributed.deploy.lost-worker-timeout": "1 hour",
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(processes=True, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=30)
        yield client
