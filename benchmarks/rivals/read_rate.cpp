// Reads memory in turns, nothing else: ``read_rate BYTES TURNS THREADS`` says "ready", and for each line on its input
// reads BYTES bytes TURNS times by THREADS threads and says "done". Nothing is computed but an OR, without which a
// compiler would not read at all.
#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

namespace {

uint64_t read(const char* from, int64_t bytes) {
  constexpr int64_t at_once = 256;
  __m256i seen[8] = {};
  for (int64_t i = 0; i + at_once <= bytes; i += at_once) {
    for (int j = 0; j < 8; ++j) {
      seen[j] = _mm256_or_si256(seen[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i + 32 * j)));
    }
  }
  for (int j = 1; j < 8; ++j) {
    seen[0] = _mm256_or_si256(seen[0], seen[j]);
  }
  return static_cast<uint64_t>(_mm256_extract_epi64(seen[0], 0));
}

}  // namespace

int main(int /*count*/, char** arguments) {
  constexpr int64_t page = int64_t{1} << 21;
  const int64_t bytes = std::max<int64_t>(1, std::atoll(arguments[1]) / page) * page;
  const int turns = std::atoi(arguments[2]);
  const int threads = std::atoi(arguments[3]);
  auto* const memory = static_cast<char*>(std::aligned_alloc(page, bytes));
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 1, bytes);
  uint64_t sum = 0;
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    for (int turn = 0; turn < turns; ++turn) {
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : sum)
      for (int64_t first = 0; first < bytes; first += page) {
        sum |= read(memory + first, page);
      }
    }
    std::cout << (sum == 0 ? "nothing" : "done") << std::endl;
  }
}
