#pragma once

#include <c10/core/Device.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::device {

/// Bytes that are free on a GPU; nothing for a CPU, whose memory is shared with whatever else runs.
/// @param device where.
/// @return bytes, what this process keeps for reuse included.
B2M_API std::optional<int64_t> free_memory(const c10::Device& device);

/// Bytes that a program can still ask for: on a GPU free_memory(), on a CPU what the system says, if it says so.
/// @param device where.
B2M_API std::optional<int64_t> available_memory(const c10::Device& device);

/// Calls work(first, count) for neighbouring blocks of [0, total). A block for which memory does not suffice
/// (c10::OutOfMemoryError) is done again in halves, and so are those after it.
/// @param total what the blocks cover.
/// @param width size of a block to begin with.
/// @param least blocks of this size are not halved: their error is the caller's.
/// @param work  may be called again for what it had begun.
B2M_API void in_blocks(int64_t total, int64_t width, int64_t least, c10::function_ref<void(int64_t, int64_t)> work);

}  // namespace brain2music::device
