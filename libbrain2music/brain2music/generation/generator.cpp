#include "brain2music/generation/generator.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/device/memory.h"
#include "brain2music/generation/codec.h"
#include "brain2music/generation/piece.h"
#include "brain2music/models/stage_check.h"

namespace brain2music::generation {
namespace {

constexpr auto where = "generation.MusicGenerator";

void check_sampling(const models::Stage& stage, const GenerationOptions& options) {
  const models::SamplingDefaults sampling = sampling_of(stage, options);
  require(std::isfinite(sampling.temperature) && sampling.temperature >= 0, where,
          "temperature must be a number from 0; got ", sampling.temperature, " for stage '", stage.name, "'");
  require(sampling.top_k >= 0 && sampling.top_k <= stage.vocabulary, where,
          "top_k must be 0 (all) or at most the vocabulary, ", stage.vocabulary, "; got ", sampling.top_k,
          " for stage '", stage.name, "'");
  require(sampling.top_p > 0 && sampling.top_p <= 1, where, "top_p must lie above 0 and be at most 1; got ",
          sampling.top_p, " for stage '", stage.name, "'");
  for (const models::Channel& channel : stage.channels) {
    if (const auto& codes = channel.guidance) {
      require(codes->code(sampling.guidance).has_value(), where, "guidance must be a number from ", codes->lowest,
              " to ", codes->highest(), ", of which the stage has codes; got ", sampling.guidance, " for stage '",
              stage.name, "'");
    }
  }
  if (stage.guided_by_codes()) {
    return;
  }
  const bool unconditional = stage.unconditional || (stage.condition && stage.condition->unconditional);
  require(std::isfinite(sampling.guidance) && sampling.guidance >= 0 && (sampling.guidance == 1 || unconditional),
          where, "guidance must be a number from 0, and 1 where the manifest tells nothing unconditional; got ",
          sampling.guidance, " for stage '", stage.name, "'");
}

/// Bytes of a network's state for one row of `length` positions, without making it in full unless it is small.
int64_t state_bytes(const models::Script& script, int64_t length, const std::optional<at::Tensor>& condition) {
  const auto measured = [&](int64_t positions) {
    int64_t bytes = 0;
    for (const at::Tensor& each : script.init_state(1, positions, condition).vec()) {
      bytes += static_cast<int64_t>(each.nbytes());
    }
    return bytes;
  };
  constexpr int64_t parts = 16;
  if (length < 2 * parts) {
    return measured(length);
  }
  const int64_t some = length / parts;  // a state grows with the length in a straight line, or not beyond its window
  const int64_t half = measured(some / 2);
  const int64_t all = measured(some);
  const int64_t grown = all + (all - half) * (length - some) / std::max<int64_t>(some - some / 2, 1);
  constexpr int64_t small = int64_t{1} << 27;
  return half == all || grown > small ? grown : measured(length);  // a window may lie between `some` and `length`
}

/// A request that was checked.
struct Request {
  at::Tensor track;  // (q, r, d) float32 on the device
  GenerationOptions options;
  int64_t q = 0;
  int64_t frames = 0;  // of the codec
  int64_t time = 0;    // samples of sound
};

}  // namespace

struct MusicGenerator::State {
  models::Bundle bundle;
  Networks networks;
  std::vector<std::size_t> acoustic;                    // the stages that make the codec's codes
  std::vector<std::pair<std::size_t, int64_t>> levels;  // of the codec: which stage makes each, and which of its levels
  Codec codec;
  bool rows_independent = true;
  int64_t dimension = 0;

  State(const models::Bundle& from, at::Device device) : bundle(from), codec(from, device) { networks.device = device; }

