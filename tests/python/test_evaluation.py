import csv
import json
from dataclasses import FrozenInstanceError, astuple, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

import brain2music as b2m
from brain2music.evaluation import (
    METRICS,
    PUBLISHED,
    Retrieved,
    Row,
    evaluate_decoding,
    evaluate_retrieval,
    read_rows,
    summarise,
    write_rows,
    write_summary,
)
from brain2music.evaluation.retrieval import track_genre

GENRES = ("blues", "jazz", "metal")


@pytest.fixture
def study(rng):
    """Thirty clips of three genres, four windows each, in embeddings that share a mean; a library of 300 tracks."""
    n, r, d = 30, 4, 12
    genre = np.array(GENRES)[np.arange(n) % 3]
    shared = 2 * rng.standard_normal(d)
    clip = rng.standard_normal((n, 1, d))
    target = shared + clip + 0.5 * rng.standard_normal((n, r, d))
    predicted = shared + 0.4 * clip + rng.standard_normal((n, r, d))
    corpus = shared + rng.standard_normal((300, d))
    ids = np.array([f"{GENRES[i % 3]}.{i:05}" for i in range(300)])
    clips = SimpleNamespace(ids=np.array([f"{g}.{i:05}_3.00" for i, g in enumerate(genre)]), genre=genre)
    return SimpleNamespace(predicted=predicted, target=target, clips=clips, corpus=corpus, ids=ids)


def table(rows):
    assert len({(row.stage, row.genre, row.metric) for row in rows}) == len(rows)
    return {(row.genre, row.metric): row for row in rows}


def plain_identification(predicted, target, clip):
    """Share of other clips' rows that correlate less, row by row."""
    matrix = np.corrcoef(predicted, target)[: len(predicted), len(predicted) :]
    return np.array([np.mean(row[i] > row[clip != clip[i]]) for i, row in enumerate(matrix)])


def test_decoding_figures_are_those_computed_plainly(study):
    found = table(evaluate_decoding("001", "mulan-music", study.predicted, study.target, study.clips))
    others = {name for name in METRICS if name.startswith(("genre_", "agreement_"))}
    assert {metric for _, metric in found} == set(METRICS) - others
    assert {genre for genre, _ in found} == {"all", *GENRES}
    views = {
        "": (study.predicted.mean(1), study.target.mean(1), np.arange(30)),
        "_windows": (study.predicted.reshape(-1, 12), study.target.reshape(-1, 12), np.repeat(np.arange(30), 4)),
    }
    for suffix, (predicted, target, clip) in views.items():
        identified = plain_identification(predicted, target, clip)
        for genre in ("all", *GENRES):
            rows = np.isin(clip, np.arange(30)[(study.clips.genre == genre) | (genre == "all")])
            pair = predicted[rows], target[rows]
            expected = {
                "identification": identified[rows].mean(),  # distractors are all other clips
                "correlation": np.mean([stats.pearsonr(pair[0][:, i], pair[1][:, i])[0] for i in range(12)]),
                "correlation_item": np.mean([stats.pearsonr(*items)[0] for items in zip(*pair, strict=True)]),
            }
            for metric, value in expected.items():
                row = found[genre, metric + suffix]
                assert row.value == pytest.approx(value, abs=1e-12)
                assert row.oracle == pytest.approx(1, abs=1e-12)
                assert row.n == rows.sum()
                assert (row.subject, row.stage, row.embedding) == ("001", "decode-test", "mulan-music")


def test_chance_without_a_library_is_that_of_permuted_predictions(study, one_thread):
    arguments = study.predicted, study.target
    found = table(evaluate_decoding("001", "mulan-music", *arguments, study.clips))
    rng = np.random.default_rng(3)
    drawn = {key: [] for key in found if not key[1].endswith("_p")}
    for _ in range(25):
        moved = study.predicted[rng.permutation(30)]
        for key, row in table(
            evaluate_decoding("001", "mulan-music", moved, study.target, study.clips, n_permutations=1)
        ).items():
            if key in drawn and "correlation" not in (key[1], key[1].removesuffix("_windows")):
                drawn[key].append(row.value)
    for key, values in drawn.items():
        if values:
            error = 4.5 * np.std(values) / np.sqrt(len(values)) + 1e-9
            assert found[key].chance == pytest.approx(np.mean(values), abs=error), key
    for genre in ("all", *GENRES):  # over items, permuted within the genre
        assert abs(found[genre, "correlation"].chance) < 1e-12
        null = b2m.metrics.permutation_null(
            *(array[(study.clips.genre == genre) | (genre == "all")] for array in arguments),
            "correlation_items",
            4000,
            clips=np.arange(30)[(study.clips.genre == genre) | (genre == "all")],
        )
        assert found[genre, "correlation_windows"].chance == pytest.approx(null.mean(), abs=4.5 * null.std() / 63)
    assert found["all", "identification"].chance == pytest.approx(0.5)
    assert found["all", "correlation_item"].chance > 0.2  # the shared mean


