"""Ridge regression a region of the brain, the best regions averaged: the decoder of Brain2Music."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.bundles import Embeddings, EmbeddingSpace
from brain2music.bundles.embeddings import clip_ids_of
from brain2music.model_files import parameters_of, save_model
from brain2music.ridge.folds import train_test_rows
from brain2music.study.windows import Windows, members_of

__all__ = ["BrainDecoder"]

FIT = "decoding.BrainDecoder.fit"


class BrainDecoder(BaseEstimator):  # type: ignore[misc]
    """Decode embeddings of music from responses of the brain.

    The scans that start inside an embedding's window are averaged. A ridge regression is fitted for each region of
    interest, with a penalty for each dimension; the regions that predict best on held-out clips of the training data
    are kept, fitted to all of it, and their predictions averaged. Penalties and regions are chosen by the training
    data alone.

    Parameters
    ----------
    n_rois : int, default 6
        Regions that are kept.
    alphas : sequence of float, optional
        Penalties; by default a grid relative to the scale of each region, see :class:`brain2music.ridge.RidgeCV`.
    cv : "runs", int, scikit-learn splitter, or iterable of (train, test), default "runs"
        Which clips are held out together. "runs" needs ``groups`` and takes five folds of whole runs, or as many as
        there are runs: clips follow each other without a gap, and a response's tail reaches the next clip. An integer k
        is ``KFold(k)``, with groups ``GroupKFold(k)``. Train and test number clips: a fold trains on all windows of the
        clips in train and is scored on those in test; clips in neither have no part in it.
    voxels : {"rois"}, default "rois"
        How voxels are chosen.
    device : "auto", str or torch.device, default "auto"
        Where regressions run: "auto" takes CUDA where there is one.
    min_voxels : int, default 10
        Regions with fewer voxels are passed over and noted.
    tr : float, default 1.5
        Seconds from scan to scan, for targets that know their windows in seconds.

    Attributes
    ----------
    selected_rois_ : array of shape (n_rois,)
        Labels of the regions that were kept, best first.
    roi_scores_ : dict
        From label to Pearson's r on held-out clips, averaged over folds and dimensions; all regions that were tried.
    alphas_ : array of shape (n_rois, d)
        Penalties of the regions that were kept.
    windows_ : array of shape (r, s), bool
        Which scans fall in which window.
    roi_names_ : dict or None
        From label to name, where ``rois`` had names.
    notes_ : tuple of str
        What was left out, one sentence each.
    space_ : EmbeddingSpace or None
        Identity of the space of the targets, where these were :class:`~brain2music.bundles.Embeddings` that state it.
    window_, hop_ : float or None
        Windows of the targets in seconds, where the targets know them.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 3.3: ridge regression, five folds, one penalty a dimension, the
    six regions of the Destrieux atlas with the highest cross-validated correlation. There the criterion of the
    penalties is not said; here it is R2 on held-out clips.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> music = rng.standard_normal((60, 4, 8))  # clips, windows, dimensions
    >>> brain = rng.standard_normal((60, 10, 100)).astype("float32")  # clips, scans, voxels
    >>> brain[:, :, :25] += (music.mean(axis=1) @ rng.standard_normal((8, 25)))[:, None]
    >>> rois, runs = np.repeat([1, 2, 3, 4], 25), np.repeat([1, 2, 3], 20)
    >>> decoder = b2m.BrainDecoder(n_rois=1).fit(brain, music, rois=rois, groups=runs)
    >>> decoder.selected_rois_, decoder.predict(brain).shape
    (array([1]), (60, 4, 8))
    """

    def __init__(
        self,
        n_rois: int = 6,
        alphas: Any = None,
        cv: Any = "runs",
        voxels: str = "rois",
        device: Any = "auto",
        *,
        min_voxels: int = 10,
        tr: float = 1.5,
    ) -> None:
        self.n_rois = n_rois
        self.alphas = alphas
        self.cv = cv
        self.voxels = voxels
        self.device = device
        self.min_voxels = min_voxels
        self.tr = tr

    def fit(
        self, responses: Any, targets: Any, rois: Any = None, groups: npt.ArrayLike | None = None
    ) -> "BrainDecoder":
        """Choose regions and penalties, and fit.

        Parameters
        ----------
        responses : array of shape (n, s, v), float32 or float64
            Clips, scans, voxels; a missing scan is NaN in all voxels. A window averages the scans that are present.
        targets : array of shape (n, r, d), or object with ``values`` (n, r, d), ``window`` and ``hop`` in seconds
            Embeddings of the windows; NaN in all dimensions of a window that a shorter clip lacks. A plain array's
            windows are ``s - r + 1`` scans long, one scan apart.
        rois : array of shape (v,), int, or object with ``labels`` (v,) and ``names``
            Region of each voxel; 0 = none.
        groups : array-like of shape (n,), optional
            Run of each clip.

        Returns
        -------
        BrainDecoder
            This estimator.

        Raises
        ------
        ValueError
            If shapes do not fit, values are not finite (clip, scan and voxel are named), there are fewer regions than
            ``n_rois``, or folds cannot be made.
        """
        if self.voxels != "rois":
            raise ValueError(f"[{FIT}] voxels must be 'rois'; got {self.voxels!r}")
        if rois is None:
            raise ValueError(f"[{FIT}] rois must hold the region of each voxel; got None")
        responses = _as_real(responses)
        plain = isinstance(targets, (np.ndarray, torch.Tensor, list, tuple))
        values = _as_real(targets if plain else getattr(targets, "values", targets))
        for name, array in (("responses", responses), ("targets", values)):
            if array.ndim != 3 or 0 in array.shape:
                raise ValueError(
                    f"[{FIT}] {name} must have three dimensions, none of them 0; got shape {tuple(array.shape)}"
                )
        members = _windows(None if plain else targets, values, responses.shape[1], self.tr)
        labels = np.asarray(getattr(rois, "labels", rois))
        if labels.dtype.kind not in "iu":
            raise ValueError(f"[{FIT}] rois must be integers; got {labels.dtype}")
        names = getattr(rois, "names", None)
        folds = self._folds(len(responses), groups)

        result = _core.decoding.fit_brain_decoder(
            responses,
            values
            if isinstance(responses, torch.Tensor) == isinstance(values, torch.Tensor)
            else _like(values, responses),
            members,
            labels.astype(np.int64),
            folds,
            int(self.n_rois),
            [] if self.alphas is None else np.ravel(self.alphas).astype(float).tolist(),
            int(self.min_voxels),
            _device(self.device, responses),
        )
        self.n_voxels_ = int(responses.shape[2])
        self.windows_ = members
        self.rois_ = result["rois"]
        self.selected_rois_ = np.array([roi["label"] for roi in self.rois_])
        self.roi_scores_ = dict(result["scores"])
        self.alphas_ = np.stack([np.asarray(torch.as_tensor(roi["alphas"]).cpu()) for roi in self.rois_])
        self.roi_names_ = None if names is None else {int(label): str(name) for label, name in dict(names).items()}
        self.notes_ = _notes(result, self.min_voxels)
        self.space_ = targets.space if isinstance(targets, Embeddings) else None
        self.window_, self.hop_ = _seconds(None if plain else targets)
        edges = result["at_lower_edge"], result["at_upper_edge"]
        if any(edges):
            warnings.warn(
                f"[{FIT}] the grid of alphas should reach beyond the best; got {edges[0]} of {self.alphas_.size} "
                f"dimensions of kept regions at its smallest, {edges[1]} at its largest alpha, better there than one "
                "step inside",
                stacklevel=3,
            )
        return self

    def predict(self, responses: Any, missing: str = "error") -> Any:
        """Predict embeddings.

        Parameters
        ----------
        responses : array of shape (n, s, v)
            As in :meth:`fit`, with the same scans and voxels.
        missing : {"error", "nan"}, default "error"
            What a window without any scan gives.

        Returns
        -------
        array of shape (n, r, d)
            Of the kind of ``responses``.

        Raises
        ------
        ValueError
            If shapes do not fit, values are not finite, or (with "error") a window holds no scan: clip and window are
            named.
        """
        check_is_fitted(self, "rois_")
        if missing not in ("error", "nan"):
            raise ValueError(f"[decoding.BrainDecoder.predict] missing must be 'error' or 'nan'; got {missing!r}")
        return _core.decoding.predict(
            _as_real(responses), self.windows_, self.n_voxels_, self.rois_, missing_nan=missing == "nan"
        )

    def predict_embeddings(self, responses: Any, clip_ids: Any) -> Embeddings:
        """Predict embeddings that know their clips and their space.

        Parameters
        ----------
        responses : array of shape (n, s, v)
            As in :meth:`fit`, with the same scans and voxels. Every window must hold a scan.
        clip_ids : sequence of str, or object with ``ids``
            The n clips, no two alike, such as ``brain.test_clips``.

        Returns
        -------
        Embeddings
            ``values`` of shape (n, r, d), float32, in the space of the targets that the decoder was fitted to; without
            a stated space where these stated none.

        Raises
        ------
        ValueError
            If the decoder was not fitted to :class:`~brain2music.bundles.Embeddings`, so that its windows are not
            known; if there are not as many ids as clips; and as in :meth:`predict`.
        """
        check_is_fitted(self, "rois_")
        where = "decoding.BrainDecoder.predict_embeddings"
        if self.window_ is None or self.hop_ is None:
            raise ValueError(
                f"[{where}] the decoder must be fitted to Embeddings, which know their windows; got one fitted to a "
                "plain array: fit it to Embeddings, or call predict"
            )
        ids = clip_ids_of(clip_ids, where)
        values = torch.as_tensor(self.predict(responses)).cpu().numpy().astype(np.float32, copy=False)
        if len(ids) != len(values):
            raise ValueError(f"[{where}] clip_ids must name each clip; got {len(ids)} ids for {len(values)} clips")
        space = self.space_
        role, network = (None, None) if space is None else (space.role, space.hash)
        return Embeddings(values, ids, self.window_, self.hop_, role, network)

    def save(self, path: str | Path) -> None:
        """Write the fitted decoder to a safetensors file, whole or not at all; :func:`brain2music.load` reads it.

        C++ reads the file, too: ``brain2music/decoding/decoder_file.h``.

        Parameters
        ----------
        path : path
            Ends in ``.safetensors``.
        """
        check_is_fitted(self, "rois_")
        tensors = {"windows": np.asarray(self.windows_)}
        for number, roi in enumerate(self.rois_):
            for part in ("voxels", "coef", "intercept", "alphas"):
                tensors[f"{part}.{number}"] = np.ascontiguousarray(torch.as_tensor(roi[part]).cpu().numpy())
        parameters = parameters_of(self)
        fitted = {
            "n_voxels": self.n_voxels_,
            "rois": [{"label": roi["label"], "score": roi["score"]} for roi in self.rois_],
            "roi_scores": list(self.roi_scores_.items()),
            "roi_names": None if self.roi_names_ is None else list(self.roi_names_.items()),
            "notes": list(self.notes_),
            "space": None if self.space_ is None else asdict(self.space_),
            "window": self.window_,
            "hop": self.hop_,
        }
        save_model(path, "BrainDecoder", tensors, {"parameters": parameters, "fitted": fitted})

    @classmethod
    def _from_file(cls, path: Path, described: dict[str, Any]) -> "BrainDecoder":
        """Take from C++ what predicts, and from the metadata what it does not need."""
        core = _core.decoding.load_decoder(path)
        decoder = cls(**described["parameters"])
        fitted = described["fitted"]
        decoder.n_voxels_ = core["voxels"]
        decoder.windows_ = core["members"]
        decoder.rois_ = core["rois"]
        decoder.selected_rois_ = np.array([roi["label"] for roi in decoder.rois_])
        decoder.roi_scores_ = {int(label): float(score) for label, score in fitted["roi_scores"]}
        decoder.alphas_ = np.stack([roi["alphas"] for roi in decoder.rois_])
        names = fitted["roi_names"]
        decoder.roi_names_ = None if names is None else {int(label): name for label, name in names}
        decoder.notes_ = tuple(fitted["notes"])
        space = decoder.space_ = None if core["space"] is None else EmbeddingSpace(*core["space"])
        # What C++ wrote knows the windows of a stated space alone.
        decoder.window_ = fitted.get("window") if space is None else space.window
        decoder.hop_ = fitted.get("hop") if space is None else space.hop
        return decoder

    def _folds(
        self, clips: int, groups: npt.ArrayLike | None
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        cv = self.cv
        if isinstance(cv, str):
            if cv != "runs":
                raise ValueError(
                    f"[{FIT}] cv must be 'runs', an integer, a splitter or (train, test) pairs; got {cv!r}"
                )
            if groups is None:
                raise ValueError(f"[{FIT}] cv='runs' needs groups, the run of each clip; got None")
            runs = len(np.unique(np.asarray(groups)))
            if runs < 2:
                raise ValueError(f"[{FIT}] cv='runs' needs two runs or more; got {runs}")
            cv = min(5, runs)
        return train_test_rows(cv, clips, groups, where=FIT)


def _as_real(array: Any) -> Any:
    """Return a tensor or array of float32 or float64."""
    if isinstance(array, torch.Tensor):
        if array.dtype.is_complex:
            raise ValueError(f"[decoding.BrainDecoder] arrays must hold real numbers; got {array.dtype}")
        return array if array.dtype in (torch.float32, torch.float64) else array.float()
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"[decoding.BrainDecoder] arrays must hold real numbers; got {array.dtype}")
    if array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float64 if array.dtype.itemsize > 2 else np.float32)


def _like(values: Any, responses: Any) -> Any:
    return (
        torch.as_tensor(values, device=responses.device)
        if isinstance(responses, torch.Tensor)
        else values.cpu().numpy()
    )


def _seconds(targets: Any) -> tuple[float | None, float | None]:
    """Window and hop of targets that know both."""
    window, hop = getattr(targets, "window", None), getattr(targets, "hop", None)
    return (None, None) if window is None or hop is None else (float(window), float(hop))


def _windows(targets: Any, values: Any, scans: int, tr: float) -> npt.NDArray[np.bool_]:
    """Which of a clip's scans fall in which window."""
    count = values.shape[1]
    length, hop = _seconds(targets)
    if length is not None and hop is not None:
        return members_of(length, hop, count, scans, tr, "targets", FIT)
    if count > scans:
        raise ValueError(f"[{FIT}] there must be no more windows than scans; got {count} windows, {scans} scans")
    return Windows(float(scans - count + 1), 1.0, clip=float(scans)).scans(scans, 1.0)


def _device(device: Any, responses: Any) -> str:
    """Name of the device to run on; empty: where the responses lie."""
    if isinstance(device, str) and device == "auto":
        return (
            "cuda"
            if torch.cuda.is_available() and not (isinstance(responses, torch.Tensor) and responses.is_cuda)
            else ""
        )
    return str(device)


def _notes(result: dict[str, Any], min_voxels: int) -> tuple[str, ...]:
    notes = []
    if result["passed"]:
        listed = ", ".join(f"{label} ({voxels})" for label, voxels in result["passed"])
        notes.append(
            f"{len(result['passed'])} regions have fewer than {min_voxels} voxels and were passed over: {listed}."
        )
    if result["left_out"]:
        listed = ", ".join(f"clip {clip} window {window}" for clip, window in result["left_out"])
        notes.append(f"{len(result['left_out'])} windows hold no scan and were left out of the fit: {listed}.")
    if result["without_target"]:
        notes.append(f"{result['without_target']} windows have no target (NaN) and were left out of the fit.")
    return tuple(notes)
