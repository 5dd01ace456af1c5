#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/util/Exception.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "brain2music/device/memory.h"
#include "brain2music/device/staging.h"
#include "catch.h"
#include "oracle.h"

namespace device = brain2music::device;

namespace {

using Blocks = std::vector<std::pair<int64_t, int64_t>>;

/// Blocks that were done where memory holds no more than `room` at once.
Blocks done(int64_t total, int64_t width, int64_t least, int64_t room) {
  Blocks blocks;
  device::in_blocks(total, width, least, [&](int64_t first, int64_t count) {
    TORCH_CHECK_WITH(OutOfMemoryError, count <= room, "no room for ", count);
    blocks.emplace_back(first, count);
  });
  return blocks;
}

}  // namespace

TEST_CASE("blocks are halved where memory does not suffice", "[device]") {
  CHECK(done(10, 4, 1, 100) == Blocks{{0, 4}, {4, 4}, {8, 2}});
  CHECK(done(10, 100, 1, 100) == Blocks{{0, 10}});
  CHECK(done(10, 100, 1, 3) == Blocks{{0, 2}, {2, 2}, {4, 2}, {6, 2}, {8, 2}});
  CHECK(done(9, 8, 3, 3) == Blocks{{0, 3}, {3, 3}, {6, 3}});
  CHECK(done(0, 8, 1, 3).empty());
  CHECK_THROWS_AS(done(9, 8, 4, 3), c10::OutOfMemoryError);
  const auto other = [](int64_t /*first*/, int64_t /*count*/) { throw std::runtime_error("something else"); };
  CHECK_THROWS_WITH(device::in_blocks(9, 8, 1, other), ContainsSubstring("something else"));
}

TEST_CASE("columns arrive whether they were begun or not", "[device][cuda]") {
  const at::Tensor x = at::arange(7 * 50, at::kDouble).view({7, 50});
  for (const at::Device there : devices()) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      device::StagedColumns columns(x, type, there);
      const auto is_right = [&](const at::Tensor& block, int64_t first, int64_t count) {
        return block.device().type() == there.type() && block.scalar_type() == type &&
               at::equal(block.cpu().to(at::kDouble), x.narrow(1, first, count));
      };
      CHECK(is_right(columns.take(3, 8), 3, 8));
      columns.begin(11, 20);
      CHECK(is_right(columns.take(11, 20), 11, 20));
      columns.begin(31, 5);
      CHECK(is_right(columns.take(31, 4), 31, 4));  // others than those begun
      columns.begin(35, 5);
      columns.begin(40, 10);
      CHECK(is_right(columns.take(40, 10), 40, 10));
      columns.begin(0, 0);
      columns.begin(1, 2);  // never taken
    }
  }
  device::StagedColumns there_already(x, at::kDouble, at::kCPU);
  CHECK(there_already.take(4, 3).data_ptr<double>() == x.data_ptr<double>() + 4);
}

TEST_CASE("free memory is known of a GPU alone", "[device][cuda]") {
  for (const at::Device there : devices()) {
    const auto free = device::free_memory(there);
    CHECK(free.has_value() == there.is_cuda());
    CHECK(free.value_or(1) > 0);
  }
}
