#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// A network that threw.
class ScriptError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A TorchScript module, frozen, on one device and in one type.
class Script {
 public:
  /// @param bytes   the file, whose hash has been checked.
  /// @param methods those that must be there; nothing else of the module is kept.
  /// @param device  where to.
  /// @param dtype   of its weights.
  /// @param named   how messages call it, e.g. "role 'codec' (codec.pt)".
  /// @throws std::runtime_error when the bytes are no module or lack a method, or a graph breaks check_graphs().
  Script(std::string_view bytes, const std::vector<std::string>& methods, at::Device device, at::ScalarType dtype,
         std::string named);
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  /// Calls a method of one tensor or more that returns one.
  /// @throws ScriptError when it throws; std::runtime_error when it returns something else.
  at::Tensor call(const char* method, const std::vector<at::Tensor>& arguments) const;

  /// Calls a method of texts that returns one tensor.
  at::Tensor call(const char* method, const std::vector<std::string>& texts) const;

  /// Calls a method twice on copies of one input, and compares what comes back: equal bytes on a CPU; on CUDA within
  /// 1e-5 of the largest value, or within the rounding of a narrower type.
  /// @return what the first call gave.
  /// @throws std::runtime_error when the answers differ, or the second call still changes what the module holds: then
  ///         a later answer may differ.
  at::Tensor call_twice(const char* method, const std::vector<at::Tensor>& arguments) const;

  /// Calls a method of texts twice, likewise.
  at::Tensor call_twice(const char* method, const std::vector<std::string>& texts) const;

  at::Device device() const { return device_; }

 private:
  template <class Arguments>
  at::Tensor run(const char* method, const Arguments& arguments) const;
  at::Tensor compared(const char* method, const std::function<at::Tensor()>& one_call) const;

  std::unique_ptr<torch::jit::Module> module_;
  at::Device device_;
  std::string named_;
};

}  // namespace brain2music::models
