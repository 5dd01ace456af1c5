"""Features of music to voxels: ridge encoding, where it is significant, and how well it could do at best."""

from brain2music.encoding.ceiling import noise_ceiling
from brain2music.encoding.controls import mean_embedding, random_embedding
from brain2music.encoding.cortex import on_template, to_fsaverage5
from brain2music.encoding.cross_validation import CrossValidated, cross_validate
from brain2music.encoding.delays import delayed
from brain2music.encoding.grid import on_grid, one_hot
from brain2music.encoding.maps import to_gifti, to_nifti
from brain2music.encoding.rates import benjamini_hochberg
from brain2music.encoding.significance import Significance, independent_gaussian_p
from brain2music.encoding.voxelwise_encoder import VoxelwiseEncoder
from brain2music.plain_arrays import guard

__all__ = [
    "CrossValidated",
    "Significance",
    "VoxelwiseEncoder",
    "benjamini_hochberg",
    "cross_validate",
    "delayed",
    "independent_gaussian_p",
    "mean_embedding",
    "noise_ceiling",
    "on_grid",
    "on_template",
    "one_hot",
    "random_embedding",
    "to_fsaverage5",
    "to_gifti",
    "to_nifti",
]

guard(__name__)
