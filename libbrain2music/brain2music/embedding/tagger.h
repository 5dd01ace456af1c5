#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "brain2music/embedding/embedder.h"
#include "brain2music/embedding/windows.h"
#include "brain2music/export.h"
#include "brain2music/models/bundle.h"

namespace brain2music::embedding {

/// A bundle's role "tagger": the probabilities of classes such as genres, instruments and moods.
class B2M_API Tagger {
 public:
  /// Loads the role's network.
  /// @param bundle where from.
  /// @param device where the network runs.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument when the bundle has no tagger; otherwise as Bundle::script() does.
  explicit Tagger(const models::Bundle& bundle, at::Device device = at::kCPU,
                  std::optional<at::ScalarType> dtype = std::nullopt);

  /// Tags clips: the mean of the probabilities over a clip's windows (clip_windows()).
  /// @param clips   music of any rate; clips may differ in length.
  /// @param options hop and batch.
  /// @return (n, classes) float32 on the CPU: clips, classes in the manifest's order.
  /// @throws std::invalid_argument naming the clip that is too short or not finite; std::runtime_error when the network
  ///         fails, or returns something else than probabilities.
  at::Tensor tag(const std::vector<Clip>& clips, const EmbedOptions& options = {}) const;

  /// What the manifest says of the role: `classes` and `groups` among it.
  const models::Role& role() const { return role_; }

 private:
  models::Role role_;
  std::shared_ptr<const models::Script> script_;
};

}  // namespace brain2music::embedding
