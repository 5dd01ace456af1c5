#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brain2music/embedding/windows.h"
#include "brain2music/export.h"
#include "brain2music/models/bundle.h"

namespace brain2music::embedding {

/// How clips are embedded, or tagged.
struct EmbedOptions {
  double hop = 1.5;    ///< seconds from window to window; a scan in the study
  int64_t batch = 32;  ///< windows that the network is given at once: bounds memory, changes no result
  std::optional<double> window = std::nullopt;  ///< seconds, shorter than the role's own: repeated until they fill it
};

/// A bundle's role that turns music, or texts, into embeddings.
class B2M_API Embedder {
 public:
  /// Loads the role's network.
  /// @param bundle where from.
  /// @param role   one that declares `embed` or `embed_ids`, e.g. "music_embedder" or "codec".
  /// @param device where the network runs.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument when the role does not embed; otherwise as Bundle::script() does.
  Embedder(const models::Bundle& bundle, std::string_view role, at::Device device = at::kCPU,
           std::optional<at::ScalarType> dtype = std::nullopt);

  /// Embeds the windows of clips (clip_windows()); frames of a role that has a frame rate are averaged.
  /// @param clips   music of any rate; every clip must give as many windows as the first.
  /// @param options hop and batch.
  /// @return (n, r, d) float32 on the CPU: clips, windows, dimensions.
  /// @throws std::invalid_argument naming the clip that is too short, of another number of windows or not finite, or
  ///         when the role is one of texts; std::runtime_error when the network fails.
  at::Tensor embed(const std::vector<Clip>& clips, const EmbedOptions& options = {}) const;

  /// Embeds texts, through `embed`.
  /// @param texts UTF-8.
  /// @param batch texts that the network is given at once.
  /// @return (n, d) float32 on the CPU.
  /// @throws std::invalid_argument when the role does not take texts; std::runtime_error when the network fails.
  at::Tensor embed_texts(const std::vector<std::string>& texts, int64_t batch = EmbedOptions{}.batch) const;

  /// Embeds texts that the role's tokenizer has made numbers of, through `embed_ids`.
  /// @param ids  (n, T) int64.
  /// @param mask (n, T) int64: 1 where a token counts, 0 where it pads.
  /// @return (n, d) float32 on the CPU.
  /// @throws std::invalid_argument when the role does not take tokens or shapes differ; std::runtime_error when the
  ///         network fails.
  at::Tensor embed_ids(const at::Tensor& ids, const at::Tensor& mask) const;

  /// What the manifest says of the role.
  const models::Role& role() const { return role_; }

 private:
  models::Role role_;
  std::shared_ptr<const models::Script> script_;
};

}  // namespace brain2music::embedding
