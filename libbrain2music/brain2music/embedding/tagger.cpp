#include "brain2music/embedding/tagger.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cstdint>

#include "brain2music/check.h"
#include "brain2music/embedding/window_batches.h"
#include "brain2music/models/embed_call.h"
#include "brain2music/models/script.h"

namespace brain2music::embedding {
namespace {

constexpr auto where = "embedding.tag";

}  // namespace

Tagger::Tagger(const models::Bundle& bundle, at::Device device, std::optional<at::ScalarType> dtype)
    : role_(bundle.role("tagger")), script_(bundle.script("tagger", device, dtype)) {}

at::Tensor Tagger::tag(const std::vector<Clip>& clips, const EmbedOptions& options) const {
  const WindowOptions windowing = windows_of(role_, options, where);
  std::vector<float> counts;
  counts.reserve(clips.size());
  for (const Clip& clip : clips) {
    counts.push_back(static_cast<float>(clip_window_count(clip, windowing)));
  }
  const auto n = static_cast<int64_t>(clips.size());
  at::Tensor sums = at::zeros({n, std::ssize(role_.classes)}, at::kFloat);
  const auto tag = [&](const at::Tensor& windows, at::IntArrayRef of_clips) {
    const at::Tensor tags = models::tag_windows(role_, *script_, windows).cpu();
    if (!models::are_probabilities(tags)) {
      fail(where, "role 'tagger' must return probabilities from 0 to 1; got ", tags.min().item<float>(), " to ",
           tags.max().item<float>(), " for ", clips[static_cast<std::size_t>(of_clips.front())].name,
           " or one of the clips after it");
    }
    sums.index_add_(0, at::tensor(of_clips, at::kLong), tags);
  };
  for_window_batches(clips, {where, windowing, options.batch, script_->device()}, tag);
  return sums / at::tensor(counts).view({n, 1});
}

}  // namespace brain2music::embedding