def test_chance_with_a_library_is_a_random_pick(study, one_thread):
    found = table(
        evaluate_decoding(
            "001", "mulan-music", study.predicted, study.target, study.clips, corpus_values=study.corpus, repeats=300
        )
    )
    for suffix, clips in (("", None), ("_windows", np.arange(30))):
        for metric, name in (
            ("identification", "identification"),
            ("correlation", "correlation_items"),
            ("correlation_item", "correlation_dimensions"),
        ):
            null = b2m.metrics.random_pick(study.corpus, study.target, name, clips, repeats=1000, seed=9)
            error = 4.5 * null.std() / np.sqrt(300)
            assert found["all", metric + suffix].chance == pytest.approx(null.mean(), abs=error)
    flat = evaluate_decoding(
        "001", "mulan-music", study.predicted, study.target, study.clips, corpus_values=study.corpus[:5], repeats=3
    )
    assert table(flat)["all", "identification"].value == found["all", "identification"].value


def test_significance(study, rng):
    found = table(evaluate_decoding("001", "mulan-music", study.predicted, study.target, study.clips))
    for metric in ("identification", "correlation"):
        row = found["all", f"{metric}_p"]
        assert row.value == row.oracle == pytest.approx(1 / 1001)
        assert row.chance == 0.5
    noise = rng.standard_normal(study.target.shape)
    found = table(evaluate_decoding("001", "mulan-music", noise, study.target, study.clips))
    null = b2m.metrics.permutation_null(noise, study.target)
    assert found["all", "identification_p"].value == b2m.metrics.p_value(found["all", "identification"].value, null)
    assert found["all", "identification_p"].value > 0.01


def test_windows_that_were_not_measured_do_not_count(study):
    present = np.full((30, 4), True)
    present[4, 1:] = present[17, 3] = False
    predicted = study.predicted.copy()
    predicted[~present] = np.nan
    with pytest.raises(ValueError, match=r"got NaN or Inf for clip jazz.00004_3.00, window 1"):
        evaluate_decoding("001", "mulan-music", predicted, study.target, study.clips)
    found = table(evaluate_decoding("001", "mulan-music", predicted, study.target, study.clips, present=present))
    clip = np.nonzero(present)[0]
    identified = plain_identification(study.predicted[present], study.target[present], clip)
    assert found["all", "identification_windows"].value == pytest.approx(identified.mean())
    assert found["all", "identification_windows"].n == 116
    assert found["all", "identification"].n == 30
    means = [np.stack([x[i, present[i]].mean(0) for i in range(30)]) for x in (study.predicted, study.target)]
    assert found["all", "identification"].value == pytest.approx(plain_identification(*means, np.arange(30)).mean())
    present[4] = False
    with pytest.raises(ValueError, match=r"every clip must have a window; got none for jazz.00004_3.00"):
        evaluate_decoding("001", "mulan-music", predicted, study.target, study.clips, present=present)
    with pytest.warns(UserWarning, match="fewer than two clips have all windows to take chance from"):
        few = evaluate_decoding(
            "001", "e", predicted, study.target, study.clips, present=np.arange(4) < np.ones((30, 1))
        )
    assert "identification" in {row.metric for row in few}
    assert not [row for row in few if row.metric.endswith("_windows")]


def test_one_window_a_clip_gives_rows_of_clips_alone(study):
    found = evaluate_decoding("001", "mulan-text", study.predicted[:, :1], study.target[:, :1], study.clips)
    assert not [row for row in found if row.metric.endswith("_windows")]


