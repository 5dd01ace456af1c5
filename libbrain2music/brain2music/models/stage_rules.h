#pragma once

#include <string>
#include <vector>

#include "brain2music/models/field_rules.h"

namespace brain2music::models {

/// Checks the list of stages against what the schema says.
void check_stages(const nlohmann::json& stages, const Place& place);

/// Checks what a schema cannot say of stages: that each fits itself, the stages before it, and the roles of the
/// manifest.
void check_stages_fit(const nlohmann::json& manifest, const Place& place);

/// The methods that a stage's network has.
/// @param family as the manifest names it, e.g. "frames".
std::vector<std::string> stage_methods(const std::string& family);

/// The numbers of a field that holds one number for all levels, or a list of one for each.
std::vector<int64_t> numbers_of_levels(const nlohmann::json& value, int64_t levels);

}  // namespace brain2music::models
