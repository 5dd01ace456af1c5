#include "brain2music/ridge/penalty_nodes.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace brain2music::ridge {
namespace {

// Of the eigenvalues between the smallest and the largest, as many are looked at: r changes slowly beside that.
constexpr int samples = 256;

/// r, at all eigenvalues looked at and at all penalties; all of them less the least penalty.
struct Remainder {
  std::vector<double> eigenvalues;
  std::vector<double> at_eigenvalues;
  std::vector<double> penalties;
  std::vector<double> at_penalties;  // infinite at a node
  std::vector<double> points;
  std::vector<std::size_t> nodes;

  void add(double point, std::size_t node) {
    const double pole = penalties[node];
    points.push_back(point);
    nodes.push_back(node);
    for (std::size_t i = 0; i < eigenvalues.size(); ++i) {
      at_eigenvalues[i] *= (eigenvalues[i] - point) / (eigenvalues[i] + pole);
    }
    for (std::size_t i = 0; i < penalties.size(); ++i) {
      at_penalties[i] = penalties[i] == pole ? std::numeric_limits<double>::infinity()
                                             : at_penalties[i] * (-penalties[i] - point) / (pole - penalties[i]);
    }
  }

  /// What the solution at a node counts for the one at a penalty: the residue there.
  double weight(std::size_t node, std::size_t penalty) const {
    const double pole = penalties[nodes[node]];
    if (std::ranges::find(nodes, penalties[penalty], [&](std::size_t i) { return penalties[i]; }) != nodes.end()) {
      return penalties[penalty] == pole ? 1 : 0;  // the same penalty as a node
    }
    if (std::isinf(at_penalties[penalty])) {
      return std::numeric_limits<double>::quiet_NaN();  // more than float64 can hold
    }
    double residue = -1;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      residue *= -pole - points[i];
      if (i != node) {
        residue /= penalties[nodes[i]] - pole;
      }
    }
    return residue / ((penalties[penalty] - pole) * at_penalties[penalty]);
  }
};

bool is_inf(double x) { return std::isinf(x); }

bool is_finite(double x) { return std::isfinite(x); }

bool less_in_size(double a, double b) { return std::abs(a) < std::abs(b); }

/// Share of f(L) f(L') that the weights for a penalty leave over at the worst: that of f, and how fast it changes.
double left_over(const Remainder& r, std::size_t penalty) {
  double most = 0;
  for (std::size_t i = 0; i + 1 < r.eigenvalues.size(); ++i) {
    const double change = (r.at_eigenvalues[i + 1] - r.at_eigenvalues[i]) / (r.eigenvalues[i + 1] - r.eigenvalues[i]);
    most = std::max(most,
                    std::abs(r.at_eigenvalues[i]) + std::abs(change) * (r.eigenvalues[i + 1] + r.penalties[penalty]));
  }
  return most / std::abs(r.at_penalties[penalty]);
}

}  // namespace

void PenaltyNodes::make_others(const HeldOutSums& sums) const {
  const int64_t targets = sums.predicted.size(1);
  for (const at::Tensor& sum : {sums.predicted, sums.product, sums.squares}) {
    auto* values = sum.mutable_data_ptr<double>();
    for (std::size_t other = 0; other < others.size(); ++other) {
      double* made = values + others[other] * targets;
      std::fill_n(made, targets, 0.0);
      for (std::size_t node = 0; node < nodes.size(); ++node) {
        const double* its = values + nodes[node] * targets;
        for (int64_t target = 0; target < targets; ++target) {
          made[target] += weights[other][node] * its[target];
        }
      }
    }
  }
}

PenaltyNodes choose_nodes(const std::vector<double>& alphas, const std::vector<int64_t>& numbers, double smallest,
                          double largest, double tolerance) {
  Remainder r;
  r.penalties.reserve(numbers.size());
  for (const int64_t number : numbers) {
    r.penalties.push_back(alphas[static_cast<std::size_t>(number)]);
  }
  const double least = std::ranges::min(r.penalties);
  for (double& penalty : r.penalties) {
    penalty -= least;
  }
  r.at_penalties.assign(numbers.size(), 1);
  for (int i = 0; i < samples; ++i) {
    r.eigenvalues.push_back(smallest * std::pow(largest / smallest, static_cast<double>(i) / (samples - 1)));
  }
  r.at_eigenvalues.assign(samples, 1);

  r.add(largest, static_cast<std::size_t>(std::ranges::min_element(r.penalties) - r.penalties.begin()));
  const auto unsolved = [&] { return !std::ranges::all_of(r.at_penalties, is_inf); };
  const auto worst = [&] {
    double most = 0;
    for (std::size_t penalty = 0; penalty < r.penalties.size(); ++penalty) {
      most = std::max(most, left_over(r, penalty));
    }
    return most;
  };
  while (unsolved() && !(worst() <= tolerance)) {
    const auto at_point = std::ranges::max_element(r.at_eigenvalues, less_in_size) - r.at_eigenvalues.begin();
    const auto at_node = std::ranges::min_element(r.at_penalties, less_in_size) - r.at_penalties.begin();
    r.add(r.eigenvalues[static_cast<std::size_t>(at_point)], static_cast<std::size_t>(at_node));
    if (!std::ranges::all_of(r.at_eigenvalues, is_finite)) {
      return {numbers, {}, {}};  // of so many orders of magnitude that float64 cannot hold r
    }
  }

  PenaltyNodes result;
  for (const std::size_t node : r.nodes) {
    result.nodes.push_back(numbers[node]);
  }
  for (std::size_t penalty = 0; penalty < numbers.size(); ++penalty) {
    if (std::ranges::find(r.nodes, penalty) != r.nodes.end()) {
      continue;
    }
    result.others.push_back(numbers[penalty]);
    std::vector<double>& weights = result.weights.emplace_back();
    for (std::size_t node = 0; node < r.nodes.size(); ++node) {
      weights.push_back(r.weight(node, penalty));
    }
    if (!std::ranges::all_of(weights, is_finite)) {
      return {numbers, {}, {}};
    }
  }
  return result;
}

}  // namespace brain2music::ridge
