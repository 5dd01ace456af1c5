#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::generation {

/// A step that is called many times. On CUDA it is captured as a graph once, and then replayed: the host then launches
/// one thing a step in place of some hundred. On a CPU, and in a build without CUDA, it is called.
class B2M_API StepGraph {
 public:
  /// Captures the step after three calls that warm up allocator, libraries and TorchScript.
  /// @param step     reads and writes tensors that stay where they are: no value of theirs reaches the host, and their
  ///                 shapes never change. It throws in the constructor, or never.
  /// @param device   where it works.
  /// @param counters tensors that a step advances or accumulates into, e.g. the position: the calls before the first
  ///                 operator() do not change them. What a step merely overwrites need not be named.
  /// @param capture  false for a step that a graph cannot hold (models::StageFacts::capturable).
  /// @throws what `step` throws; c10::Error when it cannot be captured.
  StepGraph(std::function<void()> step, at::Device device, const std::vector<at::Tensor>& counters,
            bool capture = true);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  /// One step, on the current stream.
  void operator()() const;

  /// True if steps are replayed.
  bool captured() const { return graph_ != nullptr; }

 private:
  struct Graph;
  std::function<void()> step_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace brain2music::generation
