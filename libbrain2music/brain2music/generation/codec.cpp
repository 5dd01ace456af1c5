#include "brain2music/generation/codec.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "brain2music/audio/resample.h"
#include "brain2music/check.h"
#include "brain2music/models/script.h"

namespace brain2music::generation {
namespace {

constexpr auto where = "generation.Codec";

/// Calls a network for each row by itself on a CPU, so that a row does not depend on those beside it.
template <class Call>
at::Tensor row_by_row(const at::Tensor& rows, const Call& call) {
  if (!rows.is_cpu() || rows.size(0) == 1) {
    return call(rows);
  }
  std::vector<at::Tensor> results;
  results.reserve(static_cast<std::size_t>(rows.size(0)));
  for (int64_t row = 0; row < rows.size(0); ++row) {
    results.push_back(call(rows.narrow(0, row, 1)));
  }
  return at::cat(results);
}

}  // namespace

Codec::Codec(const models::Bundle& bundle, at::Device device, std::optional<at::ScalarType> dtype)
    : role_(bundle.role("codec")) {
  require(role_.has("encode") || role_.has("decode"), where, "role 'codec' must declare encode or decode; got ",
          role_.methods.front());
  const double samples = static_cast<double>(role_.sample_rate.value_or(1)) / role_.frame_rate.value_or(1);
  samples_ = std::llround(samples);
  constexpr double tolerance = 1e-6;
  require(samples_ > 0 && std::abs(samples - static_cast<double>(samples_)) < tolerance, where,
          "role 'codec' must have a whole number of samples a frame; got ", samples);
  script_ = bundle.script("codec", device, dtype);
}

at::Tensor Codec::encode(const at::Tensor& waveforms, int64_t rate) const {
  require(role_.has("encode"), where, "role 'codec' must declare the method encode; got ", role_.methods.front());
  require(waveforms.dim() == 3 && waveforms.size(0) > 0 && (waveforms.size(1) == 1 || waveforms.size(1) == 2) &&
              waveforms.size(2) > 0 && at::isFloatingType(waveforms.scalar_type()),
          where, "waveforms must be (B, 1 or 2 channels, samples) of a floating type; got ", waveforms.scalar_type(),
          " of shape ", waveforms.sizes());
  require(rate > 0, where, "rate must be a positive number of Hz; got ", rate);
  at::Tensor sound = waveforms.to(script_->device(), at::kFloat);
  require(at::isfinite(sound).all().item<bool>(), where, "waveforms must be finite; got NaN or Inf");
  const int64_t channels = role_.channels.value_or(1);
  if (channels < sound.size(1)) {
    sound = sound.mean(1, /*keepdim=*/true);
  }
  if (const int64_t own = role_.sample_rate.value_or(rate); own != rate) {
    const at::Tensor flat = audio::resample(sound.flatten(0, 1), rate, own);
    sound = flat.view({sound.size(0), sound.size(1), flat.size(-1)});
  }
  sound = sound.expand({-1, channels, -1}).contiguous();
  return row_by_row(sound, [&](const at::Tensor& some) { return script_->call("encode", {some}); });
}

at::Tensor Codec::decode(const at::Tensor& codes) const {
  require(role_.has("decode"), where, "role 'codec' must declare the method decode; got ", role_.methods.front());
  require(codes.dim() == 3 && codes.scalar_type() == at::kLong && codes.size(1) == role_.levels.value_or(0) &&
              codes.size(2) > 0,
          where, "codes must be (B, ", role_.levels.value_or(0), " levels, frames) int64; got ", codes.scalar_type(),
          " of shape ", codes.sizes());
  const at::Tensor counts = at::tensor(role_.vocabularies, at::kLong).view({1, -1, 1}).to(codes.device());
  require(!at::logical_or(codes.lt(0), codes.ge(counts)).any().item<bool>(), where,
          "codes must lie in each level's vocabulary, ", role_.vocabularies, "; got ", codes.min().item<int64_t>(),
          " to ", codes.max().item<int64_t>());
  const at::Tensor given = codes.to(script_->device());
  const at::Tensor sound = row_by_row(
      given, [&](const at::Tensor& some) { return script_->call("decode", {some.contiguous()}).to(at::kFloat); });
  const int64_t channels = role_.channels.value_or(1);
  const int64_t samples = codes.size(2) * samples_;
  if (sound.dim() != 3 || sound.size(0) != codes.size(0) || sound.size(1) != channels || sound.size(2) != samples) {
    fail(where, "role 'codec' must return shape [", codes.size(0), ", ", channels, ", ", samples, "] from decode; got ",
         sound.sizes());
  }
  if (!at::isfinite(sound).all().item<bool>()) {
    fail(where, "role 'codec' must return finite values from decode; got NaN or Inf: a wider dtype may help");
  }
  return sound;
}

at::Tensor Codec::decode_block(const at::Tensor& codes, int64_t from, int64_t to) const {
  require(role_.context.has_value(), where,
          "role 'codec' must have the field 'context' to be decoded block by block; got none");
  require(codes.dim() == 3 && 0 <= from && from < to && to <= codes.size(2), where,
          "a block must lie within the codes; got frames ", from, " to ", to, " of shape ", codes.sizes());
  const models::CodecContext context = role_.context.value_or(models::CodecContext{});
  const int64_t first = std::max<int64_t>(from - context.past, 0);
  const int64_t end = std::min(to + context.future, codes.size(2));
  return decode(codes.narrow(2, first, end - first)).narrow(2, (from - first) * samples_, (to - from) * samples_);
}

}  // namespace brain2music::generation
