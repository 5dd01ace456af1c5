#include "brain2music/models/role_check.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/models/embed_call.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";
constexpr int64_t batch = 2;  // so that the batch shows

/// Numbers in [0, 1) without an order that a network could miss, and the same on every machine: dropout of any of them
/// shows, as it would not in silence.
at::Tensor scattered(at::IntArrayRef shape, at::Device device) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  constexpr double golden = 0.6180339887498949;
  constexpr double wobble = 0.3;
  const at::Tensor steps = at::arange(1, count + 1, at::TensorOptions().dtype(at::kDouble));
  return at::remainder(steps * golden + at::sin(steps * steps) * wobble, 1).to(at::kFloat).view(shape).to(device);
}

/// Sound of at most half scale.
at::Tensor waves(at::IntArrayRef shape, at::Device device) { return scattered(shape, device) - 0.5; }

/// How many codes each level has, along the second of `dims` dimensions.
at::Tensor code_counts(const Role& role, int64_t dims) {
  const at::Tensor counts = at::tensor(role.vocabularies, at::kLong);
  return counts.numel() == 1 ? counts : counts.view(dims == 3 ? at::IntArrayRef{1, -1, 1} : at::IntArrayRef{1, -1});
}

at::Tensor codes(const Role& role, at::IntArrayRef shape, at::Device device) {
  const at::Tensor counts = code_counts(role, static_cast<int64_t>(shape.size()));
  return at::minimum((scattered(shape, at::kCPU) * counts).to(at::kLong), counts - 1).to(device);
}

double seconds(const Role& role) { return role.window.value_or(1); }

int64_t samples(const Role& role) {
  return std::max<int64_t>(1, std::llround(seconds(role) * static_cast<double>(role.sample_rate.value_or(1))));
}

int64_t frames(const Role& role) {
  return std::max<int64_t>(1, std::llround(seconds(role) * role.frame_rate.value_or(1)));
}

void check_finite(const Role& role, const at::Tensor& result, const char* method) {
  if (!at::isfinite(result).all().item<bool>()) {
    fail(where, "role '", role.name, "' must return finite values from ", method, "; got NaN or Inf for a plain input");
  }
}

/// Checks an answer's shape, 0 standing for any length.
void check_shape(const Role& role, const at::Tensor& result, std::vector<int64_t> shape, const char* method) {
  bool fits = result.dim() == static_cast<int64_t>(shape.size());
  std::string expected;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    fits = fits && (shape[axis] == 0 || result.size(static_cast<int64_t>(axis)) == shape[axis]);
    expected += (axis > 0 ? ", " : "") + (shape[axis] == 0 ? std::string("any") : std::to_string(shape[axis]));
  }
  if (!fits) {
    fail(where, "role '", role.name, "' must return shape [", expected, "] from ", method, "; got ", result.sizes());
  }
}

void check_values(const Role& role, const at::Tensor& result, const char* method) {
  if (!at::isFloatingType(result.scalar_type())) {
    fail(where, "role '", role.name, "' must return a floating type from ", method, "; got ", result.scalar_type());
  }
  check_finite(role, result, method);
}

void check_codes(const Role& role, const at::Tensor& result, const char* method) {
  if (result.scalar_type() != at::kLong) {
    fail(where, "role '", role.name, "' must return int64 codes from ", method, "; got ", result.scalar_type());
  }
  const at::Tensor counts = code_counts(role, result.dim()).to(result.device());
  if (result.numel() > 0 && at::logical_or(result < 0, result >= counts).any().item<bool>()) {
    const bool alike = std::ranges::min(role.vocabularies) == role.vocabulary;
    fail(where, "role '", role.name, "' must return codes from 0 to ",
         alike ? std::to_string(role.vocabulary.value_or(1) - 1) : "below each level's number",
         " (field 'vocabulary') from ", method, "; got ", result.min().item<int64_t>(), " to ",
         result.max().item<int64_t>());
  }
}

