#include "brain2music/embedding/embedder.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "brain2music/check.h"
#include "brain2music/embedding/window_batches.h"
#include "brain2music/models/embed_call.h"
#include "brain2music/models/script.h"

namespace brain2music::embedding {
namespace {

constexpr auto where = "embedding.embed";

void check_batch(int64_t batch) { require(batch > 0, where, "batch must be a positive number; got ", batch); }

}  // namespace

WindowOptions windows_of(const models::Role& role, const EmbedOptions& options, const char* where) {
  const double own = role.window.value_or(0);
  const double window = options.window.value_or(own);
  require(window > 0 && window <= own, where, "window must be at most that of role '", role.name, "', ", own,
          " s; got ", window, " s");
  return {role.sample_rate.value_or(0), window, options.hop, own};
}

Embedder::Embedder(const models::Bundle& bundle, std::string_view role, at::Device device,
                   std::optional<at::ScalarType> dtype)
    : role_(bundle.role(role)) {
  require(role_.has("embed") || role_.has("embed_ids"), where, "role '", role, "' must declare the method embed; got ",
          role_.methods.front());
  script_ = bundle.script(role, device, dtype);
}

at::Tensor Embedder::embed(const std::vector<Clip>& clips, const EmbedOptions& options) const {
  require(role_.sample_rate.has_value() && role_.has("embed"), where, "role '", role_.name,
          "' embeds texts; got waveforms");
  check_batch(options.batch);
  const WindowOptions windowing = windows_of(role_, options, where);
  const int64_t per_clip = clips.empty() ? 0 : clip_window_count(clips.front(), windowing);
  for (const Clip& clip : clips) {
    const int64_t r = clip_window_count(clip, windowing);
    require(r == per_clip, where, "every clip must give as many windows; got ", per_clip, " for ", clips.front().name,
            " and ", r, " for ", clip.name, ": cut them to one length");
  }
  const int64_t dimension = role_.dimension.value_or(0);
  const auto n = static_cast<int64_t>(clips.size());
  const at::Tensor result = at::empty({n * per_clip, dimension}, at::kFloat);
  int64_t done = 0;  // rows of the result
  const auto embed = [&](const at::Tensor& windows, at::IntArrayRef of_clips) {
    const at::Tensor rows = result.narrow(0, done, windows.size(0));
    rows.copy_(models::embed_windows(role_, *script_, windows));
    if (!is_finite(rows)) {
      fail(where, "role '", role_.name, "' must return finite values; got NaN or Inf for ",
           clips[static_cast<std::size_t>(of_clips.front())].name,
           " or one of the clips after it: a wider dtype may help");
    }
    done += windows.size(0);
  };
  for_window_batches(clips, {where, windowing, options.batch, script_->device()}, embed);
  return result.view({n, per_clip, dimension});
}

at::Tensor Embedder::embed_texts(const std::vector<std::string>& texts, int64_t batch) const {
  require(!role_.sample_rate && role_.has("embed"), where, "role '", role_.name,
          role_.sample_rate ? "' embeds waveforms; got texts" : "' takes tokens, of its tokenizer; got texts");
  check_batch(batch);
  const auto n = static_cast<int64_t>(texts.size());
  const at::Tensor result = at::empty({n, role_.dimension.value_or(0)}, at::kFloat);
  for (int64_t done = 0; done < n; done += batch) {
    const int64_t rows = std::min(batch, n - done);
    const std::vector<std::string> some(texts.begin() + done, texts.begin() + done + rows);
    result.narrow(0, done, rows).copy_(models::embed_texts(role_, *script_, some));
  }
  if (!is_finite(result)) {
    fail(where, "role '", role_.name, "' must return finite values; got NaN or Inf: a wider dtype may help");
  }
  return result;
}

at::Tensor Embedder::embed_ids(const at::Tensor& ids, const at::Tensor& mask) const {
  require(!role_.sample_rate && role_.has("embed_ids"), where, "role '", role_.name,
          "' must declare the method embed_ids; got ", role_.methods.front());
  require(ids.dim() == 2 && ids.sizes() == mask.sizes() && ids.scalar_type() == at::kLong &&
              mask.scalar_type() == at::kLong,
          where, "ids and mask must be (n, T) int64; got ", ids.scalar_type(), " ", ids.sizes(), " and ",
          mask.scalar_type(), " ", mask.sizes());
  const at::Tensor embedded = models::embed_ids(role_, *script_, ids.to(script_->device()), mask.to(script_->device()));
  at::Tensor result = at::empty(embedded.sizes(), at::kFloat);
  result.copy_(embedded);
  if (!is_finite(result)) {
    fail(where, "role '", role_.name, "' must return finite values; got NaN or Inf: a wider dtype may help");
  }
  return result;
}

}  // namespace brain2music::embedding
