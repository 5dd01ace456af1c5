#pragma once

#include <cstdint>
#include <vector>

namespace brain2music::ridge {

/// Penalties to solve for, and how solutions of the others are made of theirs. Solutions are sums of 1 / (L + alpha)
/// over eigenvalues L of one matrix, whatever the penalty; where these eigenvalues lie within a few orders of
/// magnitude, few penalties tell of all.
struct PenaltyNodes {
  std::vector<int64_t> nodes;                // numbers of penalties, the least first
  std::vector<int64_t> others;               // the remaining ones
  std::vector<std::vector<double>> weights;  // (others, nodes)
};

/// As few nodes as leave 1 / (L + alpha) exact to a share of `tolerance` of itself, for all L and penalties.
///
/// With poles -a_j at the nodes and points l_i, r(L) = product of (L - l_i) / (L + a_i), the weights by which
/// 1 / (L + alpha) is exact at all l_i leave over a share of r(L) / r(-alpha). Points and poles are chosen in turn
/// where r is worst: Leja-Bagby points (Bagby 1969, Duke Mathematical Journal 36).
///
/// @param alphas    penalties.
/// @param numbers   which of them.
/// @param smallest  no larger than any eigenvalue with the least of these penalties added.
/// @param largest   no smaller than any of these.
/// @param tolerance of the relative error.
PenaltyNodes choose_nodes(const std::vector<double>& alphas, const std::vector<int64_t>& numbers, double smallest,
                          double largest, double tolerance);

}  // namespace brain2music::ridge
