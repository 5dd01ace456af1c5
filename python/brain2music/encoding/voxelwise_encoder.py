"""Any features of music to the response of every voxel: the encoding model of Brain2Music."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from brain2music import _core
from brain2music.encoding.ceiling import noise_ceiling, repeats_in_windows
from brain2music.encoding.delays import runs_of
from brain2music.encoding.maps import to_gifti, to_nifti
from brain2music.encoding.rows import Rows, as_rows, values_of
from brain2music.encoding.significance import (
    Significance,
    clip_orders,
    found,
    independent_gaussian_p,
    shifted_orders,
)
from brain2music.model_files import parameters_of, save_model
from brain2music.ridge import RidgeCV
from brain2music.ridge.folds import train_test_rows

__all__ = ["VoxelwiseEncoder"]

#: Voxels whose predictions are held at once.
_TILE = 4096


class VoxelwiseEncoder(BaseEstimator):  # type: ignore[misc]
    """Predict the response of every voxel, or vertex, from features of what was heard.

    A ridge regression for each voxel, with a penalty of its own that is chosen on held-out runs of the training data.
    Test clips are looked at by :meth:`score` and :meth:`significance` alone.

    Parameters
    ----------
    alphas : sequence of float, optional
        Penalties; by default a grid relative to the scale of the features, see :class:`brain2music.ridge.RidgeCV`.
    cv : "runs", int, scikit-learn splitter, or iterable of (train, test), default "runs"
        Which rows are held out together. "runs" needs ``groups`` and takes five folds of whole runs, or as many as
        there are runs. An integer k is ``GroupKFold(k)`` with groups; without, clips of windows stay together. Train
        and test number rows, or clips where rows are windows of clips: a fold trains on those of train and is scored on
        those of test; those in neither have no part in it.
    delays : sequence of int, optional
        Scans by which copies of the features are delayed (a finite impulse response), for music that goes on. Rows are
        scans then, and ``groups`` their runs, one after the other.
    scoring : {"r2", "correlation"}, default "r2"
        By which penalties are chosen.
    device : "auto", str or torch.device, default "auto"
        Where regressions run: "auto" takes CUDA where there is one.
    tr : float, default 1.5
        Seconds from scan to scan, for features that know their windows in seconds.
    progress : bool, default False
        Show a bar.

    Attributes
    ----------
    coef_ : array of shape (p, t)
        Weights; with delays p counts all features at the first delay, then at the second.
    intercept_, best_alphas_, cv_scores_ : arrays of shape (t,)
    n_features_in_ : int
        Before delays.
    notes_ : tuple of str
        What was left out, one sentence each.

    References
    ----------
    Denk, Takagi et al. (2023), *Brain2Music*, section 3.4: ridge regression, five folds on the training data, a penalty
    for each voxel, Pearson's r on test clips.

    Examples
    --------
    >>> import brain2music as b2m, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> music = rng.standard_normal((60, 4, 8))  # clips, windows, features
    >>> brain = rng.standard_normal((60, 4, 100))  # clips, windows, voxels
    >>> brain[..., :25] += music @ rng.standard_normal((8, 25))
    >>> train, test = slice(40), slice(40, None)
    >>> encoder = b2m.VoxelwiseEncoder().fit(music[train], brain[train], groups=np.repeat([1, 2, 3, 4], 10))
    >>> tested = encoder.significance(music[test], brain[test], random_state=0)
    >>> int(tested.significant()[:25].sum()), int(tested.significant()[25:].sum())
    (25, 0)
    """

    def __init__(
        self,
        alphas: Any = None,
        cv: Any = "runs",
        delays: Any = None,
        *,
        scoring: str = "r2",
        device: Any = "auto",
        tr: float = 1.5,
        progress: bool = False,
    ) -> None:
        self.alphas = alphas
        self.cv = cv
        self.delays = delays
        self.scoring = scoring
        self.device = device
        self.tr = tr
        self.progress = progress

    def fit(self, features: Any, responses: Any, groups: npt.ArrayLike | None = None) -> "VoxelwiseEncoder":
        """Choose penalties and fit.

        Parameters
        ----------
        features : array of shape (m, p) or (n, r, p), or Embeddings
            Of each row, or of r windows of n clips.
        responses : array of shape (m, t) or (n, r, t); with Embeddings also scans, (n, s, t)
            The scans that start inside a window are averaged.
        groups : array-like of shape (m,) or (n,), optional
            Run of each row or clip.

        Returns
        -------
        VoxelwiseEncoder
            This estimator.

        Raises
        ------
        ValueError
            If shapes do not fit, values are not finite, or folds cannot be made.
        """
        where = "encoding.VoxelwiseEncoder.fit"
        rows = as_rows(features, responses, groups, self.delays, self.tr, where)
        cv, labels = self._folds(rows, groups, where)
        model = RidgeCV(self.alphas, cv=cv, scoring=self.scoring, device=self.device, progress=self.progress).fit(
            rows.features, rows.responses, groups=labels
        )
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        self.best_alphas_, self.cv_scores_ = model.best_alphas_, model.cv_scores_
        self.n_features_in_ = int(rows.features.shape[1]) // (1 if self.delays is None else len(self.delays))
        self.notes_ = rows.notes
        return self

    def predict(self, features: Any, groups: npt.ArrayLike | None = None) -> Any:
        """Predict responses.

        Parameters
        ----------
        features : array of shape (m, p) or (n, r, p), or Embeddings
        groups : array-like of shape (m,), optional
            Runs, for delays.

        Returns
        -------
        array of shape (m, t) or (n, r, t)
            Of the kind of the responses that the encoder was fitted to.
        """
        check_is_fitted(self, "coef_")
        rows = self._rows(features, None, groups, "encoding.VoxelwiseEncoder.predict")
        predicted = _like(rows.features, self.coef_) @ self.coef_
        predicted += self.intercept_
        return predicted if np.ndim(values_of(features)) == 2 else predicted.reshape(rows.clips, rows.windows, -1)

    def score(
        self, features: Any, responses: Any, groups: npt.ArrayLike | None = None, metric: str = "correlation"
    ) -> Any:
        """Score predictions of each voxel.

        Parameters
        ----------
        features, responses, groups
            As in :meth:`fit`: of test clips.
        metric : {"correlation", "r2"}, default "correlation"
            Pearson's r over all rows, or the coefficient of determination.

        Returns
        -------
        array of shape (t,), float64
            NaN where a voxel does not vary, and for r where its prediction does not.
        """
        check_is_fitted(self, "coef_")
        if metric not in ("correlation", "r2"):
            raise ValueError(f"[encoding.VoxelwiseEncoder.score] metric must be 'correlation' or 'r2'; got {metric!r}")
        return self._scores(self._rows(features, responses, groups, "encoding.VoxelwiseEncoder.score"), metric)

    def _scores(self, rows: Rows, metric: str = "correlation") -> Any:
        x, coef, y, intercept = (
            torch.as_tensor(part)
            for part in (_like(rows.features, self.coef_), self.coef_, rows.responses, self.intercept_)
        )
        parts = []
        for first in range(0, coef.shape[1], _TILE):
            tile = slice(first, first + _TILE)
            true = y[:, tile].to(coef.device).double()
            predicted = (x @ coef[:, tile]).double()
            around = true - true.mean(dim=0)
            squares = around.square().sum(dim=0)
            varies = (true != true[:1]).any(dim=0)  # of a voxel that does not, rounding may leave squares
            if metric == "r2":
                values = 1 - (true - predicted - intercept[tile]).square().sum(dim=0) / squares
            else:  # the intercept changes no correlation, but would drown what a large penalty left of a prediction
                varies &= (predicted != predicted[:1]).any(dim=0)
                predicted -= predicted.mean(dim=0)
                values = (around * predicted).sum(dim=0) / (squares * predicted.square().sum(dim=0)).sqrt()
            parts.append(torch.where(varies & values.isfinite(), values, torch.nan))
        result = torch.cat(parts)
        return result if isinstance(self.coef_, torch.Tensor) else result.numpy()

    def significance(
        self,
        features: Any,
        responses: Any,
        groups: npt.ArrayLike | None = None,
        *,
        null: str = "clips",
        permutations: int = 1000,
        tail: bool = True,
        random_state: int | None = None,
    ) -> Significance:
        """Test where predictions are better than chance.

        Parameters
        ----------
        features, responses, groups
            As in :meth:`fit`: of test clips, which had no part in the fit.
        null : {"clips", "shifts", "paper"}, default "clips"
            "clips": predictions of a clip are as good for any other clip. The windows of a clip stay together, so
            windows that overlap do no harm. "shifts": for scans of music that goes on, the predictions of each run
            (``groups``) are shifted in a circle, by any number of scans. "paper": correlations of independent Gaussian
            numbers, as published; see :func:`independent_gaussian_p` for why not to.
        permutations : int, default 1000
            Orders to compare. If there are no more orders of the clips, or shifts of the runs, than these, all are
            compared: P of one run of s scans is a multiple of 1 / s.
        tail : bool, default True
            Where fewer than ten orders score as well as the true one, take P from the tail of the voxel's own law of
            all orders, by a saddlepoint. Otherwise, and with shifts, P is at least ``1 / (permutations + 1)``.
        random_state : int, optional
            Seeds the orders.

        Returns
        -------
        Significance
            Scores, P, rates of false discoveries.

        Raises
        ------
        ValueError
            If shapes do not fit, or there are fewer than three clips or scans of a run.

        References
        ----------
        Denk, Takagi et al. (2023), section 3.4, for "paper"; Phipson & Smyth (2010) for P of permutations; Nichols &
        Holmes (2002) for the max-statistic.
        """
        check_is_fitted(self, "coef_")
        where = "encoding.VoxelwiseEncoder.significance"
        if null not in ("clips", "shifts", "paper"):
            raise ValueError(f"[{where}] null must be 'clips', 'shifts' or 'paper'; got {null!r}")
        if isinstance(permutations, bool) or not isinstance(permutations, int | np.integer) or permutations < 1:
            raise ValueError(f"[{where}] permutations must be a whole number, 1 or more; got {permutations!r}")
        rows = self._rows(features, responses, groups, "encoding.VoxelwiseEncoder.significance")
        if null == "paper":
            score = self._scores(rows)
            p = independent_gaussian_p(score, len(rows.features))
            return found({"score": score, "p": p}, null, 0, "test data", notes=rows.notes)
        everything = False
        if null == "clips":
            if rows.clips < 3:
                raise ValueError(f"[{where}] there must be three clips or more; got {rows.clips}")
            orders, everything = clip_orders(rows.clips, permutations, random_state)
            shape = (rows.clips, rows.windows)
        else:
            if rows.windows > 1:
                raise ValueError(f"[{where}] shifts are for rows that are scans, (m, p); got windows of clips")
            runs = runs_of(rows.groups, rows.clips, where)
            if min(last - first for first, last in runs) < 3:
                raise ValueError(f"[{where}] a run must have three scans or more to be shifted; got {runs}")
            orders, everything = shifted_orders(runs, permutations, random_state)
            shape = (rows.clips, 1)
        on_tensors = isinstance(self.coef_, torch.Tensor)
        x, y = _like(rows.features, self.coef_), _like(rows.responses, self.coef_)
        test = _core.encoding.permutation_test(
            x.reshape(*shape, -1),
            y.reshape(*shape, -1),
            torch.as_tensor(orders, device=self.coef_.device) if on_tensors else orders,
            self.coef_,
            all_orders=everything,
            tail=tail and null == "clips",
        )
        least = 1 / len(orders) if everything else None
        return found(test, null, len(orders), "predictions or test data", least, rows.notes)

    def noise_ceiling(self, features: Any, repeats: Any) -> Any:
        """Estimate the largest score that any model can reach: :func:`brain2music.encoding.noise_ceiling`.

        Parameters
        ----------
        features : Embeddings, or array of shape (n, r, p)
            Of the test clips. Windows alone count: an encoder need not be fitted.
        repeats : array of shape (n, k, s, v), such as ``brain.repeats``; or (n, k, r, v)
            The n clips heard k times each. The scans of a window are averaged, as in :meth:`fit`.

        Returns
        -------
        array of shape (v,), float64
            Between 0 and 1, beside Pearson's r of :meth:`score` on the mean of the repeats.
        """
        return noise_ceiling(repeats_in_windows(features, repeats, self.tr, "encoding.VoxelwiseEncoder.noise_ceiling"))

    def to_nifti(self, values: Any, mask: Any) -> Any:
        """Lay a number for each voxel out as a volume: :func:`brain2music.encoding.to_nifti`.

        Parameters
        ----------
        values : array of shape (t,) or (maps, t)
            Such as what :meth:`score` returns.
        mask : nibabel image or path
            The t voxels, such as ``brain.mask``.

        Returns
        -------
        nibabel.Nifti1Image
        """
        return to_nifti(self._one_each(values, "encoding.VoxelwiseEncoder.to_nifti"), mask)

    def to_gifti(self, values: Any, vertices: int | None = None) -> tuple[Any, Any]:
        """Lay a number for each vertex out as two surfaces: :func:`brain2music.encoding.to_gifti`.

        Parameters
        ----------
        values : array of shape (t,) or (maps, t)
            Such as what :meth:`score` returns.
        vertices : int, optional
            Of the left hemisphere, which comes first; half of all by default.

        Returns
        -------
        tuple of nibabel.gifti.GiftiImage
            Left and right.
        """
        return to_gifti(self._one_each(values, "encoding.VoxelwiseEncoder.to_gifti"), vertices)

    def _one_each(self, values: Any, where: str) -> Any:
        check_is_fitted(self, "coef_")
        shape = np.shape(values)
        if not shape or shape[-1] != self.coef_.shape[1]:
            raise ValueError(
                f"[{where}] values must hold a number for each of {self.coef_.shape[1]} "
                f"voxels or vertices; got shape {shape}"
            )
        return values

    def save(self, path: str | Path) -> None:
        """Write the fitted encoder to a safetensors file, whole or not at all; :func:`brain2music.load` reads it.

        Parameters
        ----------
        path : path
            Ends in ``.safetensors``.
        """
        check_is_fitted(self, "coef_")
        names = ("coef", "intercept", "best_alphas", "cv_scores")
        tensors = {
            name: np.ascontiguousarray(torch.as_tensor(getattr(self, f"{name}_")).cpu().numpy()) for name in names
        }
        parameters = parameters_of(self)
        fitted = {"n_features_in": self.n_features_in_, "notes": list(self.notes_)}
        save_model(path, "VoxelwiseEncoder", tensors, {"parameters": parameters, "fitted": fitted})

    @classmethod
    def _from_file(cls, path: Path, described: dict[str, Any]) -> "VoxelwiseEncoder":
        tensors, _ = _core.io.load_safetensors(path)
        encoder = cls(**described["parameters"])
        for name in ("coef", "intercept", "best_alphas", "cv_scores"):
            setattr(encoder, f"{name}_", tensors[name])
        encoder.n_features_in_ = int(described["fitted"]["n_features_in"])
        encoder.notes_ = tuple(described["fitted"]["notes"])
        return encoder

    def _rows(self, features: Any, responses: Any, groups: npt.ArrayLike | None, where: str) -> Rows:
        rows = as_rows(features, responses, groups, self.delays, self.tr, where)
        if rows.features.shape[1] != self.coef_.shape[0]:
            raise ValueError(
                f"[{where}] features must have {self.n_features_in_} columns, as in fit; got shape "
                f"{tuple(np.shape(values_of(features)))}"
            )
        if rows.responses is not None and rows.responses.shape[1] != self.coef_.shape[1]:
            raise ValueError(
                f"[{where}] responses must have {self.coef_.shape[1]} voxels, as in fit; got {rows.responses.shape[1]}"
            )
        return rows

    def _folds(self, rows: Rows, groups: npt.ArrayLike | None, where: str) -> tuple[Any, npt.NDArray[Any] | None]:
        """Return the folds of rows, and groups that they keep together."""
        if not isinstance(self.cv, str):
            whole = isinstance(self.cv, int | np.integer) or self.cv is None
            if not whole and (rows.windows > 1 or not rows.whole.all()):
                return rows.expanded(train_test_rows(self.cv, len(rows.whole), groups, where=where)), None
            together = np.repeat(np.arange(rows.clips), rows.windows) if rows.windows > 1 else None
            return self.cv, together if rows.groups is None else rows.groups
        if self.cv != "runs":
            raise ValueError(f"[{where}] cv must be 'runs', an integer, a splitter or (train, test); got {self.cv!r}")
        if rows.groups is None:
            raise ValueError(f"[{where}] cv='runs' needs groups, the run of each row or clip; got None")
        runs = len(np.unique(rows.groups))
        if runs < 2:
            raise ValueError(f"[{where}] cv='runs' needs two runs or more; got {runs}")
        return min(5, runs), rows.groups


def _like(values: Any, coef: Any) -> Any:
    """Return values as the kind and type of the weights, where these lie."""
    if isinstance(coef, torch.Tensor):
        return torch.as_tensor(values).to(device=coef.device, dtype=coef.dtype)
    return np.ascontiguousarray(np.asarray(values), dtype=coef.dtype)
