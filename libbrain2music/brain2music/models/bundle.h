#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "brain2music/export.h"
#include "brain2music/models/manifest.h"

namespace brain2music::models {

class Script;
struct StageFacts;

/// Trained networks in a folder: `bundle.json`, which says what each role is filled with, and the TorchScript files
/// that it names. Copies share what is loaded; threads may share a bundle.
class B2M_API Bundle {
 public:
  /// Reads the manifest, and the hash of every file in it. Networks are loaded when a role is first used.
  /// @param folder where `bundle.json` lies.
  /// @param sha256 what hash() must be, as 64 lower-case hexadecimal digits; none: any bundle is opened.
  /// @throws std::runtime_error when the manifest breaks the schema, the bundle is another one than `sha256` says, or a
  ///         file is missing or of another hash; the role, the field, what was expected and what was found are named.
  ///         std::invalid_argument when `sha256` is no such hash.
  static Bundle open(const std::filesystem::path& folder, const std::optional<std::string>& sha256 = std::nullopt);

  /// The folder that was opened.
  const std::filesystem::path& path() const;

  /// What `bundle.json` says.
  const Manifest& manifest() const;

  /// SHA-256 of the manifest, which names those of all files: the identity of the bundle.
  const std::string& hash() const;

  /// @param name e.g. "music_embedder".
  /// @throws std::invalid_argument naming the roles that the bundle has, when it lacks this one.
  const Role& role(std::string_view name) const;

  /// @param name of a stage, e.g. "semantic".
  /// @throws std::invalid_argument naming the stages that the bundle has, when it lacks this one.
  const Stage& stage(std::string_view name) const;

  /// The `tokenizer.json` of a text embedder, as it is.
  /// @param name a role.
  /// @throws std::invalid_argument when the role names none.
  std::string_view tokenizer(std::string_view name) const;

  /// The network of a role; loaded once for a device and type. Programs hold it, Embedder calls it: what a Script can
  /// do is no part of the installed headers.
  /// @param name   a role.
  /// @param device where to.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument for a type that the role does not declare; std::runtime_error when the file is no
  ///         TorchScript module, lacks a method that is declared, or does not return the shape that is declared.
  std::shared_ptr<const Script> script(std::string_view name, at::Device device = at::kCPU,
                                       std::optional<at::ScalarType> dtype = std::nullopt) const;

  /// The network of a stage; loaded once for a device and type.
  /// @param name   a stage.
  /// @param device where to.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument and std::runtime_error as script() does.
  std::shared_ptr<const Script> stage_script(std::string_view name, at::Device device = at::kCPU,
                                             std::optional<at::ScalarType> dtype = std::nullopt) const;

  /// What was found out about a stage's network when it was loaded.
  /// @param name   a stage.
  /// @param device where it runs.
  /// @param dtype  of its weights; the manifest's first when it is not given.
  /// @throws std::invalid_argument and std::runtime_error as script() does.
  const StageFacts& stage_facts(std::string_view name, at::Device device = at::kCPU,
                                std::optional<at::ScalarType> dtype = std::nullopt) const;

  /// Lets go of the networks of a role or a stage that were loaded; whoever holds one keeps it. What stage_facts()
  /// returned of it is no longer there.
  /// @param name a role or a stage; nothing happens where none of its networks is loaded.
  void release(std::string_view name) const;

  /// Loads every role and stage, in every type that it declares.
  /// @param device where to.
  /// @throws std::runtime_error as script() does.
  void verify(at::Device device = at::kCPU) const;

 private:
  struct State;
  struct LoadedStage;
  const LoadedStage& loaded(std::string_view name, at::Device device, std::optional<at::ScalarType> dtype) const;
  explicit Bundle(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace brain2music::models