def test_dimensions_that_do_not_vary_are_left_out_with_a_warning(study):
    target, predicted = study.target.copy(), study.predicted.copy()
    target[study.clips.genre == "metal", :, 5] = 0.1
    predicted[..., 3] = -0.7
    with pytest.warns(UserWarning, match="does not vary") as warned:
        found = table(evaluate_decoding("001", "e", predicted, target, study.clips, n_permutations=5))
    assert [str(warning.message) for warning in warned] == [
        "[evaluation] dimensions in which the target does not vary over a genre's clips are left out of "
        f"correlation{suffix}: metal (1 of 12)"
        for suffix in ("", "_windows")
    ]
    rows = study.clips.genre == "metal"
    pairs = [(predicted[rows].mean(1)[:, i], target[rows].mean(1)[:, i]) for i in range(12) if i not in (3, 5)]
    expected = sum(stats.pearsonr(*pair)[0] for pair in pairs) / 11  # a constant prediction counts 0
    assert found["metal", "correlation"].value == pytest.approx(expected)


def test_small_genres_have_no_correlation(study):
    clips = SimpleNamespace(ids=study.clips.ids, genre=study.clips.genre.copy())
    clips.genre[:2] = "disco"
    with pytest.warns(UserWarning, match="takes 3 clips or more; left out for disco") as warned:
        found = table(evaluate_decoding("001", "e", study.predicted, study.target, clips, n_permutations=5))
    assert len(warned) == 2
    assert ("disco", "identification") in found
    assert ("disco", "correlation") not in found


def test_nothing_to_find_gives_chance(rng, one_thread):
    """Thirty noise studies: values scatter about their chance, P about one half."""
    off, p = [], []
    genre = np.array(GENRES)[np.arange(12) % 3]
    clips = SimpleNamespace(ids=np.arange(12).astype(str), genre=genre)
    for study in range(30):
        predicted, target = rng.standard_normal((2, 12, 2, 10)) + 1
        found = table(evaluate_decoding("001", "e", predicted, target, clips, n_permutations=200, seed=study))
        headline = found["all", "identification"]
        off.append(
            [
                headline.value - headline.chance,
                found["all", "correlation_item"].value - found["all", "correlation_item"].chance,
            ]
        )
        p.append(found["all", "identification_p"].value)
    assert np.all(np.abs(np.mean(off, axis=0)) < 3 * np.std(off, axis=0) / np.sqrt(30))
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", [torch.from_numpy, lambda x: x.astype(np.float32), lambda x: x.astype(np.float16)])
def test_kinds_of_arrays_agree(study, kind):
    exact = kind(study.predicted), kind(study.target)
    found = evaluate_decoding("1", "e", *exact, study.clips, corpus_values=kind(study.corpus), n_permutations=20)
    double = [np.asarray(array, dtype=float) for array in (*exact, kind(study.corpus))]
    again = evaluate_decoding("1", "e", *double[:2], study.clips, corpus_values=double[2], n_permutations=20)
    assert [astuple(row) for row in found] == [astuple(row) for row in again]


def retrieve(corpus, ids, query, k=5):
    cosine = (query @ corpus.T) / np.linalg.norm(query, axis=1)[:, None] / np.linalg.norm(corpus, axis=1)
    best = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return Retrieved(ids[best], corpus[best])


def test_retrieval_figures_are_those_computed_plainly(study):
    truth = study.target.mean(1)
    found_by = retrieve(study.corpus, study.ids, study.predicted.mean(1))
    best = retrieve(study.corpus, study.ids, truth)
    rows = evaluate_retrieval(
        "002", "mulan-music", study.target, study.clips, found_by, best, study.corpus, study.ids, split="heldout"
    )
    found = table(rows)
    assert {row.stage for row in rows} == {"retrieve-heldout"}
    for name, tracks in (("value", found_by), ("oracle", best)):
        identified = plain_identification(tracks.values[:, 0], truth, np.arange(30))
        hits = np.array([[track.split(".")[0] for track in row] for row in tracks.ids]) == study.clips.genre[:, None]
        for genre in ("all", *GENRES):
            part = (study.clips.genre == genre) | (genre == "all")
            expected = {
                "identification": identified[part].mean(),
                "correlation": np.mean(
                    [stats.pearsonr(tracks.values[part, 0, i], truth[part, i])[0] for i in range(12)]
                ),
                "genre_first": hits[part, 0].mean(),
                "genre_share": hits[part].mean(),
            }
            for metric, value in expected.items():
                assert getattr(found[genre, metric], name) == pytest.approx(value)
    assert found["all", "genre_share"].chance == pytest.approx(1 / 3)
    assert found["all", "identification"].oracle > found["all", "identification"].value
    assert found["all", "identification"].chance == pytest.approx(0.5, abs=0.02)


