#include "brain2music/generation/piece.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "brain2music/generation/frame_sequence.h"
#include "brain2music/generation/sequence.h"

namespace brain2music::generation {
bool reads_conditioner(const models::Stage& stage) {
  const std::vector<std::string> names = stage.sources();
  return std::ranges::find(names, "conditioner") != names.end();
}

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
  if (writing.writer) {
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
  if (!writing.writer) {
    begin(stage);
  }
  writing.writer->step();
  ++done_;
  const StageWindow& window = writing.windows[writing.window];
  const int64_t ready = window.first + writing.writer->frames_ready();
  if (ready > writing.ready) {
    const at::Tensor codes = writing.writer->codes(writing.ready - window.first, ready - window.first);
    writing.codes.narrow(2, writing.ready, ready - writing.ready).copy_(codes);
    writing.ready = ready;
  }
  if (writing.writer->done()) {
    writing.writer.reset();
    ++writing.window;
  }
}

std::vector<std::size_t> Piece::stages_read(const models::Stage& stage) const {
  const std::vector<std::string> names = stage.sources();
  std::vector<std::size_t> stages;
  for (std::size_t i = 0; i < networks_.stages.size(); ++i) {
    if (std::ranges::find(names, networks_.stages[i].about->name) != names.end()) {
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

/// The codes (B, levels, frames) of a style track at each frame of a window. Products of matrices may round otherwise
/// for another number of rows. The conditioner is therefore given one track at a time, so that a code does not depend
/// on the tracks beside it, and always as many frames, so that it does not depend on the length of the piece.
at::Tensor Piece::quantized_by_frame(const StageWindow& window, double frame_rate) const {
  constexpr int64_t at_once = 64;
  std::vector<at::Tensor> blocks;
  for (int64_t first = window.first; first < window.end; first += at_once) {
    const at::Tensor embeddings = track_.over(first, first + at_once, frame_rate, /*each_frame=*/true);
    std::vector<at::Tensor> tracks;
    tracks.reserve(static_cast<std::size_t>(embeddings.size(0)));
    for (int64_t row = 0; row < embeddings.size(0); ++row) {
      tracks.push_back(networks_.conditioner->call("quantize", {embeddings[row].contiguous()}).t());
    }
    blocks.push_back(at::stack(tracks));
  }
  return at::cat(blocks, 2).narrow(2, 0, window.end - window.first);
}

std::map<std::string, CodeSource> Piece::sources_of(const models::Stage& stage, const StageWindow& window) const {
  std::map<std::string, CodeSource> sources;
  for (const std::size_t source : stages_read(stage)) {
    const models::Stage& about = *networks_.stages[source].about;
    sources[about.name] = {codes(source), about.frame_rate};
  }
  if (reads_conditioner(stage)) {
    if (stage.family != models::Family::tokens && track_.values.size(1) > 1) {
      sources["conditioner"] = {quantized_by_frame(window, stage.frame_rate), 0};
    } else {
      const at::Tensor embedding = track_.over(window.first, window.end, stage.frame_rate, /*each_frame=*/false);
      sources["conditioner"] = {quantized(embedding).unsqueeze(2), 0};
    }
  }
  return sources;
}

std::optional<at::Tensor> Piece::condition_of(const models::Stage& stage, const StageWindow& window) const {
  if (!stage.condition) {
    return std::nullopt;
  }
  const at::Tensor embedding = track_.over(window.first, window.end, stage.frame_rate, /*each_frame=*/false);
  return stage.condition->codes ? quantized(embedding) : embedding.contiguous();
}

std::vector<int64_t> Piece::streams_of(std::size_t stage, int64_t sample, int64_t rows) {
  std::vector<int64_t> streams;
  streams.reserve(static_cast<std::size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    streams.push_back((sample * most_numbered + static_cast<int64_t>(stage)) * most_numbered + row);
  }
  return streams;
}

void Piece::begin(std::size_t stage) {
  Writing& writing = writings_[stage];
  const StageWindow& window = writing.windows[writing.window];
  const bool frames = networks_.stages[stage].about->family == models::Family::frames;
  writing.writer = frames ? frame_sequence(stage, window) : sequence(stage, window);
}

std::unique_ptr<CodeWriter> Piece::frame_sequence(std::size_t stage, const StageWindow& window) const {
  const LoadedStage& loaded = networks_.stages[stage];
  const models::Stage& about = *loaded.about;
  const models::SamplingDefaults sampling = sampling_of(about, options_);
  const at::Tensor before = writings_[stage].codes.narrow(2, window.first, window.fresh - window.first);
  FramePlan plan = plan_frames(about, window, sources_of(about, window), sampling.guidance, before);
  FrameDraw draw;
  draw.options = {sampling.temperature, sampling.top_k, sampling.top_p};
  draw.seed = options_.seed;
  std::vector<at::Tensor> streams;
  streams.reserve(samples_.size());
  for (const int64_t sample : samples_) {
    streams.push_back(at::tensor(streams_of(stage, sample, about.levels()), at::kLong));
  }
  draw.streams = at::stack(streams, 1).to(networks_.device);
  return std::make_unique<FrameSequence>(
      loaded, FrameStart{window, std::move(plan), before, condition_of(about, window)}, std::move(draw));
}

std::unique_ptr<CodeWriter> Piece::sequence(std::size_t stage, const StageWindow& window) {
  Writing& writing = writings_[stage];
  const LoadedStage& loaded = networks_.stages[stage];
  const models::Stage& about = *loaded.about;
  const models::SamplingDefaults sampling = sampling_of(about, options_);
  const auto sources = sources_of(about, window);
  const at::Tensor before = writing.codes.narrow(2, window.first, window.fresh - window.first);

  SequenceStart start{plan_sequence(about, window, sources, before), condition_of(about, window)};
  std::optional<SequenceStart> other;
  if (sampling.guidance != 1) {
    other = SequenceStart{plan_sequence(about, window, sources, before, /*unconditional=*/true), std::nullopt};
  }
  if (start.condition && other) {
    const auto fill = about.condition.value_or(models::StageCondition{}).unconditional;
    other->condition = fill ? at::full_like(*start.condition, *fill) : *start.condition;
  }

  Draw draw;
  draw.options = {sampling.temperature, sampling.top_k, sampling.top_p};
  draw.guidance = sampling.guidance;
  draw.seed = options_.seed;
  draw.first_step = writing.positions;
  std::vector<int64_t> streams;
  const int64_t rows = start.plan.known.size(0);
  for (const int64_t sample : samples_) {
    const std::vector<int64_t> own = streams_of(stage, sample, rows);
    streams.insert(streams.end(), own.begin(), own.end());
  }
  draw.streams = at::tensor(streams, at::kLong).to(networks_.device);
  writing.positions += start.plan.grid.size(2);
  return std::make_unique<Sequence>(loaded, std::move(start), std::move(other), std::move(draw));
}

}  // namespace brain2music::generation
