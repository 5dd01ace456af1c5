#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "brain2music/embedding_space.h"
#include "brain2music/export.h"
#include "brain2music/ridge/folds.h"

namespace brain2music::decoding {

/// What a decoder makes of one region.
struct RoiModel {
  int64_t label = 0;     ///< of the region
  double score = 0;      ///< Pearson's r on held-out clips, averaged over folds and dimensions
  at::Tensor voxels;     ///< (v_roi,) int64: which voxels
  at::Tensor coef;       ///< (v_roi, d)
  at::Tensor intercept;  ///< (d,)
  at::Tensor alphas;     ///< (d,): the penalty of each dimension
};

/// What happens to a window of which no scan was measured.
enum class Missing : std::uint8_t {
  error,  ///< std::invalid_argument that names clip and window
  nan,    ///< its prediction is NaN
};

/// Decodes embeddings of music from brain activity: a ridge regression for each of the best regions, predictions
/// averaged. Denk, Takagi et al. (2023), Brain2Music, section 3.3.
struct B2M_API BrainDecoder {
  int64_t voxels = 0;                   ///< of the responses it was fitted to
  at::Tensor members;                   ///< (r, s) bool: which scans fall in which window
  std::vector<RoiModel> rois;           ///< best first
  std::optional<EmbeddingSpace> space;  ///< of the targets; none where they did not tell

  /// @param responses (n, s, v) float32 or float64; a missing scan is NaN in all voxels.
  /// @param missing   what a window without any scan gives.
  /// @return (n, r, d) on the device of `responses`.
  /// @throws std::invalid_argument on other shapes, partly missing scans, and windows without scans.
  at::Tensor predict(const at::Tensor& responses, Missing missing = Missing::error) const;
};

/// Options of a decoder.
struct DecoderOptions {
  int64_t n_rois = 6;                ///< regions that are kept
  std::vector<double> alphas;        ///< penalties; empty: ridge::default_alphas() relative to each region's scale
  int64_t min_voxels = 10;           ///< smaller regions are passed over, and listed
  std::optional<at::Device> device;  ///< where regressions run; none: where the responses lie
};

/// A decoder and how it came about.
struct DecoderFit {
  BrainDecoder decoder;                               ///< what predicts
  std::vector<std::pair<int64_t, double>> scores;     ///< label and score of each region that was tried
  std::vector<std::pair<int64_t, int64_t>> passed;    ///< label and voxels of each region that is too small
  std::vector<std::pair<int64_t, int64_t>> left_out;  ///< clip and window without a scan: not fitted to
  int64_t without_target = 0;                         ///< windows that targets lack: not fitted to either
  int64_t at_lower_edge = 0;                          ///< dimensions of kept regions best at the smallest penalty
  int64_t at_upper_edge = 0;                          ///< and at the largest; counted as in ridge::RidgeFit
};

/// Fits a decoder. Penalties (one for each region and dimension, by R2) and regions (by Pearson's r with these
/// penalties) are chosen on held-out clips of the training data alone.
///
/// @param responses (n, s, v) float32 or float64; a missing scan is NaN in all voxels. Voxels are gathered region by
///                  region: no copy of the whole is made.
/// @param targets   (n, r, d) embeddings of the windows; NaN in all dimensions of a window that a shorter clip lacks.
/// @param members   (r, s) bool: which scans fall in which window.
/// @param labels    (v,) int64: region of each voxel; 0: none.
/// @param folds     clips held out together.
/// @param options   how many regions, penalties.
/// @return the decoder, on the device of `responses`.
/// @throws std::invalid_argument on shapes that do not fit, fewer regions than asked for, NaN in targets.
B2M_API DecoderFit fit_brain_decoder(const at::Tensor& responses, const at::Tensor& targets, const at::Tensor& members,
                                     const at::Tensor& labels, const ridge::Folds& folds,
                                     const DecoderOptions& options = {});

}  // namespace brain2music::decoding
