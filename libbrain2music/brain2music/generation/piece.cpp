#include "brain2music/generation/piece.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <set>
#include <utility>

namespace brain2music::generation {
namespace {

bool reads_conditioner(const models::Stage& stage) {
  const auto is_conditioner = [](const auto& each) { return each.from == "conditioner"; };
  return std::ranges::any_of(stage.prefix, is_conditioner) || std::ranges::any_of(stage.given, is_conditioner);
}

}  // namespace

at::Tensor StyleTrack::over(int64_t first, int64_t end, double frame_rate, bool each_frame) const {
  const int64_t r = values.size(1);
  const int64_t frames = end - first;
  if (r == 1) {
    return each_frame ? values.expand({-1, frames, -1}) : values.select(1, 0);
  }
  // The middle of each frame, counted in windows from the middle of the first window.
  const at::Tensor time = (at::arange(first, end, at::TensorOptions().dtype(at::kDouble)) + 0.5) / frame_rate;
  const at::Tensor place = ((time - window / 2) / hop).clamp(0, static_cast<double>(r - 1));
  const at::Tensor distance = (place.unsqueeze(1) - at::arange(r, place.options())).abs();
  const at::Tensor weights = (1 - distance).clamp_min(0);  // (frames, r), each row adds up to 1
  const at::Tensor shares = each_frame ? weights : weights.mean(0, /*keepdim=*/true);
  const at::Tensor result = at::matmul(shares.to(values.device(), values.scalar_type()), values);
  return each_frame ? result : result.select(1, 0);
}

models::SamplingDefaults sampling_of(const models::Stage& stage, const GenerationOptions& options) {
  models::SamplingDefaults result = stage.sampling;
  const auto apply = [&](const Sampling& given) {
    result.temperature = given.temperature.value_or(result.temperature);
    result.top_k = given.top_k.value_or(result.top_k);
    result.top_p = given.top_p.value_or(result.top_p);
    result.guidance = given.guidance.value_or(result.guidance);
  };
  apply(options.sampling);
  if (const auto own = options.stages.find(stage.name); own != options.stages.end()) {
    apply(own->second);
  }
  return result;
}

Piece::Piece(const Networks& networks, StyleTrack track, const std::vector<int64_t>& samples,
             const GenerationOptions& options)
    : networks_(networks), track_(std::move(track)), samples_(samples), options_(options) {
  const at::TensorOptions whole = track_.values.options().dtype(at::kLong);
  for (const LoadedStage& stage : networks_.stages) {
    Writing writing;
    writing.windows = stage_windows(*stage.about, options_.seconds);
    writing.codes = at::zeros(
        {track_.values.size(0), stage.about->levels(), frame_count(options_.seconds, stage.about->frame_rate)}, whole);
    for (const StageWindow& window : writing.windows) {
      steps_ += step_count(*stage.about, window);
    }
    writings_.push_back(std::move(writing));
  }
}

std::optional<std::size_t> Piece::missing_source(std::size_t stage) const {
  const Writing& writing = writings_[stage];
  if (writing.sequence) {
    return std::nullopt;
  }
  const models::Stage& about = *networks_.stages[stage].about;
  for (const std::size_t source : stages_read(about)) {
    const FrameSpan span =
        source_frames(about, writing.windows[writing.window], networks_.stages[source].about->frame_rate);
    if (frames_ready(source) < span.end) {
      return source;
    }
  }
  return std::nullopt;
}

void Piece::advance(std::size_t stage) {
  while (const auto source = missing_source(stage)) {  // stages read those before them alone: this ends
    stage = *source;
  }
  Writing& writing = writings_[stage];
  if (!writing.sequence) {
    begin(stage);
  }
  writing.sequence->step();
  ++done_;
  const StageWindow& window = writing.windows[writing.window];
  const int64_t ready = window.first + writing.sequence->frames_ready();
  if (ready > writing.ready) {
    const at::Tensor codes = writing.sequence->codes(writing.ready - window.first, ready - window.first);
    writing.codes.narrow(2, writing.ready, ready - writing.ready).copy_(codes);
    writing.ready = ready;
  }
  if (writing.sequence->done()) {
    writing.sequence.reset();
    ++writing.window;
  }
}

std::vector<std::size_t> Piece::stages_read(const models::Stage& stage) const {
  std::set<std::string> names;
  for (const models::PrefixPart& part : stage.prefix) {
    names.insert(part.from);
  }
  for (const models::PrefixPart& part : stage.unconditional.value_or(stage.prefix)) {
    names.insert(part.from);
  }
  for (const models::GivenLevels& given : stage.given) {
    names.insert(given.from);
  }
  std::vector<std::size_t> stages;
  for (std::size_t i = 0; i < networks_.stages.size(); ++i) {
    if (names.contains(networks_.stages[i].about->name)) {
      stages.push_back(i);
    }
  }
  return stages;
}

at::Tensor Piece::quantized(const at::Tensor& embeddings) const {
  // One by one on a CPU, so that a code does not depend on the rows beside.
  if (!embeddings.is_cpu()) {
    return networks_.conditioner->call("quantize", {embeddings});
  }
  std::vector<at::Tensor> codes;
  codes.reserve(static_cast<std::size_t>(embeddings.size(0)));
  for (int64_t row = 0; row < embeddings.size(0); ++row) {
    codes.push_back(networks_.conditioner->call("quantize", {embeddings.narrow(0, row, 1)}));
  }
  return at::cat(codes);
}

std::map<std::string, CodeSource> Piece::sources_of(const models::Stage& stage, const StageWindow& window) const {
  std::map<std::string, CodeSource> sources;
  for (const std::size_t source : stages_read(stage)) {
    const models::Stage& about = *networks_.stages[source].about;
    sources[about.name] = {codes(source), about.frame_rate};
  }
  if (reads_conditioner(stage)) {
    const bool each_frame = stage.family == models::Family::parallel && track_.values.size(1) > 1;
    const at::Tensor embeddings = track_.over(window.first, window.end, stage.frame_rate, each_frame);
    if (each_frame) {
      const int64_t frames = embeddings.size(1);
      const at::Tensor codes = quantized(embeddings.flatten(0, 1));
      sources["conditioner"] = {codes.view({-1, frames, codes.size(1)}).transpose(1, 2).contiguous(), 0};
    } else {
      sources["conditioner"] = {quantized(embeddings).unsqueeze(2), 0};
    }
  }
  return sources;
}

void Piece::begin(std::size_t stage) {
  Writing& writing = writings_[stage];
  const LoadedStage& loaded = networks_.stages[stage];
  const models::Stage& about = *loaded.about;
  const StageWindow& window = writing.windows[writing.window];
  const models::SamplingDefaults sampling = sampling_of(about, options_);
  const auto sources = sources_of(about, window);
  const at::Tensor before = writing.codes.narrow(2, window.first, window.fresh - window.first);

  SequenceStart start{plan_sequence(about, window, sources, before), std::nullopt};
  std::optional<SequenceStart> other;
  if (sampling.guidance != 1) {
    other = SequenceStart{plan_sequence(about, window, sources, before, /*unconditional=*/true), std::nullopt};
  }
  if (about.condition) {
    const at::Tensor embedding = track_.over(window.first, window.end, about.frame_rate, /*each_frame=*/false);
    start.condition = about.condition->codes ? quantized(embedding) : embedding.contiguous();
    if (other) {
      const auto fill = about.condition->unconditional;
      other->condition = fill ? at::full_like(*start.condition, *fill) : *start.condition;
    }
  }

  Draw draw;
  draw.options = {sampling.temperature, sampling.top_k, sampling.top_p};
  draw.guidance = sampling.guidance;
  draw.seed = options_.seed;
  draw.first_step = writing.positions;
  std::vector<int64_t> streams;
  const int64_t rows = start.plan.known.size(0);
  for (const int64_t sample : samples_) {
    for (int64_t row = 0; row < rows; ++row) {
      streams.push_back((sample * most_numbered + static_cast<int64_t>(stage)) * most_numbered + row);
    }
  }
  draw.streams = at::tensor(streams, at::kLong).to(networks_.device);
  writing.positions += start.plan.grid.size(2);
  writing.sequence = std::make_unique<Sequence>(loaded, std::move(start), std::move(other), std::move(draw));
}

}  // namespace brain2music::generation
