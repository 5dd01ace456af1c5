#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "brain2music/models/manifest.h"
#include "brain2music/models/script.h"

namespace brain2music::models {

/// Calls `embed` of a role on windows (B, samples) and checks what comes back; frames are averaged.
/// @return (B, d) float32 on the script's device.
/// @throws std::runtime_error when shape or type are not as the manifest says.
at::Tensor embed_windows(const Role& role, const Script& script, const at::Tensor& windows);

/// Calls `tag` of a role on windows (B, samples) and checks shape and type of what comes back.
/// @return (B, classes) float32 on the script's device.
/// @throws std::runtime_error when shape or type are not as the manifest says.
at::Tensor tag_windows(const Role& role, const Script& script, const at::Tensor& windows);

/// The same for texts: `embed`.
at::Tensor embed_texts(const Role& role, const Script& script, const std::vector<std::string>& texts);

/// The same for tokens of texts (B, T) int64 and which of them count: `embed_ids`.
at::Tensor embed_ids(const Role& role, const Script& script, const at::Tensor& ids, const at::Tensor& mask);

/// Checks a result of `method` for `batch` windows or texts as embed_windows() does.
at::Tensor checked_embedding(const Role& role, const at::Tensor& result, int64_t batch, const char* method);

/// Checks a result of `tag` for `batch` windows as tag_windows() does.
at::Tensor checked_tags(const Role& role, const at::Tensor& result, int64_t batch);

/// Whether all values lie between 0 and 1, but for rounding; NaN does not.
bool are_probabilities(const at::Tensor& tags);

}  // namespace brain2music::models
