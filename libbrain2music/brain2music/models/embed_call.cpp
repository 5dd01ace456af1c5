#include "brain2music/models/embed_call.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "brain2music/check.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

int64_t window_samples(const Role& role) {
  return std::llround(role.window.value_or(0) * static_cast<double>(role.sample_rate.value_or(0)));
}

/// (B, d), or (B, frames, d) averaged, as float32.
at::Tensor checked(const Role& role, const at::Tensor& result, int64_t batch, const char* method) {
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

/// Two windows of sound that no network should trip over: tones of half scale.
at::Tensor tones(const Role& role, at::Device device) {
  const at::Tensor time = at::arange(window_samples(role), at::TensorOptions().dtype(at::kFloat).device(device)) /
                          static_cast<double>(role.sample_rate.value_or(1));
  constexpr double low = 220;
  constexpr double high = 330;
  return at::stack({at::sin(time * (2 * M_PI * low)), at::sin(time * (2 * M_PI * high))}) / 2;
}

void check_finite(const Role& role, const at::Tensor& result, const char* method) {
  if (!at::isfinite(result).all().item<bool>()) {
    fail(where, "role '", role.name, "' must return finite values from ", method, "; got NaN or Inf for a plain input");
  }
}

}  // namespace

at::Tensor embed_windows(const Role& role, const Script& script, const at::Tensor& windows) {
  const int64_t batch = windows.size(0);
  const int64_t threads = at::get_num_threads();
  if (!script.device().is_cpu() || threads == 1 || batch < threads) {
    return checked(role, script.call("embed", {windows}), batch, "embed");
  }
  // Whole windows side by side: threads that share one window wait for each other at each of its many small operations.
  at::Tensor result = at::empty({batch, role.dimension.value_or(0)}, at::kFloat);
  at::parallel_for(0, batch, (batch + threads - 1) / threads, [&](int64_t begin, int64_t end) {
    const at::Tensor own = windows.narrow(0, begin, end - begin);
    result.narrow(0, begin, end - begin).copy_(checked(role, script.call("embed", {own}), end - begin, "embed"));
  });
  return result;
}

at::Tensor embed_texts(const Role& role, const Script& script, const std::vector<std::string>& texts) {
  return checked(role, script.call("embed", texts), static_cast<int64_t>(texts.size()), "embed");
}

at::Tensor embed_ids(const Role& role, const Script& script, const at::Tensor& ids, const at::Tensor& mask) {
  return checked(role, script.call("embed_ids", {ids, mask}), ids.size(0), "embed_ids");
}

void check_calls(const Role& role, const Script& script) {
  if (role.name == "text_embedder") {
    if (role.has("embed")) {
      check_finite(role, embed_texts(role, script, {"a slow blues", "jazz"}), "embed");
    }
    if (role.has("embed_ids")) {
      const auto whole = at::TensorOptions().dtype(at::kLong).device(script.device());
      check_finite(role, embed_ids(role, script, at::zeros({2, 3}, whole), at::ones({2, 3}, whole)), "embed_ids");
    }
  } else if (role.has("embed")) {
    const at::Tensor windows = tones(role, script.device());  // both at once, so that the batch shows
    check_finite(role, checked(role, script.call("embed", {windows}), windows.size(0), "embed"), "embed");
  }
}

}  // namespace brain2music::models
