"""A run on fMRIPrep's surfaces: the simulated volumes, carried over to the vertices of fsaverage5."""

import json

import nibabel as nib
import numpy as np
import pytest
from nilearn import datasets

from brain2music import pipeline
from brain2music.pipeline.encoding_report import encoding_section

SIDES = (("L", "left", "lh"), ("R", "right", "rh"))


def nearest(image):
    """The voxel halfway through the cortex, for each vertex of both hemispheres."""
    meshes = datasets.load_fsaverage("fsaverage5")
    found = {}
    for letter, side, _ in SIDES:
        middle = (meshes["white_matter"].parts[side].coordinates + meshes["pial"].parts[side].coordinates) / 2
        index = np.rint(nib.affines.apply_affine(np.linalg.inv(image.affine), middle)).astype(int)
        found[letter] = tuple(np.clip(index, 0, np.array(image.shape[:3]) - 1).T)
    return found


def carry_over(study, subject):
    """Write a hemisphere's file for each preprocessed run, and FreeSurfer's labels of the vertices."""
    prepared = study / "derivatives"
    runs = sorted(prepared.rglob(f"sub-{subject}_*_desc-preproc_bold.nii*"))
    places = nearest(nib.load(runs[0]))
    written = []
    for path in runs:
        image = nib.load(path)
        data = np.asarray(image.dataobj, np.float32)
        for letter, _, _ in SIDES:
            values = data[places[letter]].T
            meta = nib.gifti.GiftiMetaData({"TimeStep": f"{float(image.header['pixdim'][4]) * 1000:g}"})
            arrays = [nib.gifti.GiftiDataArray(np.ascontiguousarray(one), meta=meta) for one in values]
            name = path.name.partition("_space-")[0] + f"_hemi-{letter}_space-fsaverage5_bold.func.gii"
            nib.save(nib.GiftiImage(darrays=arrays, meta=meta), path.with_name(name))
            written.append(path.with_name(name))
    labels = nib.load(next(prepared.rglob(f"sub-{subject}_*_seg-destrieux_dseg.nii.gz")))
    table = next(prepared.rglob("*_dseg.tsv")).read_text().splitlines()
    names = {int(row.split("\t")[0]): row.split("\t")[1] for row in table[1:]}
    folder = study / "derivatives" / "sourcedata" / "freesurfer" / "fsaverage5" / "label"
    folder.mkdir(parents=True, exist_ok=True)
    for letter, _, short in SIDES:
        own = np.asarray(labels.dataobj).astype(int)[places[letter]]
        present = sorted(set(own.tolist()) - {0})
        index = np.array([present.index(label) if label else -1 for label in own], np.int32)
        colours = np.array([[i % 256, i // 256, 1, 0, 0] for i in range(len(present))])
        known = [names[label].removeprefix(f"ctx_{short}_") for label in present]
        path = folder / f"{short}.aparc.a2009s.annot"
        nib.freesurfer.write_annot(path, index, colours, known, fill_ctab=True)
        written.append(path)
    return written


@pytest.fixture(scope="module")
def context(simulated, tmp_path_factory):
    written = carry_over(simulated, "001")
    settings = pipeline.Settings(
        study=str(simulated),
        subjects=("001",),
        space="fsaverage5",
        embeddings=("music_embedder",),
        held_out_genres=False,
    )
    yield pipeline.Context(settings, tmp_path_factory.mktemp("surfaces"), progress=False)
    for path in written:  # others use the study
        path.unlink()


@pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach")
def test_vertices_that_hear_are_predicted_and_drawn(context):
    found = pipeline.encode(context, "001", "music_embedder")
    sides = [nib.load(found.folder / f"r-all_hemi-{letter}.func.gii").darrays[0].data for letter in "LR"]
    assert [side.shape for side in sides] == [(10242,)] * 2
    np.testing.assert_array_equal(np.concatenate(sides), found.voxels["r-all"])
    rows = {row.test: row for row in found.rows}
    assert rows.keys() == {"test", "all"}
    assert rows["test"].voxels <= 20484
    best = sorted(found.regions, key=lambda one: -np.nan_to_num(one.mean, nan=-1))[:5]
    assert sum("temp" in one.region for one in best) >= 3
    section = encoding_section(context, pipeline.encode_all(context)[0])
    assert section.cortex is not None
    value = json.loads(section.cortex.payload())
    assert {one["features"] for one in value["maps"]} >= {"genre, a column each", "random numbers"}
    assert any("temp" in name for name in value["names"])
    assert {figure.title.partition(",")[0] for figure in section.figures} >= {"Vertices predicted"}


@pytest.mark.filterwarnings("ignore:.*the grid of alphas should reach")
def test_regions_of_vertices_are_decoded_from_and_kept_as_labels(context):
    decoded = pipeline.decode(context, "001", "music_embedder")
    assert decoded.surface.space == "fsaverage5"
    labels = [nib.load(decoded.folder / f"labels_hemi-{letter}.label.gii") for letter in "LR"]
    whole = np.concatenate([one.darrays[0].data for one in labels])
    np.testing.assert_array_equal(whole, pipeline.encode(context, "001", "music_embedder").voxels["region"])
    assert labels[0].labeltable.get_labels_as_dict()[int(decoded.rois[0])] == decoded.roi_names[decoded.rois[0]]
    scores = np.concatenate(
        [nib.load(decoded.folder / f"roi-scores_hemi-{letter}.func.gii").darrays[0].data for letter in "LR"]
    )
    best = decoded.rois[0]
    np.testing.assert_allclose(scores[whole == best], decoded.roi_scores[best], rtol=1e-6)
    drawn = pipeline.figures.Writer(context.out / "figures").roi_map(decoded)
    assert drawn.title == "Regions of sub-001"
