#include "brain2music/models/embed_call.h"

#include <ATen/Parallel.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <iterator>

#include "brain2music/check.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

/// Calls a network on windows (B, samples), on a CPU in several threads; it must return (B, width).
template <class Network>
at::Tensor by_threads(const Script& script, const at::Tensor& windows, int64_t width, const Network& network) {
  const int64_t batch = windows.size(0);
  const int64_t threads = at::get_num_threads();
  if (!script.device().is_cpu() || threads == 1 || batch < threads) {
    return network(windows);
  }
  // Whole windows side by side: threads that share one window wait for each other at each of its many small operations.
  at::Tensor result = at::empty({batch, width}, at::kFloat);
  at::parallel_for(0, batch, (batch + threads - 1) / threads, [&](int64_t begin, int64_t end) {
    result.narrow(0, begin, end - begin).copy_(network(windows.narrow(0, begin, end - begin)));
  });
  return result;
}

}  // namespace

at::Tensor checked_embedding(const Role& role, const at::Tensor& result, int64_t batch, const char* method) {
  if (!at::isFloatingType(result.scalar_type())) {
    fail(where, "role '", role.name, "' must return a floating type from ", method, "; got ", result.scalar_type());
  }
  const int64_t dimension = role.dimension.value_or(0);
  if (!role.frame_rate) {
    if (result.dim() != 2 || result.size(0) != batch || result.size(1) != dimension) {
      fail(where, "role '", role.name, "' must return shape [", batch, ", ", dimension, "] from ", method,
           ", the batch and field 'dimension'; got ", result.sizes());
    }
    return result.to(at::kFloat);
  }
  const double frames = *role.frame_rate * role.window.value_or(0);
  constexpr double tolerated = 2;  // networks without padding lose a frame at either end
  if (result.dim() != 3 || result.size(0) != batch || result.size(2) != dimension || result.size(1) < 1 ||
      std::abs(static_cast<double>(result.size(1)) - frames) > tolerated) {
    fail(where, "role '", role.name, "' must return shape [", batch, ", about ", frames, ", ", dimension, "] from ",
         method, ", the batch, frames of 'window' at 'frame_rate', and 'dimension'; got ", result.sizes());
  }
  return result.to(at::kFloat).mean(1);
}

at::Tensor checked_tags(const Role& role, const at::Tensor& result, int64_t batch) {
  const auto classes = std::ssize(role.classes);
  if (!at::isFloatingType(result.scalar_type())) {
    fail(where, "role '", role.name, "' must return a floating type from tag; got ", result.scalar_type());
  }
  if (result.dim() != 2 || result.size(0) != batch || result.size(1) != classes) {
    fail(where, "role '", role.name, "' must return shape [", batch, ", ", classes, "] from tag; got ", result.sizes());
  }
  return result.to(at::kFloat);
}

bool are_probabilities(const at::Tensor& tags) {
  constexpr float rounding = 1e-5F;                 // a mean of ones may end a little above 1
  const auto [least, largest] = at::aminmax(tags);  // NaN if one is
  return least.item<float>() >= -rounding && largest.item<float>() <= 1 + rounding;
}

at::Tensor embed_windows(const Role& role, const Script& script, const at::Tensor& windows) {
  return by_threads(script, windows, role.dimension.value_or(0), [&](const at::Tensor& own) {
    return checked_embedding(role, script.call("embed", {own}), own.size(0), "embed");
  });
}

at::Tensor tag_windows(const Role& role, const Script& script, const at::Tensor& windows) {
  return by_threads(script, windows, std::ssize(role.classes),
                    [&](const at::Tensor& own) { return checked_tags(role, script.call("tag", {own}), own.size(0)); });
}

at::Tensor embed_texts(const Role& role, const Script& script, const std::vector<std::string>& texts) {
  return checked_embedding(role, script.call("embed", texts), static_cast<int64_t>(texts.size()), "embed");
}

at::Tensor embed_ids(const Role& role, const Script& script, const at::Tensor& ids, const at::Tensor& mask) {
  return checked_embedding(role, script.call("embed_ids", {ids, mask}), ids.size(0), "embed_ids");
}

}  // namespace brain2music::models
