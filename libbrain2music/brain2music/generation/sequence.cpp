#include "brain2music/generation/sequence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "brain2music/check.h"

namespace brain2music::generation {
namespace {

constexpr auto where = "generation.MusicGenerator";
constexpr int64_t most_at_once = 256;    // positions: bounds the logits of what is known
constexpr int64_t looked_at_every = 64;  // steps on a GPU between two looks at what was drawn

at::Tensor scalar(int64_t value, const at::Tensor& beside) { return at::full({}, value, beside.options()); }

}  // namespace

/// A grid with the network's state: one for both halves of guidance where they are of one length, else two.
struct Sequence::Pass {
  at::Tensor grid;      // (batch of the pass, given + rows, T)
  at::Tensor position;  // () int64, of the column that is fed next
  models::StageState state;
  bool tokens;  // the grid's one row is fed as (B, T)

  at::Tensor feed(const models::Script& script, const at::Tensor& columns) const {
    return script.extend(tokens ? columns.select(1, 0) : columns, position, state);
  }
};

Sequence::Sequence(LoadedStage stage, SequenceStart start, std::optional<SequenceStart> other, Draw draw)
    : stage_(std::move(stage)),
      plan_(std::move(start.plan)),
      draw_(std::move(draw)),
      batch_(plan_.grid.size(0)),
      rows_(plan_.known.size(0)),
      length_(plan_.grid.size(2)),
      next_(plan_.lead),
      counter_(scalar(draw_.first_step + plan_.lead, plan_.grid)),
      failed_(at::zeros({}, plan_.grid.options().dtype(at::kBool))) {
  const auto add = [&](const at::Tensor& grid, const std::optional<at::Tensor>& condition) {
    passes_.push_back(std::make_unique<Pass>(
        Pass{grid, scalar(0, grid), stage_.script->init_state(grid.size(0), grid.size(2), condition), plan_.tokens}));
  };
  if (other && other->plan.grid.size(2) == length_) {
    std::optional<at::Tensor> condition = start.condition;
    if (condition && other->condition) {
      condition = at::cat({*condition, *other->condition});
    }
    add(at::cat({plan_.grid, other->plan.grid}), condition);
  } else {
    add(plan_.grid, start.condition);
    if (other) {
      add(other->plan.grid, other->condition);
    }
  }
  feed_known();
  const at::Tensor last = std::get<0>(plan_.column_of.max(0)).to(at::kCPU);
  last_.assign(last.const_data_ptr<int64_t>(), last.const_data_ptr<int64_t>() + last.numel());
  for (std::size_t frame = 1; frame < last_.size(); ++frame) {
    last_[frame] = std::max(last_[frame], last_[frame - 1]);
  }
}

/// All that is known but its last position, whose logits the first step needs.
void Sequence::feed_known() {
  for (const auto& pass : passes_) {
    const int64_t known = pass->grid.size(2) - length_ + plan_.lead - 1;
    for (int64_t from = 0; from < known; from += most_at_once) {
      const int64_t count = std::min(most_at_once, known - from);
      (void)pass->feed(*stage_.script, pass->grid.narrow(2, from, count));
      pass->position.add_(count);
    }
  }
}

Sequence::~Sequence() = default;

int64_t Sequence::frames_ready() const { return std::ranges::lower_bound(last_, next_) - last_.begin(); }

void Sequence::step() {
  if (plan_.grid.is_cpu()) {
    write_on_host();
  } else {
    if (!graph_) {
      // The calls that warm a graph up write into the state: it is put back with what they advance.
      std::vector<at::Tensor> changed{counter_, failed_};
      for (const auto& pass : passes_) {
        const std::vector<at::Tensor> state = pass->state.vec();
        changed.push_back(pass->position);
        changed.insert(changed.end(), state.begin(), state.end());
      }
      graph_ =
          std::make_unique<StepGraph>([this] { write_on_device(); }, plan_.grid.device(), changed, stage_.capturable);
    }
    (*graph_)();
  }
  ++next_;
  if (!plan_.grid.is_cpu() && (next_ % looked_at_every == 0 || done()) && failed_.item<bool>()) {
    failed();
  }
}

/// Draws the own cells of the next position.
/// @param fed    the columns (batch of the pass, given + rows, 1) that the passes' networks are given
/// @param ranges (1, rows, 2) of the next position
/// @return (B, rows, 1) ids, -1 where none could be drawn
at::Tensor Sequence::drawn(const std::vector<at::Tensor>& fed, const at::Tensor& ranges) {
  at::Tensor logits;  // (B, rows, V)
  at::Tensor unconditional;
  for (std::size_t i = 0; i < passes_.size(); ++i) {
    at::Tensor all = passes_[i]->feed(*stage_.script, fed[i]);
    all = all.reshape({all.size(0), rows_, all.size(-1)}).to(at::kFloat);
    if (i > 0) {
      unconditional = all;
    } else if (all.size(0) > batch_) {
      logits = all.narrow(0, 0, batch_);
      unconditional = all.narrow(0, batch_, batch_);
    } else {
      logits = all;
    }
    passes_[i]->position.add_(1);
  }
  if (unconditional.defined()) {
    logits = unconditional + draw_.guidance * (logits - unconditional);
  }
  const int64_t cells = batch_ * rows_;
  at::Tensor ids =
      kernels::sample_tokens(logits.reshape({cells, -1}), ranges.expand({batch_, rows_, 2}).reshape({cells, 2}),
                             draw_.streams, counter_, draw_.seed, draw_.options);
  counter_.add_(1);
  return ids.view({batch_, rows_, 1});
}

/// Every operation takes its position from the device, so that a CUDA graph can repeat it.
void Sequence::write_on_device() {
  std::vector<at::Tensor> fed;
  fed.reserve(passes_.size());
  for (const auto& pass : passes_) {
    fed.push_back(pass->grid.index_select(2, pass->position.view(1)));
  }
  const at::Tensor column = passes_.front()->position.view(1) + 1;
  const at::Tensor ids = drawn(fed, plan_.ranges.index_select(0, column));
  const at::Tensor known = plan_.known.index_select(1, column);
  failed_.logical_or_(at::logical_and(ids.lt(0), known.logical_not()).any());
  const at::Tensor own = passes_.front()->grid.narrow(1, plan_.given, rows_).narrow(0, 0, batch_);
  const at::Tensor cells = at::where(known, own.index_select(2, column), ids.clamp_min(0));
  for (const auto& pass : passes_) {
    const int64_t halves = pass->grid.size(0) / batch_;
    pass->grid.narrow(1, plan_.given, rows_)
        .index_copy_(2, pass->position.view(1), halves == 1 ? cells : at::cat({cells, cells}));
  }
}

/// Does what write_on_device() does with positions that the host knows: some ten operations fewer.
void Sequence::write_on_host() {
  std::vector<at::Tensor> fed;
  fed.reserve(passes_.size());
  for (const auto& pass : passes_) {
    fed.push_back(pass->grid.narrow(2, pass->grid.size(2) - length_ + next_ - 1, 1));
  }
  const at::Tensor ids = drawn(fed, plan_.ranges.narrow(0, next_, 1));
  const auto id = ids.accessor<int64_t, 3>();
  const auto known = plan_.known.accessor<bool, 2>();
  for (const auto& pass : passes_) {
    auto grid = pass->grid.accessor<int64_t, 3>();
    const int64_t column = pass->grid.size(2) - length_ + next_;
    for (int64_t i = 0; i < pass->grid.size(0); ++i) {
      for (int64_t row = 0; row < rows_; ++row) {
        if (!known[row][next_]) {
          const int64_t drawn_id = id[i % batch_][row][0];
          if (drawn_id < 0) {
            failed();
          }
          grid[i][plan_.given + row][column] = drawn_id;
        }
      }
    }
  }
}

void Sequence::failed() const {
  fail(where, "stage '", stage_.about->name, "' must give a finite logit for a code that may be drawn; got none at ",
       "position ", next_, plan_.grid.is_cpu() ? "" : " or shortly before",
       ": its weights or the embedding are out of range");
}

at::Tensor Sequence::codes(int64_t from, int64_t to) const {
  return codes_in(plan_, passes_.front()->grid.narrow(0, 0, batch_), from, to);
}

}  // namespace brain2music::generation
