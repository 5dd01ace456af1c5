"""Figures of encoding models: what is drawn is what was given, and nothing is drawn where it does not belong."""

import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.collections import PolyCollection
from mpl_toolkits.mplot3d import proj3d
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from nilearn import datasets

from brain2music import plotting
from brain2music.plotting import RegionScore
from brain2music.plotting.cortex import OWN_SPACE
from brain2music.study import Surface

FSAVERAGE5 = Surface("fsaverage5", 10242, 10242)
YELLOW = (0.993248, 0.906157, 0.143936)  # viridis at its end


def in_mni(code, shape=(20, 24, 20)):
    inside = np.zeros(shape, np.uint8)
    inside[4:16, 4:20, 4:16] = 1
    mask = nib.Nifti1Image(inside, np.array([[8.0, 0, 0, -80], [0, 8, 0, -112], [0, 0, 8, -72], [0, 0, 0, 1]]))
    mask.header["sform_code"] = code
    return mask, int(inside.sum())


def faces_of(axes, colour):
    """How many faces of a surface have a colour."""
    (collection,) = [one for one in axes.collections if isinstance(one, (Poly3DCollection, PolyCollection))][-1:]
    colours = (
        collection.get_facecolor()
        if isinstance(collection, Poly3DCollection)
        else collection.to_rgba(collection.get_array())
    )
    return int(np.isclose(colours[:, :3], colour, atol=0.02).all(axis=1).sum())


def one_vertex(vertex):
    values = np.full(20484, np.nan)
    values[vertex] = 0.5
    return values


def test_a_single_vertex_among_nothing_is_drawn_on_its_hemisphere_alone():
    figure = plotting.plot_cortex(one_vertex(10242 + 5000), FSAVERAGE5)
    views = figure.axes[:4]
    assert [faces_of(axes, YELLOW) > 0 for axes in views] == [False, False, True, True]
    assert faces_of(views[3], YELLOW) in (5, 6)  # the faces around a vertex
    flat = plotting.plot_cortex(one_vertex(5000), FSAVERAGE5, kind="flat")
    assert [len(axes.collections) for axes in flat.axes[:2]] == [2, 1]
    assert faces_of(flat.axes[0], YELLOW) in (5, 6)


def test_what_is_not_significant_is_not_drawn():
    values = np.full(20484, 0.5)
    significant = np.zeros(20484, bool)
    significant[[100, 15000]] = True
    figure = plotting.plot_cortex(torch.from_numpy(values), FSAVERAGE5, torch.from_numpy(significant))
    assert [faces_of(axes, YELLOW) for axes in figure.axes[:4]] in ([5] * 4, [6] * 4, [5, 5, 6, 6], [6, 6, 5, 5])
    empty = plotting.plot_cortex(values, FSAVERAGE5, np.zeros(20484, bool))
    assert [faces_of(axes, YELLOW) for axes in empty.axes[:4]] == [0] * 4
    assert plotting.plot_cortex(values, FSAVERAGE5, np.zeros(20484, bool), kind="flat")


def test_volumes_in_mni_are_projected_and_others_are_slices_that_say_why():
    mask, voxels = in_mni(4)
    figure = plotting.plot_cortex(np.full(voxels, 0.3), mask)
    assert all(faces_of(axes, YELLOW) > 1000 for axes in figure.axes[:4])
    mask, voxels = in_mni(1)
    values = np.full(voxels, 0.3)
    values[::2] = np.nan
    own = plotting.plot_cortex(values, mask)
    assert own._suptitle.get_text() == OWN_SPACE
    assert not any(one for axes in own.axes for one in axes.collections if isinstance(one, Poly3DCollection))
    assert next(axes.get_title() for axes in own.axes[:-1]).endswith(" mm")
    with pytest.raises(ValueError, match="no mesh of fsnative here to draw on"):
        plotting.plot_cortex(np.ones(9), Surface("fsnative", 4, 5))


def test_the_bar_tells_what_lies_beyond_its_colours():
    values = np.linspace(0, 0.8, 20484)
    bar = plotting.plot_cortex(values, FSAVERAGE5, label="r, test clips").axes[-1]
    assert bar.get_xlabel() == "r, test clips"
    assert bar.get_xlim() == pytest.approx((0, 0.8))
    beyond = plotting.plot_cortex(values, FSAVERAGE5, vmax=0.5, kind="flat").axes[-1]
    assert beyond.get_xlim() == pytest.approx((0, 0.5))
    assert beyond._colorbar.extend == "max"
    below = plotting.plot_cortex(values - 0.6, FSAVERAGE5, kind="flat").axes[-1]
    assert below.get_xlim() == pytest.approx((-0.6, 0.6))  # white is 0
    assert below._colorbar.cmap.name == "RdBu_r"


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        (np.ones((2, 20484)), {}, r"values must be of shape \(v,\); got \(2, 20484\)"),
        (np.ones(20484), {"kind": "round"}, "kind must be 'inflated' or 'flat'; got 'round'"),
        (np.ones(20484), {"vmax": 0}, "vmax must be above 0; got 0"),
        (np.ones(20484), {"significant": np.ones(3, bool)}, r"significant must be of shape \(20484,\), bool"),
        (np.ones(20484), {"significant": np.ones(20484)}, "bool; got float64"),
        (np.ones(3), {}, r"for each vertex of fsaverage5 .*; got shape \(3,\)"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(values, options, problem):
    with pytest.raises(ValueError, match=problem):
        plotting.plot_cortex(values, FSAVERAGE5, **options)


def test_density_counts_voxels_above_the_diagonal():
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.1, 0.6, 4000)
    y = x + np.where(np.arange(4000) % 4, 0.1, -0.1)
    x[:7] = np.nan
    figure = plotting.plot_density(x, torch.from_numpy(y), labels=("genre", "music"))
    axes = figure.axes[0]
    assert axes.get_title() == "75% of 3,993 voxels above the diagonal\n7 without both scores left out"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("r, genre", "r, music")
    assert axes.get_xlim() == axes.get_ylim()
    np.testing.assert_array_equal(axes.get_xticks(), axes.get_yticks())
    counts = np.ma.filled(axes.images[0].get_array(), 0)
    assert counts.sum() == 3993  # none lies outside
    few = plotting.plot_density(x, y, np.arange(4000) < 20).axes
    assert few[0].get_title().startswith("77% of 13 voxels")
    assert len(few[0].collections[0].get_offsets()) == 13  # dots


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((np.ones(3), np.ones(4)), r"of one shape \(v,\); got \(3,\) and \(4,\)"),
        ((np.full(3, np.nan), np.ones(3)), "a voxel must have both scores; got none of 3"),
        ((np.ones(3), np.ones(3), np.zeros(3, bool)), "got none of 3"),
        ((np.ones(3), np.ones(3), np.ones(3)), "bool; got float64"),
    ],
)
def test_densities_that_cannot_be_drawn_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        plotting.plot_density(*arguments)


