#pragma once

#include <cstring>

/// Vectors of so many numbers, for files that are compiled once for each instruction set: all of it has internal
/// linkage, so that no file uses what was compiled for another.
namespace brain2music::linalg {
namespace {  // NOLINT(cert-dcl59-cpp,misc-anonymous-namespace-in-header): that is the point

template <class Number, int count>
struct VectorOf {
  // NOLINTNEXTLINE(modernize-use-using): an alias cannot carry the attribute where its size is a parameter
  typedef Number Type __attribute__((vector_size(count * sizeof(Number))));
};
template <class Number, int count>
using Vector = typename VectorOf<Number, count>::Type;  // NOLINT(readability-redundant-typename): not before Clang 16

template <class Loaded>
[[gnu::always_inline]] inline Loaded load(const void* from) {
  Loaded values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

template <class Stored>
[[gnu::always_inline]] inline void store(void* to, const Stored& values) {
  std::memcpy(to, &values, sizeof values);
}

/// A number that is a template's argument.
template <int count>
struct Count {};

}  // namespace
}  // namespace brain2music::linalg
