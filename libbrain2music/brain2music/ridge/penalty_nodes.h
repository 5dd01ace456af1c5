#pragma once

#include <cstdint>
#include <vector>

#include "brain2music/ridge/problem.h"

namespace brain2music::ridge {

/// Penalties to solve for, and how sums of the others are made of theirs.
///
/// Solutions of one system are sums of f(L) = 1 / (L + alpha) over its eigenvalues L, and what they predict is linear
/// in that; their squares are linear in f(L) f(L'), which is (f(L) - f(L')) / (L' - L). So weights by which f at some
/// penalties gives f at another give all its sums. Where the eigenvalues lie within a few orders of magnitude,
/// penalties below them tell of one another, and those among them do if there are many.
struct PenaltyNodes {
  std::vector<int64_t> nodes;                // numbers of penalties, the least first
  std::vector<int64_t> others;               // the remaining ones
  std::vector<std::vector<double>> weights;  // (others, nodes)

  /// Fills in the sums of the others, which lie on a CPU.
  void make_others(const HeldOutSums& sums) const;
};

/// As few nodes as leave f(L) f(L') exact to a share of `tolerance` of itself, for all L and penalties.
///
/// With poles -a_j at the nodes and points l_i, r(L) = product of (L - l_i) / (L + a_i), the weights by which f is
/// exact at all l_i leave over r(L) / r(-alpha) of it elsewhere. Points and poles are chosen in turn where r is worst:
/// Leja-Bagby points (Bagby 1969, Duke Mathematical Journal 36).
///
/// @param alphas    penalties.
/// @param numbers   which of them.
/// @param smallest  no larger than any eigenvalue with the least of these penalties added.
/// @param largest   no smaller than any of these.
/// @param tolerance of the relative error.
PenaltyNodes choose_nodes(const std::vector<double>& alphas, const std::vector<int64_t>& numbers, double smallest,
                          double largest, double tolerance);

}  // namespace brain2music::ridge