def score(region, subject="001", mean=0.2, **changes):
    values = {"features": "music", "voxels": 40, "significant": 10, "ceiling": 0.5}
    return RegionScore(region, subject=subject, mean=mean, **values | changes)


def test_regions_are_ordered_by_their_mean_over_subjects():
    scores = [score("A", mean=0.1), score("A", "002", 0.3), score("B", mean=0.3), score("B", "002", 0.3, ceiling=0.7)]
    scores += [score("C", mean=float("nan")), score("D", mean=-0.1, ceiling=float("nan")), score("E", voxels=0)]
    left, right = plotting.plot_regions(scores).axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["B", "A", "D"]
    assert [bar.get_width() for bar in left.patches] == pytest.approx([0.3, 0.2, -0.1])
    assert [bar.get_width() for bar in right.patches] == pytest.approx([0.25] * 3)
    ceilings = [line.get_xdata()[0] for line in left.lines if line.get_color() == "#bf5b17"]
    assert ceilings == pytest.approx([0.6, 0.5])
    assert len(plotting.plot_regions(scores, shown=1).axes[0].patches) == 1


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ([], "of one feature space; got none"),
        ([score("A"), score("A", features="genre")], "got genre, music"),
        ([score("A", voxels=0)], "a region must have a voxel that was tested"),
    ],
)
def test_regions_that_cannot_be_drawn_are_refused(scores, problem):
    with pytest.raises(ValueError, match=problem):
        plotting.plot_regions(scores)


def test_regions_of_vertices_are_drawn_on_the_cortex():
    labels = np.zeros(20484, int)
    labels[4000:4400], labels[15000:15200] = 7, 8
    figure = plotting.plot_roi_map({7: 0.2, 8: 0.1}, labels, selected=[7], names={7: "seven"}, surface=FSAVERAGE5)
    views = [axes for axes in figure.axes if any(isinstance(one, Poly3DCollection) for one in axes.collections)]
    assert [faces_of(axes, YELLOW) > 100 for axes in views] == [True, True, False, False]
    bare = plotting.plot_roi_map({7: 0.2}, labels[:9000] + 7, surface=Surface("fsnative", 4000, 5000))
    assert len(bare.axes) == 1
    with pytest.raises(ValueError, match=r"labels must be of the vertices of fsaverage5"):
        plotting.plot_roi_map({7: 0.2}, labels[:5], surface=FSAVERAGE5)


def test_no_view_cuts_a_hemisphere_off():
    figure = plotting.plot_cortex(np.linspace(0.2, 1, 20484), FSAVERAGE5)
    figure.draw_without_rendering()
    meshes = datasets.load_fsaverage("fsaverage5")["inflated"].parts
    for axes, side in zip(figure.axes[:4], ("left", "left", "right", "right"), strict=True):
        x, y, _ = proj3d.proj_transform(*meshes[side].coordinates.T, axes.get_proj())
        place = axes.transData.transform(np.stack([x, y], axis=1))
        box = axes.get_window_extent()
        assert (place > (box.x0, box.y0)).all()
        assert (place < (box.x1, box.y1)).all()
        assert np.ptp(place[:, 0]) > 0.75 * figure.bbox.width / 4  # as large as its share of the figure
        assert np.ptp(place[:, 0]) < figure.bbox.width / 4
    labels = np.arange(20484) // 3000
    regions = plotting.plot_roi_map({1: 0.2, 2: 0.1, 3: -0.2}, labels, surface=FSAVERAGE5)
    regions.draw_without_rendering()
    for text in regions.texts:
        assert text.get_window_extent().y1 <= regions.bbox.y1


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.int32])
def test_tensors_of_any_real_type_are_drawn(kind):
    values = (torch.arange(20484) % 7).to(kind)
    assert plotting.plot_cortex(values, FSAVERAGE5, kind="flat")
    assert plotting.plot_density(values[:600], values[:600] * 2)
    with pytest.raises(ValueError, match="values must hold real numbers; got complex"):
        plotting.plot_cortex(values.to(torch.complex64), FSAVERAGE5)
