#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

/// From scans to the windows of an embedding, region by region: no copy of all voxels is made.
namespace brain2music::decoding {

/// How the scans of each clip are averaged into windows.
struct WindowPlan {
  at::Tensor present;  // (n, s) bool: scans that were measured; a missing one is NaN in all voxels
  at::Tensor weights;  // (n, r, s) float32: 1 / (scans present in the window), 0 for scans outside or missing
  at::Tensor covered;  // (n, r) bool: windows with a scan
};

/// @param responses (n, s, v) float32 or float64.
/// @param members   (r, s) bool: which scans fall in which window.
/// @param voxel     a voxel that tells which scans are missing.
/// @param where     signs errors.
WindowPlan plan_windows(const at::Tensor& responses, const at::Tensor& members, int64_t voxel, std::string_view where);

/// (n, r, voxels): window means of some voxels; 0 in windows without a scan.
/// @param responses (n, s, v) float32 or float64.
/// @param voxels    int64 indices, on the device of `responses`.
/// @param plan      of these responses.
/// @param where     signs errors.
/// @throws std::invalid_argument naming clip, scan and voxel where a scan is missing in some voxels only, or infinite.
at::Tensor window_means(const at::Tensor& responses, const at::Tensor& voxels, const WindowPlan& plan,
                        std::string_view where);

/// Throws, signed `where`, unless the shapes fit.
void check_responses(const at::Tensor& responses, const at::Tensor& members, std::string_view where);

}  // namespace brain2music::decoding
