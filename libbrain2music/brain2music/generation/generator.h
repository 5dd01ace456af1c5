#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "brain2music/export.h"
#include "brain2music/generation/options.h"
#include "brain2music/generation/stream.h"
#include "brain2music/models/bundle.h"

namespace brain2music::generation {

/// Turns embeddings into music: conditioner, stages and codec of a bundle, as its manifest lays them out.
class B2M_API MusicGenerator {
 public:
  /// Loads the bundle's stages, codec and, where a stage reads it, conditioner.
  /// @param bundle where from.
  /// @param device where the networks run.
  /// @param dtype  of the stages' weights; each stage's first when it is not given. Conditioner and codec run in the
  ///               first type that the manifest declares for them.
  /// @throws std::invalid_argument when the bundle has no stages, or they do not make the codec's codes; otherwise as
  ///         Bundle::script() does.
  explicit MusicGenerator(const models::Bundle& bundle, at::Device device = at::kCPU,
                          std::optional<at::ScalarType> dtype = std::nullopt);

  /// Makes music.
  ///
  /// The random numbers of a sample depend on the seed, the sample's number, the stage and the position alone, so a
  /// sample is the same alone and beside others (on a CPU in float32).
  /// @param embeddings (q, d), or a style track (q, r, d) whose windows start every `hop` seconds; float32 or float64.
  /// @param options    length, samples, sampling.
  /// @return music of exactly `seconds`.
  /// @throws std::invalid_argument on other shapes, values that are not finite or all zero, options out of range, and
  ///         networks' states larger than memory; std::runtime_error when a network fails.
  Music generate(const at::Tensor& embeddings, const GenerationOptions& options = {}) const;

  /// Makes the music of generate() block by block.
  /// @param embeddings as generate() takes them.
  /// @param block      seconds of a block, at least.
  /// @param options    as generate() takes them.
  /// @throws std::invalid_argument as generate() does, and when the codec's manifest tells no context.
  MusicStream stream(const at::Tensor& embeddings, double block, const GenerationOptions& options = {}) const;

  /// Refuses embeddings of another space.
  /// @param hash SHA-256 of the network that made the embeddings, or that a decoder was trained on.
  /// @throws std::invalid_argument when the bundle's manifest does not name that network.
  void check_space(std::string_view hash) const;

  /// Samples a second of the music.
  int64_t rate() const;

  /// Dimensions of an embedding.
  int64_t dimension() const;

 private:
  friend class MusicStream;
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace brain2music::generation
