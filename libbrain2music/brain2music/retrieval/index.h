#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "brain2music/export.h"
#include "brain2music/kernels/cosine_top_k.h"

namespace brain2music::retrieval {

/// A file that gave no vector, and why.
struct SkippedFile {
  std::string file;
  std::string reason;
};

/// Where the vectors of an index come from. Empty or zero where they do not come from audio files.
struct IndexSource {
  std::string bundle_hash;           ///< of the bundle that embedded the files
  std::string role;                  ///< of the network in it
  double window = 0;                 ///< seconds of a window
  double hop = 0;                    ///< seconds from window to window
  double seconds = 0;                ///< from the start of a file that were embedded
  std::vector<std::string> files;    ///< one for each item, relative to the library's folder
  std::vector<SkippedFile> skipped;  ///< in order
  std::string network_hash;          ///< SHA-256 of the network's file
};

/// A library of unit vectors to search by cosine, exactly: in memory, or mapped from a folder that save() wrote
/// (`index.json`, `vectors.npy`, `ids.tsv`). Copies share what they hold; threads may search one index at once.
class B2M_API Index {
 public:
  /// @param embeddings (n, d), any real type, on any device; any length but zero. Kept as float32 of length 1.
  /// @param ids        n ids, no two alike, without tab or line end.
  /// @param source     where they come from.
  /// @throws std::invalid_argument when shapes do not fit, an id is there twice, or a row, named, is zero or not
  /// finite.
  Index(const at::Tensor& embeddings, std::vector<std::string> ids, IndexSource source = {});

  /// Maps an index into memory: pages are read when they are touched.
  /// @param folder what save() wrote.
  /// @param verify also compares the SHA-256 of the files with those recorded, which reads all of them.
  /// @throws std::runtime_error naming the file and the field when something is missing or does not fit.
  static Index open(const std::filesystem::path& folder, bool verify = false);

  /// Writes the index into a folder that appears under its name once it is whole.
  /// @param folder must not be there yet.
  /// @throws std::runtime_error when it cannot be written.
  void save(const std::filesystem::path& folder) const;

  /// The items most similar to each embedding, as kernels::cosine_top_k: exact, equal scores by index.
  ///
  /// The first search on the CPU makes a sketch of half the vectors' size (and keeps it, up to 2 GiB), the first one on
  /// a CUDA device copies the vectors there.
  /// @param embedding (q, d), or (q, r, d), which is averaged over its r windows; any real type, on CPU or CUDA.
  /// @param k         from 1 to the number of items.
  /// @return scores and indices, each (q, k), on the embedding's device.
  /// @throws std::invalid_argument when shapes do not fit, a value, named, is not finite, or an average is zero.
  kernels::TopK search(const at::Tensor& embedding, int64_t k = 10) const;

  /// How many items there are.
  int64_t size() const;

  /// Length of an item's vector.
  int64_t dimension() const;

  /// (n, d) float32, each of length 1 but for rounding.
  const at::Tensor& vectors() const;

  /// The id of each item, in the order of vectors().
  const std::vector<std::string>& ids() const;

  /// Where the vectors come from.
  const IndexSource& source() const;

 private:
  struct State;
  explicit Index(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace brain2music::retrieval
