"""The codec of a bundle: sound to codes, and codes to sound."""

from typing import Any

import numpy as np

from brain2music import _core
from brain2music.bundles import Bundle
from brain2music.bundles.bundle import core_object

__all__ = ["Codec"]


class Codec:
    """Turn sound into codes and codes into sound, with the bundle's role "codec".

    Parameters
    ----------
    bundle : Bundle
        It says where the codec runs, and in which type.

    Attributes
    ----------
    rate : int
        Samples a second.
    frame_rate : float
        Frames of codes a second.
    levels, channels : int
        Codes of a frame, and channels of the sound.

    Raises
    ------
    ValueError
        If the bundle has no codec that encodes or decodes.

    References
    ----------
    Zeghidour et al. (2021), *SoundStream*; Denk, Takagi et al. (2023), *Brain2Music*, "Music generation".
    """

    def __init__(self, bundle: Bundle) -> None:
        self._core = core_object(bundle, _core.generation.Codec)
        entry = bundle.roles["codec"]
        self.rate = int(entry["sample_rate"])
        self.frame_rate = float(entry["frame_rate"])
        self.levels = int(entry["levels"])
        self.channels = int(entry["channels"])

    def encode(self, waveforms: Any, rate: int) -> Any:
        """Encode sound.

        Channels are averaged for a codec of one channel; one channel is doubled for a codec of two. Sound of another
        rate is resampled.

        Parameters
        ----------
        waveforms : array of shape (n, samples) or (n, channels, samples)
            One or two channels of floating-point values; full scale is 1.
        rate : int
            Samples a second.

        Returns
        -------
        codes : array of shape (n, levels, frames), int64
            Of the kind of array that came in.

        Raises
        ------
        ValueError
            If shapes do not fit, a value is not finite, or the codec does not encode.
        """
        if np.ndim(waveforms) == 2:
            waveforms = waveforms[:, None]
        return self._core.encode(waveforms, int(rate))

    def decode(self, codes: Any) -> Any:
        """Decode codes.

        Parameters
        ----------
        codes : array of shape (n, levels, frames), int64

        Returns
        -------
        waveforms : array of shape (n, channels, samples), float32
            Full scale is 1; the sound may exceed it. Of the kind of array that came in.

        Raises
        ------
        ValueError
            If shapes do not fit, a code is out of its level's vocabulary, or the codec does not decode.
        """
        return self._core.decode(codes)

    def decode_block(self, codes: Any, start: int, stop: int) -> Any:
        """Decode the frames from ``start`` to ``stop``, as :meth:`decode` of all codes gives them.

        Parameters
        ----------
        codes : array of shape (n, levels, frames), int64
            All codes that there are: the codec's ``context`` says how many frames around the block are read.
        start, stop : int
            First frame, and the frame behind the last.

        Returns
        -------
        waveforms : array of shape (n, channels, samples), float32

        Raises
        ------
        ValueError
            As :meth:`decode`, and if the block lies outside the codes or the manifest tells no context.
        """
        return self._core.decode_block(codes, int(start), int(stop))
