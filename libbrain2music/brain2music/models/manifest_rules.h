#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace brain2music::models {

/// Checks a manifest against what python/brain2music/bundles/schema.json says, and then what a schema cannot say: that
/// names and numbers inside it fit each other.
/// @throws std::runtime_error naming role, field, what was expected and what was found.
void check_manifest(const nlohmann::json& manifest, const std::filesystem::path& file);

}  // namespace brain2music::models
