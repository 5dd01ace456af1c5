#include "brain2music/generation/step_graph.h"

#include <utility>

#include "brain2music/kernels/with_cuda.h"

#if defined(B2M_WITH_CUDA)
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace brain2music::generation {

#if defined(B2M_WITH_CUDA)

struct StepGraph::Graph {
  Graph(const std::function<void()>& step, at::Device where, const std::vector<at::Tensor>& counters) : device(where) {
    constexpr int warm_ups = 3;
    const c10::cuda::CUDAGuard on_device(device);
    const c10::InferenceMode inference;  // the state's tensors are written in this mode alone
    const at::cuda::CUDAStream callers = at::cuda::getCurrentCUDAStream();
    const at::cuda::CUDAStream side = at::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
    at::cuda::CUDAEvent queued;
    queued.record(callers);
    queued.block(side);
    {
      const c10::cuda::CUDAStreamGuard aside(side);
      std::vector<at::Tensor> before;
      before.reserve(counters.size());
      for (const at::Tensor& counter : counters) {
        before.push_back(counter.clone());
      }
      for (int call = 0; call < warm_ups; ++call) {
        step();
      }
      for (std::size_t i = 0; i < counters.size(); ++i) {
        counters[i].copy_(before[i]);
      }
      side.synchronize();  // nothing of the warm-ups may be in flight, nor freed, while the graph is captured
      capture(step);
    }
    at::cuda::CUDAEvent done;
    done.record(side);
    done.block(callers);
  }

  void replay() {
    const c10::cuda::CUDAGuard on_device(device);
    graph.replay();
  }

  at::Device device;
  at::cuda::CUDAGraph graph;

 private:
  void capture(const std::function<void()>& step) {
    // Other threads may allocate and copy in the meantime.
    graph.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      step();
    } catch (...) {
      try {
        graph.capture_end();
      } catch (...) {  // NOLINT(bugprone-empty-catch): what the step threw says more
      }
      throw;
    }
    graph.capture_end();
  }
};

#else

struct StepGraph::Graph {
  void replay() {}
};

#endif

StepGraph::StepGraph(std::function<void()> step, [[maybe_unused]] at::Device device,
                     [[maybe_unused]] const std::vector<at::Tensor>& counters, [[maybe_unused]] bool capture)
    : step_(std::move(step)) {
#if defined(B2M_WITH_CUDA)
  if (capture && device.is_cuda()) {
    graph_ = std::make_unique<Graph>(step_, device, counters);
  }
#endif
}

StepGraph::~StepGraph() = default;

void StepGraph::operator()() const {
  if (graph_) {
    graph_->replay();
  } else {
    step_();
  }
}

}  // namespace brain2music::generation