  /// Longest sequence of a stage, in positions.
  int64_t positions(std::size_t stage, double seconds) const;
  int64_t bytes_a_row(const GenerationOptions& options, const at::Tensor& embedding) const;
  /// How many of `total` pieces fit into memory together, beside `sound` bytes for the music of each.
  int64_t rows_at_once(const Request& request, int64_t total, int64_t sound) const;
  at::Tensor codes(const Piece& piece, int64_t frames) const;
  /// Lets a piece be written until so many frames of sound are ready.
  void write(Piece& piece, int64_t frames, const std::function<void()>& after_step) const;
};

int64_t MusicGenerator::State::positions(std::size_t stage, double seconds) const {
  const models::Stage& about = *networks.stages[stage].about;
  int64_t most = 0;
  for (const StageWindow& window : stage_windows(about, seconds)) {
    int64_t positions = step_count(about, window);
    const int64_t known = window.fresh - window.first;
    if (about.family == models::Family::frames) {
      positions += known;
    } else if (about.family == models::Family::parallel) {
      positions += 1 + known + std::ranges::min(about.delays);
    } else {
      positions += known * (about.order == models::CodeOrder::frames ? about.levels() : 1);
      for (const models::PrefixPart& part : about.prefix) {
        int64_t frames = 1;
        for (const LoadedStage& source : networks.stages) {
          if (source.about->name == part.from) {
            const FrameSpan span = source_frames(about, window, source.about->frame_rate);
            frames = span.end - span.first;
          }
        }
        positions += part.token ? part.count : frames * static_cast<int64_t>(part.offsets.size());
      }
    }
    most = std::max(most, positions);
  }
  require(most <= about.max_length, where, "seconds must give sequences of at most ", about.max_length,
          " positions (max_length of stage '", about.name, "'); got ", most, " for ", seconds, " s");
  return most;
}

int64_t MusicGenerator::State::bytes_a_row(const GenerationOptions& options, const at::Tensor& embedding) const {
  int64_t bytes = 0;
  for (std::size_t i = 0; i < networks.stages.size(); ++i) {
    const models::Stage& about = *networks.stages[i].about;
    std::optional<at::Tensor> condition;
    if (about.condition) {
      condition = about.condition->codes ? networks.conditioner->call("quantize", {embedding}) : embedding;
    }
    const int64_t halves = about.guided_by_codes() || sampling_of(about, options).guidance == 1 ? 1 : 2;
    bytes += halves * state_bytes(*networks.stages[i].script, positions(i, options.seconds), condition);
  }
  return bytes;
}

int64_t MusicGenerator::State::rows_at_once(const Request& request, int64_t total, int64_t sound) const {
  const at::Tensor embedding = request.track.narrow(0, 0, 1).select(1, 0);
  const int64_t bytes = std::max<int64_t>(bytes_a_row(request.options, embedding), 1);
  constexpr double mebibyte = 1 << 20;
  const std::optional<int64_t> free = device::available_memory(networks.device);
  const int64_t most = request.options.memory_limit.value_or(free.value_or(std::numeric_limits<int64_t>::max()));
  require(bytes <= most, where, "the networks' states for one piece must fit into memory, ",
          static_cast<double>(most) / mebibyte, " MiB; got ", static_cast<double>(bytes) / mebibyte,
          " MiB: ask for fewer seconds");
  require(!free || sound <= *free / total, where, "the music must fit into memory, ",
          static_cast<double>(free.value_or(0)) / mebibyte, " MiB; got ", total, " pieces of ",
          static_cast<double>(sound) / mebibyte, " MiB: ask for fewer at a time");
  return rows_independent || !networks.device.is_cpu() ? std::min(total, most / bytes) : 1;
}

at::Tensor MusicGenerator::State::codes(const Piece& piece, int64_t frames) const {
  std::vector<at::Tensor> rows;
  rows.reserve(levels.size());
  for (const auto& [stage, level] : levels) {
    rows.push_back(piece.codes(stage).narrow(1, level, 1).narrow(2, 0, frames));
  }
  return at::cat(rows, 1);
}

void MusicGenerator::State::write(Piece& piece, int64_t frames, const std::function<void()>& after_step) const {
  for (const std::size_t stage : acoustic) {
    while (piece.frames_ready(stage) < frames) {
      piece.advance(stage);
      after_step();
    }
  }
}

namespace {

Request checked(const at::Tensor& embeddings, const GenerationOptions& options, int64_t dimension, at::Device device,
                const Networks& networks, const Codec& codec) {
  require(embeddings.dim() == 2 || embeddings.dim() == 3, where,
          "embeddings must be (q, d), or (q, r, d) for a style track; got shape ", embeddings.sizes());
  require(embeddings.numel() > 0 && at::isFloatingType(embeddings.scalar_type()), where,
          "embeddings must be floating-point numbers; got ", embeddings.scalar_type(), " of shape ",
          embeddings.sizes());
  require(embeddings.size(-1) == dimension, where, "embeddings must have ", dimension,
          " dimensions, those of the bundle's space; got ", embeddings.size(-1));
  const at::Tensor values = embeddings.detach().to(device, at::kFloat);
  require(at::isfinite(values).all().item<bool>(), where, "embeddings must be finite; got NaN or Inf");
  const at::Tensor lengths = values.norm(2, -1);
  require(lengths.gt(0).all().item<bool>(), where, "an embedding must not be all zero; got one that is");
  const int64_t r = embeddings.dim() == 3 ? embeddings.size(1) : 1;
  require(std::isfinite(options.seconds) && options.seconds > 0, where, "seconds must be a positive number; got ",
          options.seconds);
  require(options.samples > 0, where, "samples must be a positive number; got ", options.samples);
  require(r == 1 || (std::isfinite(options.hop) && options.hop > 0), where,
          "a style track must have a hop in seconds; got ", options.hop, " for ", r, " embeddings a track");
  require(std::isfinite(options.window) && options.window >= 0, where, "window must be a number of seconds; got ",
          options.window);
  require(!options.memory_limit || *options.memory_limit > 0, where,
          "memory_limit must be a positive number of bytes; got ", options.memory_limit.value_or(0));
  for (const auto& [name, sampling] : options.stages) {
    const bool known = std::ranges::any_of(
        networks.stages, [&, wanted = &name](const auto& each) { return each.about->name == *wanted; });
    require(known, where, "sampling must be for a stage of the bundle; got '", name, "'");
  }
  for (const LoadedStage& stage : networks.stages) {
    check_sampling(*stage.about, options);
  }
  Request request;
  request.options = options;
  request.q = values.size(0);
  request.track = embeddings.dim() == 3 ? values : values.unsqueeze(1);
  if (options.unit_length) {
    request.track = request.track / lengths.view({request.q, r, 1});
  }
  const double rate = codec.role().frame_rate.value_or(1);
  request.frames = frame_count(options.seconds, rate);
  request.time = std::llround(options.seconds * static_cast<double>(codec.role().sample_rate.value_or(1)));
  require(request.time > 0, where, "seconds must hold a sample of sound; got ", options.seconds);
  return request;
}

/// The rows [first, first + count) of all q x samples.
Piece piece_of(const Request& request, const Networks& networks, int64_t first, int64_t count) {
  std::vector<int64_t> samples;
  std::vector<at::Tensor> rows;
  for (int64_t row = first; row < first + count; ++row) {
    samples.push_back(row % request.options.samples);
    rows.push_back(request.track.narrow(0, row / request.options.samples, 1));
  }
  return {networks, {at::cat(rows), request.options.window, request.options.hop}, samples, request.options};
}

}  // namespace

MusicGenerator::MusicGenerator(const models::Bundle& bundle, at::Device device, std::optional<at::ScalarType> dtype) {
  const models::Manifest& manifest = bundle.manifest();
  require(!manifest.stages.empty(), where, "the bundle must have stages to make music; got none in ",
          bundle.path().string());
  auto state = std::make_shared<State>(bundle, device);
  state->dimension = manifest.space.value_or(models::GenerationSpace{}).dimension;
  require(state->codec.role().has("decode"), where, "role 'codec' must declare the method decode; got ",
          state->codec.role().methods.front());
  bool conditioned = false;
  state->levels.resize(static_cast<std::size_t>(state->codec.role().levels.value_or(0)));
  for (std::size_t i = 0; i < manifest.stages.size(); ++i) {
    const models::Stage& about = state->bundle.manifest().stages[i];
    require(std::max<int64_t>(about.levels(), std::ssize(manifest.stages)) <= most_numbered, where,
            "a bundle must have at most ", most_numbered, " stages, and a stage as many levels; got ",
            manifest.stages.size(), " stages and ", about.levels(), " levels of stage '", about.name, "'");
    const models::StageFacts& facts = bundle.stage_facts(about.name, device, dtype);
    state->networks.stages.push_back({&about, bundle.stage_script(about.name, device, dtype), facts.capturable});
    state->rows_independent = state->rows_independent && facts.rows_independent;
    for (std::size_t level = 0; level < about.codec_levels.size(); ++level) {
      state->levels[static_cast<std::size_t>(about.codec_levels[level])] = {i, static_cast<int64_t>(level)};
    }
    if (!about.codec_levels.empty()) {
      state->acoustic.push_back(i);
    }
    conditioned = conditioned || (about.condition && about.condition->codes) || reads_conditioner(about);
  }
  require(!state->acoustic.empty(), where, "a stage must make the codec's codes (field 'codec_levels'); got none in ",
          bundle.path().string());
  if (conditioned) {
    state->networks.conditioner = bundle.script("conditioner", device);
  }
  state_ = std::move(state);
}

int64_t MusicGenerator::rate() const { return state_->codec.role().sample_rate.value_or(0); }

int64_t MusicGenerator::dimension() const { return state_->dimension; }

void MusicGenerator::check_space(std::string_view hash) const {
  const std::vector<std::string> known = state_->bundle.manifest().space.value_or(models::GenerationSpace{}).hashes;
  constexpr std::size_t shown = 12;
  require(!known.empty(), where, "embeddings must state no network, as the bundle '", state_->bundle.manifest().name,
          "' names none that embeds into its space; got those of network ", std::string(hash.substr(0, shown)),
          "...: if they are of its space, give them by Embeddings.from_arrays");
  require(std::ranges::find(known, hash) != known.end(), where, "embeddings must be of the space that the bundle '",
          state_->bundle.manifest().name, "' makes music from (network ", known.front().substr(0, shown),
          "...); got those of network ", std::string(hash.substr(0, shown)),
          "...: embed, or train the decoder, with it");
}

Music MusicGenerator::generate(const at::Tensor& embeddings, const GenerationOptions& options) const {
  const c10::InferenceMode inference;
  const State& state = *state_;
  const Request request =
      checked(embeddings, options, state.dimension, state.networks.device, state.networks, state.codec);
  const int64_t total = request.q * options.samples;
  const int64_t channels = state.codec.role().channels.value_or(1);
  const int64_t sound = channels * request.time * static_cast<int64_t>(sizeof(float));
  const int64_t at_once = state.rows_at_once(request, total, sound);
  at::Tensor waveform = at::empty({total, channels, request.time}, request.track.options());
  int64_t done = 0;
  for (int64_t first = 0; first < total; first += at_once) {
    const int64_t count = std::min(at_once, total - first);
    Piece piece = piece_of(request, state.networks, first, count);
    const int64_t steps = piece.steps() * ((total + at_once - 1) / at_once);
    state.write(piece, request.frames, [&] {
      ++done;
      if (options.on_progress) {
        options.on_progress(done, steps);
      }
    });
    const at::Tensor codes = state.codes(piece, request.frames);
    waveform.narrow(0, first, count).copy_(state.codec.decode(codes).narrow(2, 0, request.time));
  }
  return {waveform.view({request.q, options.samples, channels, request.time}), rate()};
}

struct MusicStream::State {
  std::shared_ptr<const MusicGenerator::State> generator;
  Request request;
  int64_t block = 0;  // frames
  std::unique_ptr<Piece> piece;
  int64_t sent = 0;  // frames
  int64_t done = 0;  // steps
};

MusicStream::MusicStream(std::shared_ptr<State> state) : state_(std::move(state)) {}

std::optional<Music> MusicStream::next() {
  const c10::InferenceMode inference;
  State& state = *state_;
  const MusicGenerator::State& generator = *state.generator;
  const Request& request = state.request;
  if (state.sent >= request.frames) {
    return std::nullopt;
  }
  const int64_t end = std::min(state.sent + state.block, request.frames);
  const models::CodecContext context = generator.codec.role().context.value_or(models::CodecContext{});
  const int64_t needed = std::min(end + context.future, request.frames);
  generator.write(*state.piece, needed, [&] {
    ++state.done;
    if (request.options.on_progress) {
      request.options.on_progress(state.done, state.piece->steps());
    }
  });
  const at::Tensor sound = generator.codec.decode_block(generator.codes(*state.piece, needed), state.sent, end);
  const int64_t from = state.sent * generator.codec.samples_a_frame();
  const int64_t time = std::min(sound.size(2), request.time - from);
  state.sent = end;
  return Music{sound.narrow(2, 0, time).contiguous().view({request.q, request.options.samples, sound.size(1), time}),
               generator.codec.role().sample_rate.value_or(0)};
}

MusicStream MusicGenerator::stream(const at::Tensor& embeddings, double block, const GenerationOptions& options) const {
  const c10::InferenceMode inference;
  require(std::isfinite(block) && block > 0, where, "block must be a positive number of seconds; got ", block);
  require(state_->codec.role().context.has_value(), where,
          "role 'codec' must have the field 'context' to make music block by block; got none");
  auto state = std::make_shared<MusicStream::State>();
  state->generator = state_;
  state->request =
      checked(embeddings, options, state_->dimension, state_->networks.device, state_->networks, state_->codec);
  const Request& request = state->request;
  state->block = std::max<int64_t>(frame_count(block, state_->codec.role().frame_rate.value_or(1)), 1);
  const int64_t total = request.q * options.samples;
  const int64_t at_once = state_->rows_at_once(request, total, 0);
  require(at_once >= total, where, "a stream's pieces must be made together; got ", total, " where ", at_once,
          state_->rows_independent ? " fit into memory" : " can be, as a network's rows depend on those beside them");
  state->piece = std::make_unique<Piece>(piece_of(request, state_->networks, 0, total));
  return MusicStream(std::move(state));
}

}  // namespace brain2music::generation
