#pragma once

#include "brain2music/models/manifest.h"
#include "brain2music/models/script.h"
#include "brain2music/models/tokenizer_rules.h"

namespace brain2music::models {

/// Calls every method that a role declares, twice on one tiny input: it must return what the manifest says, all finite,
/// and the same both times. Left out are `generate` and the methods of stages, whose inputs the manifest does not
/// describe in full.
/// `tokens` are those of the tokenizer of the role, and are read for `embed_ids` alone.
/// @throws std::runtime_error naming the role, the method, what was expected and what was found.
void check_calls(const Role& role, const Script& script, const Tokens& tokens);

}  // namespace brain2music::models