/// Decodes a few frames as a whole and as a block with its context around: the sound must agree.
void check_context(const Role& role, const Script& script) {
  if (!role.context) {
    return;
  }
  constexpr int64_t block = 2;   // frames
  constexpr int64_t beyond = 4;  // frames behind the context at either side, which must not be heard
  const CodecContext context = *role.context;
  const int64_t length = 2 * beyond + context.past + block + context.future;
  const at::Tensor all = codes(role, {1, role.levels.value_or(1), length}, script.device());
  const at::Tensor whole = script.call("decode", {all});
  const at::Tensor part = script.call("decode", {all.narrow(2, beyond, length - 2 * beyond).contiguous()});
  const int64_t samples = whole.size(2) / length;
  if (whole.size(2) != samples * length || part.size(2) != samples * (length - 2 * beyond)) {
    fail(where, "role 'codec' must return as many samples for every frame from decode, where 'context' is told; got ",
         whole.size(2), " for ", length, " frames and ", part.size(2), " for ", length - 2 * beyond);
  }
  const at::Tensor here = whole.narrow(2, (beyond + context.past) * samples, block * samples).to(at::kFloat);
  const at::Tensor alone = part.narrow(2, context.past * samples, block * samples).to(at::kFloat);
  constexpr double allowed = 1e-4;
  const auto apart = (here - alone).abs().max().item<double>();
  if (apart > allowed * std::max(1.0, whole.abs().max().item<double>())) {
    fail(where, "role 'codec', field 'context': as many frames as a frame's sound depends on is expected; got ",
         context.past, " before and ", context.future, " after, with which a block's sound is ", apart, " off");
  }
}

at::Tensor token_ids(const Tokens& tokens, at::Device device) {
  std::vector<int64_t> ids;
  ids.reserve(static_cast<std::size_t>(batch * tokens.length));
  for (int64_t i = 0; i < batch * tokens.length; ++i) {
    ids.push_back(tokens.ids[static_cast<std::size_t>(i) % tokens.ids.size()]);
  }
  return at::tensor(ids, at::kLong).view({batch, tokens.length}).to(device);
}

void check_texts(const Role& role, const Script& script, const Tokens& tokens) {
  if (role.has("embed")) {
    const std::vector<std::string> texts{"a slow blues", "jazz"};
    check_finite(role, checked_embedding(role, script.call_twice("embed", texts), batch, "embed"), "embed");
  }
  if (role.has("embed_ids")) {
    const at::Tensor ids = token_ids(tokens, script.device());
    const at::Tensor result = script.call_twice("embed_ids", {ids, at::ones_like(ids)});
    check_finite(role, checked_embedding(role, result, batch, "embed_ids"), "embed_ids");
  }
}

}  // namespace

void check_calls(const Role& role, const Script& script, const Tokens& tokens) {
  const at::Device device = script.device();
  if (role.name == "text_embedder") {
    check_texts(role, script, tokens);
    return;
  }
  if (role.has("embed")) {
    const at::Tensor result = script.call_twice("embed", {waves({batch, samples(role)}, device)});
    check_finite(role, checked_embedding(role, result, batch, "embed"), "embed");
  }
  if (role.has("tokenize")) {
    const at::Tensor result = script.call_twice("tokenize", {waves({batch, samples(role)}, device)});
    check_shape(role, result, {batch, 0}, "tokenize");
    check_codes(role, result, "tokenize");
  }
  const int64_t levels = role.levels.value_or(1);
  const int64_t channels = role.channels.value_or(1);
  if (role.has("encode")) {
    const at::Tensor result = script.call_twice("encode", {waves({batch, channels, samples(role)}, device)});
    check_shape(role, result, {batch, levels, 0}, "encode");
    check_codes(role, result, "encode");
  }
  if (role.has("decode")) {
    const at::Tensor result = script.call_twice("decode", {codes(role, {batch, levels, frames(role)}, device)});
    check_shape(role, result, {batch, channels, 0}, "decode");
    check_values(role, result, "decode");
    check_context(role, script);
  }
  if (role.has("quantize")) {
    const at::Tensor given = waves({batch, role.dimension.value_or(1)}, device);
    const at::Tensor result = script.call_twice("quantize", {given});
    check_shape(role, result, {batch, levels}, "quantize");
    check_codes(role, result, "quantize");
  }
  if (role.has("dequantize")) {
    const at::Tensor result = script.call_twice("dequantize", {codes(role, {batch, levels}, device)});
    check_shape(role, result, {batch, role.dimension.value_or(1)}, "dequantize");
    check_values(role, result, "dequantize");
  }
  if (role.has("tag")) {
    const at::Tensor tags =
        checked_tags(role, script.call_twice("tag", {waves({batch, samples(role)}, device)}), batch);
    if (!are_probabilities(tags)) {
      fail(where, "role '", role.name, "' must return probabilities from 0 to 1 from tag; got ",
           tags.min().item<float>(), " to ", tags.max().item<float>(), " for a plain input");
    }
  }
}

}  // namespace brain2music::models
