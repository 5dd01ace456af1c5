"""What figures show, read back from what was drawn; how they look was looked at."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib as mpl
import nibabel as nib
import numpy as np
import pytest
from matplotlib import image as mpl_image
from sklearn.decomposition import PCA

from brain2music import plotting
from brain2music.evaluation import PUBLISHED, Row
from brain2music.plotting.style import CHANCE, ORACLE, genre_styles

GENRES = ("blues", "jazz", "metal")
ROW = Row("001", "decode-test", "mulan-music", "all", "identification", 0.8, 0.5, 1.0, 12)


@pytest.fixture
def clips():
    genre = np.array(GENRES)[np.arange(12) % 3]
    return SimpleNamespace(ids=np.array([f"clip {i}" for i in range(12)]), genre=genre)


def rows(subjects=3, genres=("all", *GENRES)):
    return [
        replace(ROW, subject=f"00{s}", genre=genre, value=0.6 + 0.05 * s + 0.01 * g, chance=0.5 + 0.01 * g)
        for s in range(subjects)
        for g, genre in enumerate(genres)
    ]


@pytest.fixture
def labels():
    values = np.zeros((20, 24, 20), np.int16)
    values[3:9, 5:20, 4:16] = 7
    values[11:17, 5:20, 4:16] = 8
    values[9:11, 5:20, 4:16] = 9
    affine = np.diag([-8.0, 8, 8, 1])
    affine[:3, 3] = 80, -100, -60
    return nib.Nifti1Image(values, affine)


def figures(rng, clips, labels):
    embeddings = rng.standard_normal((2, 12, 4, 6))
    wave = rng.standard_normal(16000)
    return {
        "identification": plotting.plot_identification(rng.standard_normal((12, 12)), clips, ROW),
        "embedding": plotting.plot_embedding(*embeddings, clips.genre),
        "scores": plotting.plot_scores(rows()),
        "spectrograms": plotting.plot_spectrograms([wave, wave[:9000]], 16000, ["original", "retrieved"]),
        "slices": plotting.plot_roi_map({7: 0.2, 8: 0.1, 9: -0.1}, labels, selected=np.array([7])),
        "glass brain": plotting.plot_roi_map({7: 0.2, 8: 0.1, 9: -0.1}, labels, mni=True),
    }


def test_figures_are_written_whole_and_alike_and_nothing_is_left_behind(rng, clips, labels, tmp_path):
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    first = {}
    for name, figure in figures(rng, clips, labels).items():
        assert figure.get_figwidth() in (3.5, 7.2)  # a journal's columns
        png, svg = plotting.save(figure, tmp_path / f"{name}.v1")
        assert (png.name, svg.name) == (f"{name}.v1.png", f"{name}.v1.svg")
        pixels = mpl_image.imread(png)
        assert pixels.shape[1] == round(300 * figure.get_figwidth())
        assert pixels[..., :3].std() > 0.02
        text = " ".join(
            "".join(node.itertext()) for node in ElementTree.parse(svg).iter() if node.tag.endswith("}text")
        )
        assert len(text) > 20  # text stays text
        first[name] = png.read_bytes(), svg.read_bytes()
    again = figures(np.random.default_rng(0), clips, labels)
    for name in ("embedding", "glass brain"):  # drawn and written once more
        png, svg = plotting.save(again[name], tmp_path / f"{name}.v1.svg")
        assert (png.read_bytes(), svg.read_bytes()) == first[name], name
    assert len(list(tmp_path.iterdir())) == 2 * len(first)
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


def test_a_notebook_shows_a_figure_that_is_returned(rng, clips):
    figure = plotting.plot_identification(rng.uniform(-1, 1, (12, 12)), clips, ROW)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_identification_is_sorted_by_genre(rng, clips):
    matrix = rng.standard_normal((12, 12))
    axes = plotting.plot_identification(matrix, clips, ROW).axes[0]
    order = [i for genre in GENRES for i in range(12) if clips.genre[i] == genre]
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix[order][:, order])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(GENRES)
    assert axes.get_title(loc="left") == "identification accuracy 0.80\n(chance 0.50, oracle 1.00, 12 clips)"
    with pytest.raises(ValueError, match=r"correlations must have shape \(12, 12\); got \(12, 11\)"):
        plotting.plot_identification(matrix[:, 1:], clips, ROW)


def test_embeddings_lie_in_the_components_of_the_true_ones(rng, clips):
    predicted, target = rng.standard_normal((2, 12, 4, 6)) * [3, 2, 1, 1, 1, 1]
    figure = plotting.plot_embedding(predicted, target, clips.genre)
    pca = PCA(2).fit(target.mean(1))
    for axes, array in zip(figure.axes, (target, predicted), strict=True):
        expected = pca.transform(array.mean(1))
        for number, genre in enumerate(GENRES):
            drawn = axes.collections[2 * number].get_offsets()
            own = expected[clips.genre == genre]
            np.testing.assert_allclose(np.abs(drawn), np.abs(own), atol=1e-12)
            np.testing.assert_allclose(axes.collections[2 * number + 1].get_offsets()[0], drawn.mean(0))
        assert f"({pca.explained_variance_ratio_[0]:.0%}" in axes.get_xlabel()
    flipped = plotting.plot_embedding(-predicted, -target, clips.genre).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.abs(flipped), np.abs(figure.axes[0].collections[0].get_offsets()), atol=1e-12)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        plotting.plot_embedding(np.full_like(target, np.nan), target, clips.genre)
    with pytest.raises(ValueError, match=r"genres one for each; got shapes \(12, 6\) and \(11,\)"):
        plotting.plot_embedding(predicted, target, clips.genre[1:])


def lines(axes, colour):
    """Heights of the horizontal lines of one colour."""
    return [
        float(c.get_segments()[0][0][1])
        for c in axes.collections
        if mpl.colors.to_hex(c.get_edgecolor()[0]) == colour and np.ptp(c.get_segments()[0][:, 1]) == 0
    ]


@pytest.mark.parametrize("by", ["genre", "subject"])
def test_scores_show_every_subject_with_chance_and_oracle(by):
    chosen = rows() if by == "genre" else rows(genres=("all",))
    figure = plotting.plot_scores(reversed(chosen), by)
    axes = figure.axes[0]
    groups = [tick.get_text() for tick in axes.get_xticklabels()]
    assert groups[0] == ("all" if by == "genre" else "002")
    own = [[row for row in chosen if getattr(row, by) == group] for group in groups]
    assert sorted(y for line in axes.lines for y in line.get_ydata()) == sorted(row.value for row in chosen)
    np.testing.assert_allclose(lines(axes, CHANCE), [np.mean([row.chance for row in group]) for group in own])
    np.testing.assert_allclose(lines(axes, ORACLE), 1)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["chance", "oracle"]
    assert ("mean ± s.d." in labels) == (by == "genre")
    low, high = axes.get_ylim()
    assert low < min(lines(axes, CHANCE)) < max(lines(axes, ORACLE)) < high


def test_published_figures_stand_beside():
    chosen = [replace(ROW, embedding=name) for name in ("mulan-music", "clap", "own")]
    figure = plotting.plot_scores(chosen, "embedding", published=True)
    drawn = [float(line.get_ydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert drawn == [
        p.mean
        for name in ("mulan-music", "clap")
        for p in PUBLISHED
        if (p.embedding, p.stage, p.metric) == (name, "decode-test", "identification")
    ]
    assert "published" in [text.get_text() for text in figure.legends[0].get_texts()]
    without = plotting.plot_scores([replace(ROW, embedding="own")], "embedding", published=True)
    assert "published" not in [text.get_text() for text in without.legends[0].get_texts()]


def test_scores_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="there must be rows; got none"):
        plotting.plot_scores([])
    with pytest.raises(ValueError, match="rows must be of one stage; got decode-test, decode-train"):
        plotting.plot_scores([ROW, replace(ROW, subject="002", stage="decode-train")])
    with pytest.raises(ValueError, match="rows must be of one genre; got all, blues"):
        plotting.plot_scores(rows(), "subject")
    with pytest.raises(ValueError, match="a subject must have one row of a kind"):
        plotting.plot_scores([ROW, ROW])
    with pytest.raises(ValueError, match="by must be genre, subject, embedding or stage; got 'metric'"):
        plotting.plot_scores([ROW], "metric")


@pytest.mark.parametrize("hz", [125, 440, 2000, 6000])
def test_ticks_of_spectrograms_stand_where_the_tone_is(hz):
    rate = 22050
    tone = np.sin(2 * np.pi * hz * np.arange(2 * rate) / rate)
    axes = plotting.plot_spectrograms([np.stack([tone, tone])], rate, ["tone"]).axes[0]
    decibels = axes.images[0].get_array()
    loudest = np.average(np.arange(len(decibels)) + 0.5, weights=10 ** (decibels[:, 100] / 10))
    hertz = [float(tick.get_text().replace("k", "000")) for tick in axes.get_yticklabels()]
    assert hertz == [125, 500, 2000, 8000]
    scale = np.log(1 + np.array([*hertz, hz]) / 700)  # HTK's formula: near enough to Slaney's between ticks
    assert np.interp(scale[-1], scale[:-1], axes.get_yticks()) == pytest.approx(loudest, abs=2.5)
    assert decibels.max() == 0
    assert axes.get_xlim() == (0, 2)


def test_spectrograms_refuse_what_is_no_sound():
    with pytest.raises(ValueError, match="a title for each; got 1 and 0"):
        plotting.plot_spectrograms([np.zeros(100)], 100, [])
    with pytest.raises(ValueError, match=r"got shape \(0,\) for waveform 1"):
        plotting.plot_spectrograms([np.zeros(1000), np.zeros(0)], 22050, ["a", "b"])
    with pytest.raises(ValueError, match="finite"):
        plotting.plot_spectrograms([np.full(1000, np.nan)], 22050, ["a"])


def test_regions_are_drawn_upright_and_ranked(labels):
    scores = {7: 0.2, 8: 0.1, 9: -0.1}
    figure = plotting.plot_roi_map(scores, labels, labels, selected=[8], names={7: "seven"}, shown=2)
    bars = figure.axes[0]
    assert [tick.get_text() for tick in bars.get_yticklabels()] == ["seven", "8"]
    assert [bar.get_width() for bar in bars.patches] == [0.2, 0.1]
    assert [tick.get_fontweight() for tick in bars.get_yticklabels()] == ["normal", "bold"]
    assert "chance" in bars.get_xlabel()
    drawn = figure.axes[1].images[-1].get_array()
    # The first axis of the image runs to the left (its affine says so), so label 7 lies on the right.
    assert set(drawn[:, 10:].compressed()) == {0.2}
    assert set(drawn[:, :10].compressed()) == {0.1}
    assert len(figure.axes) == 1 + 8

    in_mni = nib.Nifti1Image(np.asarray(labels.dataobj), labels.affine)
    in_mni.set_sform(labels.affine, 4)
    assert len(plotting.plot_roi_map(scores, in_mni).axes) == 1 + 1 + 4  # its frame, and four views


def test_region_maps_refuse_what_does_not_fit(labels, tmp_path):
    nib.save(labels, tmp_path / "labels.nii.gz")
    assert plotting.plot_roi_map({7: 0.1}, tmp_path / "labels.nii.gz")
    with pytest.raises(ValueError, match=r"roi_scores must be finite, one or more; got \{\}"):
        plotting.plot_roi_map({}, labels)
    with pytest.raises(ValueError, match=r"labels in the image; got \[99\]"):
        plotting.plot_roi_map({99: 0.1}, labels)
    with pytest.raises(ValueError, match=r"selected must be labels of roi_scores; got \[8\]"):
        plotting.plot_roi_map({7: 0.1}, labels, selected=[8])
    with pytest.raises(ValueError, match=r"grid of labels, \(20, 24, 20\); got \(4, 4, 4\)"):
        plotting.plot_roi_map({7: 0.1}, labels, nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))


def test_genres_look_alike_in_all_figures_and_unlike_each_other():
    styles = genre_styles(["rock", "blues", "jazz", "blues"])
    assert list(styles) == ["blues", "jazz", "rock"]
    ten = genre_styles([f"genre {i}" for i in range(10)]).values()
    assert len({style["color"] for style in ten}) == len({style["marker"] for style in ten}) == 10


def test_matplotlib_is_imported_when_it_is_needed():
    check = "import sys, brain2music as b; assert 'matplotlib' not in sys.modules; b.plotting.plot_scores; b.signal"
    subprocess.run([sys.executable, "-c", check], check=True)
