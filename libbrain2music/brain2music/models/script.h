#pragma once

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "brain2music/export.h"

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// A network that threw.
class ScriptError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a stage remembers of a sequence: tensors that `extend` writes into. Copies of the list are the same list.
using StageState = c10::List<at::Tensor>;

/// Whose operations a network calls.
enum class Operations : std::uint8_t {
  libtorch,  ///< LibTorch's, in one type: a row's rounding may depend on the number of rows
  own,       ///< on a CPU the library's (models/stage_graphs.h): `dtype` is that of the weights of products, in packed
             ///< form, and all else is float32; products sum in one order for any number of rows
};

/// A TorchScript module, frozen, on one device and in one type.
class B2M_API Script {
 public:
  /// @param bytes   the file, whose hash has been checked.
  /// @param methods those that must be there; nothing else of the module is kept.
  /// @param device  where to.
  /// @param dtype   of its weights; int8 only for own operations on a CPU.
  /// @param named   how messages call it, e.g. "role 'codec' (codec.pt)".
  /// @param operations whose it calls.
  /// @throws std::runtime_error when the bytes are no module or lack a method, or a graph breaks check_graphs().
  Script(std::string_view bytes, const std::vector<std::string>& methods, at::Device device, at::ScalarType dtype,
         std::string named, Operations operations = Operations::libtorch);
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

  /// Calls `init_state` of a stage.
  /// @param batch     sequences.
  /// @param length    positions of a sequence, at most.
  /// @param condition (batch, ...), or none.
  /// @return copies of the tensors that the network returns: a frozen network may return one tensor twice, where it
  ///         depends on constants alone.
  /// @throws ScriptError when it throws; std::runtime_error when it returns no list of tensors.
  StageState init_state(int64_t batch, int64_t length, const std::optional<at::Tensor>& condition) const;

  /// Calls `extend` of a stage, without torch's profiling executor: neither it nor a fuser changes what a CUDA graph
  /// captures.
  /// @param tokens   (batch, T) or (batch, levels, T) int64.
  /// @param position of the first of the T tokens, 0-dimensional int64 on the network's device.
  /// @param state    of these sequences; the network writes into its tensors, or replaces them in the list.
  /// @return the logits.
  /// @throws ScriptError when it throws; std::runtime_error when it returns something else than a tensor.
  at::Tensor extend(const at::Tensor& tokens, const at::Tensor& position, const StageState& state) const;

  /// Calls `source` of a stage of the family frames, as extend() calls its method: the network takes the codes of its
  /// channels, for this frame and all that follow until the next call.
  /// @param codes    (batch, channels) int64; -1 where a channel is masked.
  /// @param position the frame, 0-dimensional int64 on the network's device.
  /// @param state    of these sequences.
  /// @throws ScriptError when it throws; std::runtime_error when it returns a value.
  void source(const at::Tensor& codes, const at::Tensor& position, const StageState& state) const;

  /// Calls `temporal` of a stage of the family frames, as extend() calls its method.
  /// @param previous (batch, levels) int64: the codes of the frame before.
  /// @param position the frame, 0-dimensional int64 on the network's device.
  /// @param state    of these sequences.
  /// @return (batch, d): what depth_first() takes.
  /// @throws ScriptError when it throws; std::runtime_error when it returns something else than a tensor.
  at::Tensor temporal(const at::Tensor& previous, const at::Tensor& position, const StageState& state) const;

  /// Calls `depth_first` of a stage of the family frames, as extend() calls its method.
  /// @param h     (batch, d), from temporal().
  /// @param state of these sequences.
  /// @return the logits of level 0.
  /// @throws as temporal() does.
  at::Tensor depth_first(const at::Tensor& h, const StageState& state) const;

  /// Calls `depth_next` of a stage of the family frames, as extend() calls its method.
  /// @param code  (batch,) int64: the codes of the level before.
  /// @param level from 1 on.
  /// @param state of these sequences.
  /// @return the logits of the level.
  /// @throws as temporal() does.
  at::Tensor depth_next(const at::Tensor& code, int64_t level, const StageState& state) const;

  /// What of the module's own tensors and numbers `calls` changes.
  /// @return the name of the first, e.g. "encoder.cache"; empty where nothing is changed.
  std::string changed_by(const std::function<void()>& calls) const;

  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

  /// The type of activations and state: on a CPU float32 for own operations, whatever the weights' type.
  at::ScalarType working_dtype() const { return working_dtype_; }

  /// Products that are LibTorch's though own operations were asked for, since their weights are no constants.
  const std::vector<std::string>& unpacked() const { return unpacked_; }

 private:
  c10::IValue result(const char* method, std::vector<c10::IValue> arguments) const;
  at::Tensor run(const char* method, std::vector<c10::IValue> arguments) const;
  at::Tensor compared(const char* method, const std::function<at::Tensor()>& one_call) const;

  std::unique_ptr<torch::jit::Module> module_;
  at::Device device_;
  at::ScalarType dtype_;
  at::ScalarType working_dtype_;
  bool own_ = false;  // whether it calls the library's operations
  std::vector<std::string> unpacked_;
  std::string named_;
};

}  // namespace brain2music::models
