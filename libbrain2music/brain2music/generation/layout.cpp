#include "brain2music/generation/layout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "brain2music/check.h"

namespace brain2music::generation {
namespace {

constexpr auto where = "generation.layout";
constexpr double tolerance = 1e-6;  // of a frame: 0.1 s at 50 frames a second are five frames, not five and a bit

at::TensorOptions whole_numbers(const at::Tensor& beside) { return beside.options().dtype(at::kLong); }

at::Tensor column(const std::vector<int64_t>& numbers, const at::TensorOptions& options) {
  return at::tensor(numbers, at::kLong).to(options.device()).view({-1, 1});
}

/// The codes of a source for the frames of a window: (B, levels, frames).
at::Tensor codes_of(const models::Stage& stage, const StageWindow& window, const CodeSource& source, int64_t levels) {
  at::Tensor some = source.codes.narrow(1, 0, levels);
  if (source.frame_rate == 0) {
    return some;
  }
  const FrameSpan span = source_frames(stage, window, source.frame_rate);
  return some.narrow(2, span.first, span.end - span.first);
}

/// Tokens of a prefix: (B, P).
at::Tensor prefix_of(const models::Stage& stage, const std::vector<models::PrefixPart>& parts,
                     const StageWindow& window, const std::map<std::string, CodeSource>& sources,
                     const at::Tensor& before) {
  const at::TensorOptions options = whole_numbers(before);
  const int64_t batch = before.size(0);
  std::vector<at::Tensor> tokens;
  for (const models::PrefixPart& part : parts) {
    if (part.token) {
      tokens.push_back(at::full({batch, part.count}, *part.token, options));
      continue;
    }
    const auto levels = static_cast<int64_t>(part.offsets.size());
    const at::Tensor codes = codes_of(stage, window, sources.at(part.from), levels) + column(part.offsets, options);
    tokens.push_back((part.order == models::CodeOrder::frames ? codes.transpose(1, 2) : codes).reshape({batch, -1}));
  }
  return at::cat(tokens, 1);
}

void check_length(const models::Stage& stage, int64_t positions) {
  require(positions <= stage.max_length, where, "a sequence of stage '", stage.name, "' must have at most ",
          stage.max_length, " positions (its max_length); got ", positions, ": ask for fewer seconds");
}

/// Writes the codes that are known into the grid, and marks their cells.
void put_known(SequencePlan& plan, const at::Tensor& before) {
  const int64_t frames = before.size(2);
  const at::Tensor ids = before + plan.offsets;
  for (int64_t level = 0; frames > 0 && level < plan.row_of.size(0); ++level) {
    const auto row = plan.row_of[level][0].item<int64_t>();
    const at::Tensor columns = plan.column_of[level].narrow(0, 0, frames);
    plan.grid.select(1, plan.given + row).index_copy_(1, columns, ids.select(1, level));
    plan.known[row].index_fill_(0, columns, 1);
  }
}

/// The number of positions from the beginning in which every cell is known.
int64_t lead_of(const at::Tensor& known) {
  const at::Tensor whole = known.all(0).to(at::kCPU);
  const bool* const columns = whole.const_data_ptr<bool>();
  return std::find(columns, columns + whole.numel(), false) - columns;
}

SequencePlan plan_tokens(const models::Stage& stage, const StageWindow& window,
                         const std::map<std::string, CodeSource>& sources, const at::Tensor& before,
                         bool unconditional) {
  const at::TensorOptions options = whole_numbers(before);
  const auto& parts = unconditional ? stage.unconditional.value_or(stage.prefix) : stage.prefix;
  const at::Tensor prefix = prefix_of(stage, parts, window, sources, before);
  const int64_t start = prefix.size(1);
  const int64_t levels = stage.levels();
  const int64_t frames = window.end - window.first;
  const int64_t length = start + frames * levels;
  check_length(stage, length);
  SequencePlan plan;
  plan.tokens = true;
  plan.offsets = column(stage.offsets, options);
  plan.row_of = at::zeros({levels, frames}, options);
  const at::Tensor level = at::arange(levels, options).view({-1, 1});
  const at::Tensor frame = at::arange(frames, options).view({1, -1});
  plan.column_of = start + (stage.order == models::CodeOrder::frames ? frame * levels + level : level * frames + frame);
  plan.grid = at::zeros({before.size(0), 1, length}, options);
  plan.grid.select(1, 0).narrow(1, 0, start).copy_(prefix);
  plan.known = at::zeros({1, length}, options.dtype(at::kBool));
  plan.known.narrow(1, 0, start).fill_(1);
  plan.ranges = at::zeros({length, 1, 2}, options);
  const at::Tensor first = plan.offsets.expand({levels, frames}).reshape(-1);
  const at::Tensor behind = (plan.offsets + column(stage.codes, options)).expand({levels, frames}).reshape(-1);
  const at::Tensor cells = plan.column_of.reshape(-1);
  plan.ranges.select(2, 0).select(1, 0).index_copy_(0, cells, first);
  plan.ranges.select(2, 1).select(1, 0).index_copy_(0, cells, behind);
  return plan;
}

SequencePlan plan_levels(const models::Stage& stage, const StageWindow& window,
                         const std::map<std::string, CodeSource>& sources, const at::Tensor& before) {
  const at::TensorOptions options = whole_numbers(before);
  const int64_t levels = stage.levels();
  const int64_t frames = window.end - window.first;
  const int64_t length = frames + 1 + *std::ranges::max_element(stage.delays);
  check_length(stage, length);
  SequencePlan plan;
  for (const models::GivenLevels& given : stage.given) {
    plan.given += sources.at(given.from).codes.size(1);
  }
  plan.offsets = at::zeros({levels, 1}, options);
  plan.row_of = at::arange(levels, options).view({-1, 1}).expand({levels, frames}).contiguous();
  const at::Tensor frame = at::arange(frames, options).view({1, -1});
  plan.column_of = frame + 1 + column(stage.delays, options);
  plan.grid = at::full({before.size(0), plan.given + levels, length}, stage.pad, options);
  plan.known = at::ones({levels, length}, options.dtype(at::kBool));
  plan.known.scatter_(1, plan.column_of, 0);
  plan.ranges = at::zeros({length, levels, 2}, options);
  plan.ranges.select(2, 1).copy_(at::tensor(stage.codes, at::kLong).to(options.device()));
  int64_t row = 0;
  for (const models::GivenLevels& given : stage.given) {
    const at::Tensor codes = codes_by_frame(stage, window, sources.at(given.from)).expand({-1, -1, frames});
    const int64_t shown = std::clamp<int64_t>(length - given.delay, 0, frames);
    plan.grid.narrow(1, row, codes.size(1))
        .narrow(2, std::min(given.delay, length), shown)
        .copy_(codes.narrow(2, 0, shown));
    row += codes.size(1);
  }
  return plan;
}

}  // namespace

int64_t frame_count(double seconds, double frame_rate) {
  return static_cast<int64_t>(std::ceil(seconds * frame_rate - tolerance));
}

std::vector<StageWindow> stage_windows(const models::Stage& stage, double seconds) {
  const int64_t frames = frame_count(seconds, stage.frame_rate);
  const int64_t window = stage.window ? std::llround(*stage.window * stage.frame_rate) : frames;
  const int64_t overlap = std::llround(stage.overlap * stage.frame_rate);
  std::vector<StageWindow> windows;
  for (int64_t fresh = 0; fresh < frames;) {
    const int64_t first = windows.empty() ? 0 : fresh - overlap;
    const int64_t end = std::min(first + window, frames);
    windows.push_back({first, fresh, end});
    fresh = end;
  }
  return windows;
}

int64_t step_count(const models::Stage& stage, const StageWindow& window) {
  const int64_t frames = window.end - window.first;
  const int64_t known = window.fresh - window.first;
  if (stage.family == models::Family::frames) {
    return frames - known;
  }
  if (stage.family == models::Family::parallel) {
    const auto [least, most] = std::ranges::minmax(stage.delays);
    return frames - known + most - least;
  }
  return frames * stage.levels() - known * (stage.order == models::CodeOrder::frames ? stage.levels() : 1);
}

FrameSpan source_frames(const models::Stage& stage, const StageWindow& window, double source_rate) {
  const double from = static_cast<double>(window.first) / stage.frame_rate;
  const double to = static_cast<double>(window.end) / stage.frame_rate;
  return {static_cast<int64_t>(std::floor(from * source_rate + tolerance)), frame_count(to, source_rate)};
}

at::Tensor codes_by_frame(const models::Stage& stage, const StageWindow& window, const CodeSource& source) {
  if (source.frame_rate == 0) {
    return source.codes;
  }
  const at::Tensor frame = at::arange(window.first, window.end, whole_numbers(source.codes));
  const at::Tensor time = frame.to(at::kDouble) / stage.frame_rate;
  return source.codes.index_select(2, (time * source.frame_rate + tolerance).floor().to(at::kLong));
}

SequencePlan plan_sequence(const models::Stage& stage, const StageWindow& window,
                           const std::map<std::string, CodeSource>& sources, const at::Tensor& before,
                           bool unconditional) {
  SequencePlan plan = stage.family == models::Family::tokens
                          ? plan_tokens(stage, window, sources, before, unconditional)
                          : plan_levels(stage, window, sources, before);
  put_known(plan, before);
  plan.lead = lead_of(plan.known);
  return plan;
}

at::Tensor codes_in(const SequencePlan& plan, const at::Tensor& grid, int64_t from, int64_t to) {
  const at::Tensor rows = plan.row_of.narrow(1, from, to - from) + plan.given;
  const at::Tensor columns = plan.column_of.narrow(1, from, to - from);
  const at::Tensor cells = (rows * grid.size(2) + columns).reshape(-1);
  return grid.flatten(1).index_select(1, cells).view({grid.size(0), rows.size(0), to - from}) - plan.offsets;
}

}  // namespace brain2music::generation