def test_genres_of_a_library(study):
    assert track_genre("blues.00017") == track_genre("genres/blues/blues.00017.wav") == "blues"
    assert track_genre("000002") is None
    best = retrieve(study.corpus, study.ids, study.target.mean(1))
    names = np.array([f"track {i}" for i in range(300)])
    renamed = Retrieved(names[[[list(study.ids).index(t) for t in row] for row in best.ids]], best.values)
    arguments = "1", "e", study.target, study.clips, renamed, renamed, study.corpus, names
    rows = evaluate_retrieval(*arguments, n_permutations=5, repeats=3)
    assert not [row for row in rows if row.metric.startswith("genre")]
    genres = {name: track.split(".")[0] for name, track in zip(names, study.ids, strict=True)}
    rows = evaluate_retrieval(*arguments, n_permutations=5, repeats=3, genres=genres)
    assert len([row for row in rows if row.metric.startswith("genre")]) == 8
    del genres["track 7"]
    with pytest.raises(ValueError, match="genre of every track of the library; got none for track 7"):
        evaluate_retrieval(*arguments, n_permutations=5, repeats=3, genres=genres)


def test_bad_input_is_refused_with_what_it_was(study):
    def decode(**changes):
        values = {"predicted": study.predicted, "target": study.target, "clips": study.clips, **changes}
        evaluate_decoding("1", "e", **values)

    with pytest.raises(ValueError, match=r"predicted must have shape \(30, 4, 12\); got \(30, 4, 11\)"):
        decode(predicted=study.predicted[..., 1:])
    with pytest.raises(ValueError, match=r"target must be \(clips, windows, dimensions\); got shape \(30, 12\)"):
        decode(target=study.target[:, 0])
    with pytest.raises(ValueError, match="split must be one of train, test, heldout; got 'dev'"):
        decode(split="dev")
    with pytest.raises(ValueError, match=r"clips must be the 30 of predicted; got \(29,\) ids"):
        decode(clips=SimpleNamespace(ids=study.clips.ids[1:], genre=study.clips.genre))
    with pytest.raises(ValueError, match=r"a clip must be there once; got blues.00000_3.00 2 times"):
        decode(clips=SimpleNamespace(ids=study.clips.ids[[0, *range(29)]], genre=study.clips.genre))
    with pytest.raises(ValueError, match="no genre can be called 'all'"):
        decode(clips=SimpleNamespace(ids=study.clips.ids, genre=np.full(30, "all")))
    with pytest.raises(ValueError, match=r"tracks of 12 dimensions; got shape \(300, 11\)"):
        decode(corpus_values=study.corpus[:, 1:])
    with pytest.raises(ValueError, match=r"present must be bool of shape \(30, 4\); got int64"):
        decode(present=np.ones((30, 4), int))
    best = retrieve(study.corpus, study.ids, study.target.mean(1))
    with pytest.raises(ValueError, match=r"retrieved.ids must be tracks of the library; got x.00001"):
        evaluate_retrieval(
            "1",
            "e",
            study.target,
            study.clips,
            replace(best, ids=np.full((30, 5), "x.00001")),
            best,
            study.corpus,
            study.ids,
        )
    with pytest.raises(ValueError, match=r"oracle.values must have shape \(30, 5, 12\); got \(30, 5, 11\)"):
        evaluate_retrieval(
            "1",
            "e",
            study.target,
            study.clips,
            best,
            replace(best, values=best.values[..., 1:]),
            study.corpus,
            study.ids,
        )


ROW = Row("001", "decode-test", "mulan-music", "all", "identification", 0.8, 0.5, 1.0, 60)


