#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/topk.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <limits>

#include "brain2music/kernels/cosine_top_k_impl.h"
#include "brain2music/kernels/cosine_top_k_launch.h"

namespace brain2music::kernels {
namespace {

constexpr int64_t key_values = int64_t{1} << 25;              // 256 MiB of keys at a time
constexpr int64_t most_queries = 65535 * CosineBlock::width;  // of one launch

at::Tensor checked_norms(const at::Tensor& x, const char* rows) {
  constexpr int64_t none = std::numeric_limits<int64_t>::max();
  at::Tensor norms = at::empty({x.size(0)}, x.options().dtype(at::kDouble));
  at::Tensor bad = at::full({1}, none, x.options().dtype(at::kLong));
  C10_CUDA_CHECK(launch_row_norms(x.const_data_ptr<float>(), x.size(0), x.size(1), norms.mutable_data_ptr<double>(),
                                  bad.mutable_data_ptr<int64_t>(), at::cuda::getCurrentCUDAStream()));
  const auto row = bad.item<int64_t>();
  if (row != none) {
    row_without_direction(rows, row);
  }
  return norms;
}

}  // namespace

ScoresAndIndices cosine_top_k_cuda(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                                   const std::optional<at::Tensor>& /*sketch*/) {
  const c10::cuda::CUDAGuard guard(queries.device());
  const auto stream = at::cuda::getCurrentCUDAStream();
  const int64_t n = items.size(0);
  const int64_t d = items.size(1);
  at::Tensor scores = at::empty({queries.size(0), k}, queries.options());
  at::Tensor indices = at::empty({queries.size(0), k}, queries.options().dtype(at::kLong));
  if (queries.size(0) == 0) {
    return {scores, indices};
  }
  const at::Tensor query_norms = checked_norms(queries, "queries");
  const at::Tensor item_norms = checked_norms(items, "items");
  const int64_t at_once = std::clamp<int64_t>(key_values / n, 1, most_queries);
  for (int64_t first = 0; first < queries.size(0); first += at_once) {
    const int64_t q = std::min(at_once, queries.size(0) - first);
    at::Tensor keys = at::empty({q, n}, queries.options().dtype(at::kLong));
    const CosineBlock work{queries.const_data_ptr<float>() + first * d,
                           items.const_data_ptr<float>(),
                           query_norms.const_data_ptr<double>() + first,
                           item_norms.const_data_ptr<double>(),
                           q,
                           n,
                           d,
                           keys.mutable_data_ptr<int64_t>()};
    C10_CUDA_CHECK(launch_cosine_keys(work, stream));
    // No two keys are equal, so there is no tie that topk could break its own way.
    const at::Tensor best = std::get<0>(at::topk(keys, k, /*dim=*/1)).contiguous();
    C10_CUDA_CHECK(launch_unpack_keys(best.const_data_ptr<int64_t>(), best.numel(),
                                      scores.mutable_data_ptr<float>() + first * k,
                                      indices.mutable_data_ptr<int64_t>() + first * k, stream));
  }
  return {scores, indices};
}

}  // namespace brain2music::kernels
