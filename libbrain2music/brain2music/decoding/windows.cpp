#include "brain2music/decoding/windows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "brain2music/check.h"

namespace brain2music::decoding {

void check_responses(const at::Tensor& responses, const at::Tensor& members, std::string_view where) {
  require(responses.dim() == 3 && responses.numel() > 0, where,
          "responses must be (clips, scans, voxels), none of them 0; got shape ", responses.sizes());
  require(responses.scalar_type() == at::kFloat || responses.scalar_type() == at::kDouble, where,
          "responses must be float32 or float64; got ", responses.scalar_type());
  require(members.dim() == 2 && members.scalar_type() == at::kBool && members.size(1) == responses.size(1) &&
              members.size(0) > 0,
          where, "windows must be (windows, scans) booleans for responses of (clips, scans, voxels); got ",
          members.sizes(), " of ", members.scalar_type(), " for ", responses.sizes());
}

WindowPlan plan_windows(const at::Tensor& responses, const at::Tensor& members, int64_t voxel, std::string_view where) {
  check_responses(responses, members, where);
  WindowPlan plan;
  plan.present = at::isnan(responses.select(2, voxel)).logical_not();
  const at::Tensor counted = at::logical_and(members.unsqueeze(0), plan.present.unsqueeze(1));
  const at::Tensor total = at::sum(counted, 2, /*keepdim=*/true);
  plan.covered = (total > 0).squeeze(2);
  plan.weights = (counted / total.clamp_min(1)).to(responses.scalar_type());
  return plan;
}

at::Tensor window_means(const at::Tensor& responses, const at::Tensor& voxels, const WindowPlan& plan,
                        std::string_view where) {
  at::Tensor scans = responses.index_select(2, voxels);
  if (!std::isfinite(at::sum(scans).item<double>())) {
    const at::Tensor expected = plan.present.unsqueeze(2);
    const at::Tensor wrong = at::nonzero(at::isfinite(scans) != expected);
    if (wrong.size(0) > 0) {
      const auto clip = wrong[0][0].item<int64_t>();
      const auto scan = wrong[0][1].item<int64_t>();
      const auto column = wrong[0][2].item<int64_t>();
      require(false, where, "responses must be finite, and a missing scan NaN in all voxels; got ",
              scans[clip][scan][column].item<double>(), " at clip ", clip, ", scan ", scan, ", voxel ",
              voxels[column].item<int64_t>(), plan.present[clip][scan].item<bool>() ? "" : " of a missing scan");
    }
    scans = at::where(expected, scans, at::zeros({}, scans.options()));
  }
  return at::bmm(plan.weights, scans);
}

}  // namespace brain2music::decoding
