"""A checkpoint of Magenta RealTime 2 as a whole bundle."""

import os
from pathlib import Path

from brain2music.bundles.writer import write
from brain2music.exporters.magenta_rt2.musiccoca import embedder_roles
from brain2music.exporters.magenta_rt2.roles import Checkpoint, roles, stage

__all__ = ["export_magenta_rt2", "write_bundle"]


def export_magenta_rt2(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    size: str = "small",
    embedder: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> Path:
    """Make a bundle of Magenta RealTime 2 from its published checkpoint, which magenta-rt downloads.

    The bundle makes music from embeddings of MusicCoCa, 768 numbers: the conditioner quantises them to 12 codes, the
    stage ``music`` writes 25 frames of 12 codes a second, and the codec turns these into 48 kHz stereo.

    Parameters
    ----------
    source : path
        The folder that magenta-rt downloads to (``checkpoints/mrt2_small.safetensors`` or ``mrt2_base.safetensors``,
        and ``resources/spectrostream/encoder.safetensors``), or one that holds these files side by side.
    folder : path
        The bundle to be made: all of it appears, or nothing. One network at a time is in memory, in float32: at most
        0.9 GB of the small model, 9.6 GB of the base model.
    size : {"small", "base"}
        Which model.
    embedder : path, optional
        A folder with ``music_encoder.pt`` and ``mel_params.npz`` of the public PyTorch port of MusicCoCa
        (multimodalart/magenta-realtime-torch), for the role ``music_embedder``; and where ``text_encoder.pt`` and
        ``spm.model`` lie there, too, for the role ``text_embedder``. They are read, not verified. Without a folder,
        embeddings come from elsewhere: :meth:`brain2music.bundles.Embeddings.from_arrays`.
    replace : bool, default False
        Replace the bundle that lies there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If there is no such size, or a file does not hold what it should.
    FileExistsError
        If something lies where the bundle is to be.
    RuntimeError
        If a network does not do what its entry in the manifest says.

    Notes
    -----
    Names and shapes of all tensors are those that magenta-rt 2.0.3 builds. With random weights in the checkpoints'
    format, logits and sound agree with magenta-rt on JAX to 1e-4 (``benchmarks/magenta_rt2``); the published weights
    were not at hand. The weights are Google's, under CC-BY-4.0; they are no part of brain2music.
    """
    return write_bundle(Checkpoint(source, size), folder, embedder=embedder, replace=replace)


def write_bundle(
    checkpoint: Checkpoint,
    folder: str | os.PathLike[str],
    *,
    embedder: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> Path:
    """Write the bundle of an opened checkpoint; parameters as for :func:`export_magenta_rt2`."""
    made = roles(checkpoint)
    if embedder is not None:
        made |= embedder_roles(embedder, made["conditioner"]["dimension"])
    return write(
        folder,
        name=f"Magenta RealTime 2, {checkpoint.size}",
        description="Magenta RealTime 2 in place of MusicLM: music from embeddings of MusicCoCa. The weights are not "
        "brain2music's: see the licence.",
        roles=made,
        stages=[stage(checkpoint)],
        space={
            "dimension": made["conditioner"]["dimension"],
            "roles": [role for role in made if role in ("music_embedder", "text_embedder")],
        },
        replace=replace,
    )
