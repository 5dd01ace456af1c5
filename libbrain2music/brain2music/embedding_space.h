#pragma once

#include <string>

namespace brain2music {

/// Identity of a space of embeddings. Two vectors can be compared only if they lie in one space.
struct EmbeddingSpace {
  std::string role;   ///< role of the network that makes the embeddings, e.g. "music_embedder"
  std::string hash;   ///< SHA-256 of the network's file
  double window = 0;  ///< seconds that an embedding is made of
  double hop = 0;     ///< seconds from the start of a window to the start of the next

  /// True if role, hash, window and hop agree.
  bool operator==(const EmbeddingSpace&) const = default;
};

}  // namespace brain2music
