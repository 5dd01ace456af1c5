#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::models {

/// Where a network comes from, and what it stands in for.
struct ModelCard {
  std::string name;
  std::string source;
  std::string licence;
  std::string replaces;
  std::string notes;  ///< may be empty
};

/// A file of a bundle and what it must hash to.
struct BundleFile {
  std::string name;
  std::string sha256;  ///< hexadecimal
};

/// What a bundle's manifest says of one role. Fields that a role does not have are empty.
struct Role {
  std::string name;  ///< e.g. "music_embedder"
  BundleFile file;   ///< the TorchScript module
  std::vector<std::string> methods;
  std::vector<at::ScalarType> dtypes;  ///< that the weights may be cast to, the default first
  ModelCard card;
  std::optional<int64_t> sample_rate;   ///< Hz
  std::optional<double> frame_rate;     ///< frames a second; where given, `embed` gives frames to be averaged
  std::optional<double> window;         ///< seconds of music that an embedding is made of
  std::optional<int64_t> dimension;     ///< of an embedding
  std::optional<int64_t> max_length;    ///< tokens of a text or a sequence, at most
  std::optional<BundleFile> tokenizer;  ///< of a text embedder
  std::optional<int64_t> levels;        ///< of codes, one beside another in a frame
  std::optional<int64_t> vocabulary;    ///< codes of a level
  std::optional<int64_t> classes;       ///< of a tagger: how many

  /// Whether the network has a method of that name, e.g. "embed".
  B2M_API bool has(std::string_view method) const;
};

/// What `bundle.json` says, once it keeps to the schema (python/brain2music/bundles/schema.json).
struct Manifest {
  std::string name;
  std::string description;
  std::vector<Role> roles;  ///< by name
  std::string text;         ///< the file as it is
};

/// The name of a type in the manifest.
/// @param dtype of a network's weights.
/// @return "float32", "bfloat16" or "float16"; c10::toString(dtype) for a type that no manifest names.
B2M_API std::string dtype_name(at::ScalarType dtype);

/// Reads `bundle.json`.
/// @param file where it lies.
/// @return what it says; files that it names are not looked at.
/// @throws std::runtime_error naming role, field, what was expected and what was found.
B2M_API Manifest read_manifest(const std::filesystem::path& file);

}  // namespace brain2music::models
