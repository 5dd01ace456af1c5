"""Features of music to voxels: ridge encoding, where it is significant, and how well it could do at best."""

from brain2music.encoding.ceiling import noise_ceiling
from brain2music.encoding.delays import delayed
from brain2music.encoding.grid import on_grid, one_hot
from brain2music.encoding.maps import to_gifti, to_nifti
from brain2music.encoding.rates import benjamini_hochberg
from brain2music.encoding.significance import Significance, independent_gaussian_p
from brain2music.encoding.voxelwise_encoder import VoxelwiseEncoder
from brain2music.plain_arrays import guard

__all__ = [
    "Significance",
    "VoxelwiseEncoder",
    "benjamini_hochberg",
    "delayed",
    "independent_gaussian_p",
    "noise_ceiling",
    "on_grid",
    "one_hot",
    "to_gifti",
    "to_nifti",
]

guard(__name__)
