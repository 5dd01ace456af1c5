#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "brain2music/export.h"
#include "brain2music/models/bundle.h"

namespace brain2music::generation {

/// A bundle's codec: sound to codes, and codes to sound.
class B2M_API Codec {
 public:
  /// Loads the role "codec".
  /// @param bundle where from.
  /// @param device where the network runs.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument when the bundle lacks a codec that encodes or decodes; otherwise as Bundle::script()
  ///         does.
  explicit Codec(const models::Bundle& bundle, at::Device device = at::kCPU,
                 std::optional<at::ScalarType> dtype = std::nullopt);

  /// Encodes sound. Channels are averaged for a codec of one channel, and one channel is doubled for a codec of two;
  /// sound of another rate is resampled.
  /// @param waveforms (B, channels, samples) of a floating type, one or two channels; full scale is 1.
  /// @param rate      samples a second.
  /// @return (B, levels, frames) int64 on the device.
  /// @throws std::invalid_argument on other shapes, values that are not finite, or a codec that does not encode.
  at::Tensor encode(const at::Tensor& waveforms, int64_t rate) const;

  /// Decodes codes.
  /// @param codes (B, levels, frames) int64.
  /// @return (B, channels, frames x samples a frame) float32 on the device; full scale is 1, which sound may exceed.
  /// @throws std::invalid_argument on other shapes, codes out of range, or a codec that does not decode;
  ///         std::runtime_error when the network gives values that are not finite, or another length.
  at::Tensor decode(const at::Tensor& codes) const;

  /// Decodes the frames [from, to) of codes, with as many frames around them as the codec's context asks for: the same
  /// sound as decode() gives there, up to rounding.
  /// @param codes (B, levels, frames) int64: all frames that there are.
  /// @param from  first frame.
  /// @param to    frame behind the last.
  /// @return (B, channels, (to - from) x samples a frame) float32.
  /// @throws std::invalid_argument when the manifest tells no context; otherwise as decode() does.
  at::Tensor decode_block(const at::Tensor& codes, int64_t from, int64_t to) const;

  /// Samples of sound that a frame of codes stands for.
  int64_t samples_a_frame() const { return samples_; }

  /// The codec's entry in the manifest.
  const models::Role& role() const { return role_; }

 private:
  models::Role role_;
  int64_t samples_ = 0;
  std::shared_ptr<const models::Script> script_;
};

}  // namespace brain2music::generation
