#include "brain2music/decoding/brain_decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/any.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>

#include "brain2music/check.h"
#include "brain2music/decoding/windows.h"
#include "brain2music/device/full_precision.h"
#include "brain2music/ridge/batched_ridge_cv.h"
#include "brain2music/ridge/ridge.h"

namespace brain2music::decoding {
namespace {

constexpr auto fitting = "decoding.BrainDecoder.fit";
constexpr auto predicting = "decoding.BrainDecoder.predict";

struct Region {
  int64_t label;
  at::Tensor voxels;
};

std::vector<Region> regions_of(const at::Tensor& labels) {
  const at::Tensor there = labels.cpu().contiguous();
  std::map<int64_t, std::vector<int64_t>> voxels;
  const auto* values = there.const_data_ptr<int64_t>();
  for (int64_t voxel = 0; voxel < there.numel(); ++voxel) {
    if (values[voxel] != 0) {
      voxels[values[voxel]].push_back(voxel);
    }
  }
  std::vector<Region> regions;
  regions.reserve(voxels.size());
  for (const auto& [label, members] : voxels) {
    regions.push_back({label, at::tensor(members, at::kLong)});
  }
  return regions;
}

std::vector<std::pair<int64_t, int64_t>> pairs(const at::Tensor& where) {
  const at::Tensor found = at::nonzero(where).cpu().contiguous();
  const auto* values = found.const_data_ptr<int64_t>();
  std::vector<std::pair<int64_t, int64_t>> result;
  result.reserve(static_cast<std::size_t>(found.size(0)));
  for (int64_t i = 0; i < found.size(0); ++i) {
    result.emplace_back(values[2 * i], values[2 * i + 1]);
  }
  return result;
}

/// Which windows (clips, windows) have targets: all dimensions of a window that a shorter clip lacks are NaN.
at::Tensor windows_with_targets(const at::Tensor& targets) {
  const at::Tensor missing = at::isnan(targets);
  const at::Tensor absent = missing.all(2);
  const at::Tensor odd = at::nonzero(missing.any(2).logical_and(absent.logical_not()));
  if (odd.size(0) > 0) {
    require(false, fitting, "targets must be finite, or NaN in all dimensions of a window; got NaN in some at clip ",
            odd[0][0].item<int64_t>(), ", window ", odd[0][1].item<int64_t>());
  }
  return absent.logical_not();
}

/// Folds of rows (clips by windows, those without a scan left out) from folds of clips.
ridge::Folds folds_of_rows(const ridge::Folds& clips, const at::Tensor& covered) {
  const at::Tensor there = covered.cpu();
  const at::Tensor number = (at::cumsum(there.reshape({-1}), 0) - 1).reshape(there.sizes());
  const auto rows_of = [&](const at::Tensor& some) {
    return some.defined() ? number.index_select(0, some).masked_select(there.index_select(0, some)) : at::Tensor();
  };
  ridge::Folds rows{at::sum(there).item<int64_t>(), {}};
  std::ranges::transform(clips.held_out, std::back_inserter(rows.held_out), rows_of);
  std::ranges::transform(clips.trained_on, std::back_inserter(rows.trained_on), rows_of);
  return rows;
}

void check_fit(const at::Tensor& responses, const at::Tensor& targets, const at::Tensor& members,
               const at::Tensor& labels, const ridge::Folds& folds, const DecoderOptions& options) {
  check_responses(responses, members, fitting);
  require(targets.dim() == 3 && targets.size(0) == responses.size(0) && targets.size(1) == members.size(0), fitting,
          "targets must be (clips, windows, dimensions) for responses of (clips, scans, voxels); got ", targets.sizes(),
          " for ", responses.sizes(), " in ", members.size(0), " windows");
  require(labels.dim() == 1 && labels.size(0) == responses.size(2) && labels.scalar_type() == at::kLong, fitting,
          "rois must hold an integer for each voxel; got ", labels.sizes(), " of ", labels.scalar_type(), " for ",
          responses.sizes());
  require(folds.rows == responses.size(0), fitting, "folds must be of clips; got folds of ", folds.rows,
          " for responses of shape ", responses.sizes());
  require(options.n_rois > 0, fitting, "n_rois must be positive; got ", options.n_rois);
}

}  // namespace

DecoderFit fit_brain_decoder(const at::Tensor& responses, const at::Tensor& targets, const at::Tensor& members,
                             const at::Tensor& labels, const ridge::Folds& folds, const DecoderOptions& options) {
  const device::FullPrecision full_precision;
  check_fit(responses, targets, members, labels, folds, options);
  const ridge::Folds of_clips = ridge::sorted_folds(folds, responses.size(0), fitting);
  DecoderFit fit;
  std::vector<Region> regions = regions_of(labels);
  std::erase_if(regions, [&](const Region& region) {
    const bool small = region.voxels.numel() < options.min_voxels;
    if (small) {
      fit.passed.emplace_back(region.label, region.voxels.numel());
    }
    return small;
  });
  require(std::cmp_greater_equal(regions.size(), options.n_rois), fitting,
          "there must be n_rois regions of min_voxels voxels or more; got ", regions.size(), " of ", options.min_voxels,
          " or more for n_rois ", options.n_rois, ", and ", fit.passed.size(), " smaller");

  const WindowPlan plan =
      plan_windows(responses, members.to(responses.device()), regions.front().voxels[0].item<int64_t>(), fitting);
  const at::Tensor targeted = windows_with_targets(targets).to(plan.covered.device());
  const at::Tensor used = plan.covered.logical_and(targeted);
  require(used.any().item<bool>(), fitting, "a window or more must have a scan and a target; got none");
  fit.left_out = pairs(plan.covered.logical_not().logical_and(targeted));
  fit.without_target = targeted.logical_not().sum().item<int64_t>();
  const at::Device device = options.device.value_or(responses.device());
  const at::Tensor rows = at::nonzero(used.reshape({-1})).squeeze(1);
  const at::Tensor y =
      targets.reshape({-1, targets.size(2)}).index_select(0, rows.to(targets.device())).to(device).contiguous();
  const auto features = [&](std::size_t i) {
    const at::Tensor means =
        window_means(responses, regions[i].voxels.to(responses.device()), plan, fitting).flatten(0, 1);
    return (rows.size(0) == means.size(0) ? means : means.index_select(0, rows)).to(device);
  };

  ridge::RidgeOptions choice;
  choice.alphas = options.alphas;
  choice.refit = false;
  const std::vector<ridge::RidgeFit> fits = ridge::batched_ridge_cv(
      static_cast<int64_t>(regions.size()), [&](int64_t i) { return features(static_cast<std::size_t>(i)); }, y,
      folds_of_rows(of_clips, used), choice);

  std::vector<double> scores;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    scores.push_back(at::mean(fits[i].correlations.to(at::kDouble)).item<double>());
    fit.scores.emplace_back(regions[i].label, scores.back());
  }
  std::vector<std::size_t> order(regions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(static_cast<std::size_t>(options.n_rois));

  fit.decoder.voxels = responses.size(2);
  fit.decoder.members = members;
  for (const std::size_t i : order) {
    const ridge::RidgeModel model = ridge::ridge(features(i), y, fits[i].best_alphas);
    fit.decoder.rois.push_back({regions[i].label, scores[i], regions[i].voxels.to(responses.device()),
                                model.coef.to(responses.device()), model.intercept.to(responses.device()),
                                fits[i].best_alphas.to(responses.device())});
    fit.at_lower_edge += fits[i].at_lower_edge;
    fit.at_upper_edge += fits[i].at_upper_edge;
  }
  return fit;
}

at::Tensor BrainDecoder::predict(const at::Tensor& responses, Missing missing) const {
  const device::FullPrecision full_precision;
  check_responses(responses, members, predicting);
  require(responses.size(2) == voxels, predicting, "responses must have the ", voxels, " voxels of the fit; got ",
          responses.sizes());
  require(!rois.empty(), predicting, "the decoder must hold a region; got none");
  const WindowPlan plan =
      plan_windows(responses, members.to(responses.device()), rois.front().voxels[0].item<int64_t>(), predicting);
  const at::Tensor empty = plan.covered.logical_not();
  if (missing == Missing::error && at::any(empty).item<bool>()) {
    const auto [clip, window] = pairs(empty).front();
    require(false, predicting, "every window must hold a scan, unless missing windows are to be NaN; got none in clip ",
            clip, ", window ", window);
  }
  at::Tensor sum;
  for (const RoiModel& roi : rois) {
    const at::Tensor means = window_means(responses, roi.voxels, plan, predicting).to(roi.coef.scalar_type());
    const at::Tensor predicted = at::matmul(means, roi.coef) + roi.intercept;
    sum = sum.defined() ? sum + predicted : predicted;
  }
  sum.div_(static_cast<double>(rois.size()));
  return sum.masked_fill(empty.unsqueeze(2), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace brain2music::decoding
