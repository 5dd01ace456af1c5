#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace brain2music::generation {

/// How codes are drawn. What is not given is as the bundle's manifest says.
struct Sampling {
  std::optional<double> temperature;  ///< 0 takes the most probable code
  std::optional<int64_t> top_k;       ///< draw among so many of the most probable codes; 0 among all
  std::optional<double> top_p;        ///< draw among the most probable codes that hold this probability together
  /// logits = unconditional + guidance (conditional - unconditional), 1 for none; or the number that a stage is told as
  /// a code of its input, which computes nothing twice
  std::optional<double> guidance;
};

/// Options of generation.
struct GenerationOptions {
  double seconds = 15;                     ///< length of the music
  int64_t samples = 1;                     ///< pieces for each embedding
  int64_t seed = 0;                        ///< of the random numbers
  double window = 0;                       ///< of a style track: seconds of music that an embedding describes
  double hop = 0;                          ///< of a style track: seconds from one embedding to the next
  bool unit_length = false;                ///< scale embeddings to length 1 before they are used
  Sampling sampling;                       ///< of all stages
  std::map<std::string, Sampling> stages;  ///< of single stages, by name; over `sampling`
  std::optional<int64_t> memory_limit;     ///< bytes that the networks' states may take; else what is free
  /// Called after every step with the steps done and those in all; it may throw to end the work.
  std::function<void(int64_t done, int64_t total)> on_progress;
};

}  // namespace brain2music::generation
