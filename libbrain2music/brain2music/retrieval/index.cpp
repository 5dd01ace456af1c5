#include "brain2music/retrieval/index.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/nonzero.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/retrieval/index_files.h"

namespace brain2music::retrieval {
namespace {

constexpr auto making = "retrieval.Index";
constexpr auto searching = "retrieval.Index.search";
constexpr int64_t largest_sketch = int64_t{2} << 30;  // bytes that are kept in memory

bool is_real_number(at::ScalarType type) {
  return at::isFloatingType(type) || at::isIntegralType(type, /*includeBool=*/false);
}

/// float32, every value finite; `axes` are the words for what its dimensions count.
at::Tensor finite_floats(const at::Tensor& x, std::string_view where, at::ArrayRef<std::string_view> axes) {
  require(is_real_number(x.scalar_type()), where, "embeddings must be real numbers; got ", x.scalar_type());
  at::Tensor floats = x.to(at::kFloat);
  const at::Tensor finite = at::isfinite(floats);
  if (!finite.all().item<bool>()) {
    const at::Tensor first = at::nonzero(finite.logical_not())[0].cpu();
    std::string place;
    at::Tensor value = x;
    for (int64_t axis = 0; axis < x.dim(); ++axis) {
      const auto i = first[axis].item<int64_t>();
      place.append(axis > 0 ? ", " : "").append(axes[axis]).append(" ").append(std::to_string(i));
      value = value[i];
    }
    require(false, where, "embeddings must be finite in float32; got ", value.item<double>(), " at ", place);
  }
  return floats;
}

void check_ids(const std::vector<std::string>& ids, const IndexSource& source, int64_t rows) {
  require(std::ssize(ids) == rows, making, "there must be an id for each of ", rows, " embeddings; got ", ids.size());
  require(source.files.empty() || source.files.size() == ids.size(), making, "there must be a file for each of ",
          ids.size(), " ids, or none at all; got ", source.files.size());
  std::unordered_set<std::string_view> seen;
  for (const std::string& id : ids) {
    require(is_tabular(id), making, "an id must be text in UTF-8 without tab or line end; got '", id, "'");
    require(seen.insert(id).second, making, "no two ids may be alike; got '", id, "' twice");
  }
  for (const std::string& file : source.files) {
    require(is_tabular(file), making, "a file must be text in UTF-8 without tab or line end; got '", file, "'");
  }
  for (const SkippedFile& skipped : source.skipped) {
    require(is_utf8(skipped.file) && is_utf8(skipped.reason), making,
            "skipped files and reasons must be UTF-8; got other bytes for '", skipped.file, "'");
  }
}

at::Tensor unit_rows(const at::Tensor& embeddings) {
  require(embeddings.dim() == 2 && embeddings.size(0) > 0 && embeddings.size(1) > 0, making,
          "embeddings must have two dimensions (items, dimensions) and an item or more; got shape ",
          embeddings.sizes());
  const at::Tensor x = finite_floats(embeddings.detach().cpu(), making, {"item", "dimension"});
  const at::Tensor norms = at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true, at::kDouble);
  if (const at::Tensor zero = at::nonzero(norms.view(-1) == 0); zero.size(0) > 0) {
    require(false, making, "every embedding must have a direction; got zeros only at item ",
            zero[0][0].item<int64_t>());
  }
  return x.to(at::kDouble).div_(norms).to(at::kFloat).contiguous();
}

}  // namespace

struct Index::State {
  IndexContents contents;

  std::mutex lock;
  std::optional<at::Tensor> sketch;
  std::map<std::string, at::Tensor> vectors_on;  // CUDA devices, by name

  std::optional<at::Tensor> kept_sketch() {
    const auto& vectors = contents.vectors;
    if (vectors.numel() * static_cast<int64_t>(sizeof(int16_t)) > largest_sketch) {
      return std::nullopt;
    }
    const std::scoped_lock guard(lock);
    if (!sketch) {
      sketch = kernels::cosine_sketch(vectors);
    }
    return sketch;
  }

  at::Tensor copied_to(at::Device device) {
    const std::scoped_lock guard(lock);
    at::Tensor& copy = vectors_on[device.str()];
    if (!copy.defined()) {
      copy = contents.vectors.to(device);
    }
    return copy;
  }
};

Index::Index(std::shared_ptr<State> state) : state_(std::move(state)) {}

Index::Index(const at::Tensor& embeddings, std::vector<std::string> ids, IndexSource source)
    : state_(std::make_shared<State>()) {
  at::Tensor vectors = unit_rows(embeddings);
  check_ids(ids, source, vectors.size(0));
  state_->contents = {std::move(vectors), std::move(ids), std::move(source)};
}

Index Index::open(const std::filesystem::path& folder, bool verify) {
  auto state = std::make_shared<State>();
  state->contents = read_index(folder, verify);
  return Index(std::move(state));
}

void Index::save(const std::filesystem::path& folder) const { write_index(folder, state_->contents); }

kernels::TopK Index::search(const at::Tensor& embedding, int64_t k) const {
  require((embedding.dim() == 2 || embedding.dim() == 3) && embedding.size(-1) == dimension(), searching,
          "embedding must be (queries, ", dimension(), ") or (queries, windows, ", dimension(), "); got shape ",
          embedding.sizes());
  require(embedding.dim() == 2 || embedding.size(1) > 0, searching, "an embedding needs a window or more; got shape ",
          embedding.sizes());
  require(k >= 1 && k <= size(), searching, "k must lie between 1 and the number of items, ", size(), "; got ", k);
  at::Tensor queries = embedding.detach();
  if (queries.dim() == 3) {
    (void)finite_floats(queries, searching, {"query", "window", "dimension"});
    queries = at::mean(queries, at::IntArrayRef{1}, /*keepdim=*/false, at::kDouble);
  }
  queries = finite_floats(queries, searching, {"query", "dimension"});
  if (queries.device().is_cpu()) {
    return kernels::cosine_top_k(queries, vectors(), k, state_->kept_sketch());
  }
  return kernels::cosine_top_k(queries, state_->copied_to(queries.device()), k);
}

int64_t Index::size() const { return vectors().size(0); }

int64_t Index::dimension() const { return vectors().size(1); }

const at::Tensor& Index::vectors() const { return state_->contents.vectors; }

const std::vector<std::string>& Index::ids() const { return state_->contents.ids; }

const IndexSource& Index::source() const { return state_->contents.source; }

}  // namespace brain2music::retrieval