def test_no_row_without_chance_and_oracle():
    with pytest.raises(TypeError, match="missing"):
        Row("001", "decode-test", "mulan-music", "all", "identification", 0.8, n=60)
    for name in ("value", "chance", "oracle"):
        with pytest.raises(ValueError, match=f"{name} must be finite; got nan for identification of all"):
            replace(ROW, **{name: float("nan")})
    with pytest.raises(ValueError, match="metric must be one of"):
        replace(ROW, metric="accuracy")
    with pytest.raises(ValueError, match="genre must be a name without tab"):
        replace(ROW, genre="a\tb")
    with pytest.raises(ValueError, match="n must be positive; got 0"):
        replace(ROW, n=0)
    with pytest.raises(FrozenInstanceError):
        ROW.chance = None


def test_summary_over_subjects():
    rows = [replace(ROW, subject=f"{i}", value=0.8 + 0.1 * i, chance=0.5 - 0.01 * i) for i in range(3)]
    rows.append(replace(ROW, genre="jazz"))
    whole, single = summarise(rows)
    assert (whole.mean, whole.sd, whole.chance, whole.subjects) == pytest.approx((0.9, 0.1, 0.49, 3))
    assert summarise(rows, ddof=0)[0].sd == pytest.approx(np.std([0.8, 0.9, 1.0]))
    assert (single.genre, single.sd, single.subjects) == ("jazz", None, 1)
    with pytest.raises(ValueError, match=r"one row of a kind; got two of identification of all.*subject 1"):
        summarise([*rows, rows[1]])


def test_tables(tmp_path, study):
    rows = evaluate_decoding("001", "mulan-music", study.predicted, study.target, study.clips, n_permutations=50)
    path = write_rows(tmp_path / "evaluate.tsv", rows)
    first = path.read_bytes()
    with path.open(newline="") as file:
        read = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert list(read[0]) == ["subject", "stage", "embedding", "genre", "metric", "value", "chance", "oracle", "n"]
    assert len(read) == len(rows)
    assert b"\r" not in first
    assert b"-0.000000" not in write_rows(tmp_path / "evaluate.tsv", [replace(ROW, chance=-1e-9)]).read_bytes()
    write_rows(path, rows)
    assert all(float(a["value"]) == pytest.approx(b.value, abs=1e-6) for a, b in zip(read, rows, strict=True))
    sidecar = json.loads((tmp_path / "evaluate.json").read_text())
    assert list(sidecar) == list(read[0])
    assert {row["metric"] for row in read} <= set(sidecar["metric"]["Levels"])
    assert {row["stage"] for row in read} <= set(sidecar["stage"]["Levels"])
    again = evaluate_decoding("001", "mulan-music", study.predicted, study.target, study.clips, n_permutations=50)
    assert write_rows(path, again).read_bytes() == first
    assert write_rows(path, read_rows(path)).read_bytes() == first
    assert {file.name for file in tmp_path.iterdir()} == {"evaluate.tsv", "evaluate.json"}

    written = write_summary(tmp_path / "summary.tsv", summarise(rows)).read_text().splitlines()
    assert written[0] == "stage\tembedding\tgenre\tmetric\tmean\tsd\tchance\toracle\tsubjects"
    assert written[1].split("\t")[5] == "n/a"
    assert json.loads((tmp_path / "summary.json").read_text())["sd"]["Description"].endswith("single subject.")

    with pytest.raises(ValueError, match=r"must end in \.tsv"):
        write_rows(tmp_path / "evaluate.txt", rows)
    path.write_text(path.read_text().replace("decode-test", "decode-test\n", 1))
    with pytest.raises(ValueError, match="a row must have 9 fields"):
        read_rows(path)
    path.write_bytes(first.replace(b"identification\t0.", b"identification\tx0.", 1))
    with pytest.raises(ValueError, match=r"could not convert string to float: 'x0\.\d+'' in row 1 of .*evaluate\.tsv"):
        read_rows(path)


def test_published_results_can_stand_beside(study):
    rows = evaluate_decoding("001", "mulan-music", study.predicted, study.target, study.clips, n_permutations=5)
    ours = {(row.stage, row.embedding, row.metric) for row in summarise(rows)}
    beside = [figure for figure in PUBLISHED if (figure.stage, figure.embedding, figure.metric) in ours]
    assert [(figure.mean, figure.sd) for figure in beside] == [(0.876, 0.015), (0.307, 0.016)]
    assert len(PUBLISHED) == 11
