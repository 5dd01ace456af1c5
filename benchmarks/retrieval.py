"""The ten nearest of 106,574 tracks (FMA large) by cosine, 128 dimensions, for 1, 60 and 300 queries."""

from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
import torch

import brain2music as b2m
from benchmarks.case import Case, Contender
from brain2music import _core

ITEMS, DIMENSIONS, K = 106_574, 128, 10

#: Queries at a time, and how many calls are timed together: the shortest take a millisecond.
QUERIES = {1: 20, 60: 5, 300: 2}


def cases(device: torch.device, items: int = ITEMS) -> dict[str, Callable[[], Case]]:
    return {
        f"{q} quer{'y' if q == 1 else 'ies'}": partial(_case, items, q, calls, device) for q, calls in QUERIES.items()
    }


def dry_run(device: torch.device) -> None:
    """What the cases call on `device`, on whatever tensors are in force: fake ones need no GPU."""
    there = torch.empty(1000, DIMENSIONS).to(device)
    for queries in QUERIES:
        asked = torch.empty(queries, DIMENSIONS).to(device, non_blocking=True)
        for found in _core.kernels.cosine_top_k(asked, there, K):
            if found.device != asked.device or found.shape != (queries, K):
                raise AssertionError(
                    f"expected {(queries, K)} on {asked.device}; got {tuple(found.shape)} on {found.device}"
                )
            found.cpu()


def _case(items: int, q: int, calls: int, device: torch.device) -> Case:
    rng = np.random.default_rng(0)
    library = rng.standard_normal((items, DIMENSIONS), dtype=np.float32)
    corpus = b2m.Corpus.from_embeddings(library, [str(i) for i in range(items)])
    index = corpus.to_faiss()
    queries = rng.standard_normal((q, DIMENSIONS), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    values = torch.tensor(corpus.values)
    asked = torch.from_numpy(queries)

    def timed(run: Callable[[], object], on_gpu: bool = False) -> Contender:
        def run_all() -> None:
            for _ in range(calls):
                run()

        return Contender(run_all, q * calls, on_gpu)

    def by_torch() -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(torch.topk(asked @ values.T, K))

    def by_faiss(threads: int, blas_from: int) -> Callable[[], object]:
        """FAISS multiplies by OpenBLAS from so many values on, and compares one by one below; by default that is 20."""

        def run() -> object:
            faiss.omp_set_num_threads(threads)
            faiss.cvar.distance_compute_blas_threshold = blas_from
            return index.search(queries, K)

        return run

    if device.type == "cpu":
        ours = {
            "b2m.Corpus": timed(lambda: corpus.search(queries, K)),
            "the same, nothing prepared": timed(lambda: _core.kernels.cosine_top_k(queries, corpus.values, K)),
        }
    else:
        there, pinned = asked.to(device), asked.pin_memory()
        ours = {
            "b2m.Corpus": timed(lambda: corpus.search(there, K), on_gpu=True),
            "the same, transfers counted": timed(
                lambda: [found.cpu() for found in corpus.search(pinned.to(device, non_blocking=True), K)], on_gpu=True
            ),
        }
    many = torch.get_num_threads()
    settings = {
        f"faiss IndexFlatIP, {threads} thread{'s' if threads > 1 else ''}, {way}": by_faiss(threads, blas_from)
        for threads in sorted({1, many})
        for way, blas_from in {"by BLAS": 1, "one by one": 1 << 30}.items()
    }

    def compare() -> None:
        scores, indices = (found.cpu().numpy() for found in corpus.search(asked.to(device), K))
        for rival in (*settings.values(), by_torch):
            theirs, rows = (np.asarray(found) for found in rival())
            np.testing.assert_allclose(scores, theirs, atol=1e-6)
            np.testing.assert_array_equal(indices, rows)

    return Case(
        unit="queries",
        ours=ours,
        rivals={**{name: timed(run) for name, run in settings.items()}, "torch mm + topk": timed(by_torch)},
        required=dict.fromkeys(settings, 2.0),
        compare=compare,
        packages=["faiss-cpu"],
    )
