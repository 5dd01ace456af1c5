#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <future>
#include <memory>

#include "brain2music/export.h"

namespace brain2music::device {

/// Blocks of the columns of a matrix, brought to a device and a type: one is copied there, through pinned memory and on
/// a stream of its own, while another is worked on.
class B2M_API StagedColumns {
 public:
  /// @param x      (rows, columns), on whatever device; a memory map is read as it is copied.
  /// @param type   that the blocks shall have.
  /// @param device where they shall lie.
  StagedColumns(at::Tensor x, at::ScalarType type, at::Device device);
  ~StagedColumns();
  StagedColumns(const StagedColumns&) = delete;
  StagedColumns& operator=(const StagedColumns&) = delete;
  StagedColumns(StagedColumns&&) = delete;
  StagedColumns& operator=(StagedColumns&&) = delete;

  /// Begins to copy columns [first, first + count), if there is anything to copy; take() waits for it.
  void begin(int64_t first, int64_t count);

  /// Columns [first, first + count): those begun, or copied now; a view where they lie there in that type already.
  at::Tensor take(int64_t first, int64_t count);

 private:
  struct Ahead {
    at::Tensor block;
    std::shared_ptr<c10::Event> copied;  // null where nothing was queued
  };

  Ahead copy(int64_t first, int64_t count) const;

  at::Tensor x_;
  at::ScalarType type_;
  at::Device device_;
  int64_t first_ = 0;
  int64_t count_ = 0;
  std::future<Ahead> ahead_;
};

}  // namespace brain2music::device
