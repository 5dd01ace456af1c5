#include "brain2music/models/bundle.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/io/file.h"
#include "brain2music/io/sha256.h"
#include "brain2music/models/role_check.h"
#include "brain2music/models/script.h"
#include "brain2music/models/stage_check.h"
#include "brain2music/models/tokenizer_rules.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

struct Wanted {
  std::string owner;  // "role 'codec'" or "stage 'coarse'"
  const BundleFile* file;
};

std::vector<Wanted> files_of(const Manifest& manifest) {
  std::vector<Wanted> files;
  for (const Role& role : manifest.roles) {
    files.push_back({"role '" + role.name + "'", &role.file});
    if (role.tokenizer) {
      files.push_back({"role '" + role.name + "'", &*role.tokenizer});
    }
  }
  for (const Stage& stage : manifest.stages) {
    files.push_back({"stage '" + stage.name + "'", &stage.file});
  }
  return files;
}

std::string names_of(at::ArrayRef<at::ScalarType> dtypes) {
  std::string text;
  for (const at::ScalarType dtype : dtypes) {
    text += (text.empty() ? "" : ", ") + dtype_name(dtype);
  }
  return text;
}

/// The type that a network runs in.
at::ScalarType chosen_type(const std::string& owner, const std::vector<at::ScalarType>& declared,
                           std::optional<at::ScalarType> wanted) {
  const at::ScalarType type = wanted.value_or(declared.front());
  require(std::ranges::find(declared, type) != declared.end(), where, owner, " runs in ", names_of(declared), "; got ",
          dtype_name(type));
  return type;
}

/// The entry of that name.
template <class Entry>
const Entry& named(const std::vector<Entry>& entries, std::string_view name, const char* kind,
                   const std::filesystem::path& folder) {
  const auto found = std::ranges::find_if(entries, [&](const Entry& each) { return each.name == name; });
  if (found == entries.end()) {
    std::string there;
    for (const Entry& each : entries) {
      there += (there.empty() ? "" : ", ") + each.name;
    }
    require(false, where, "the bundle must fill ", kind, " '", name, "'; got ", there.empty() ? "none" : there, " in ",
            folder.string());
  }
  return *found;
}

/// Levels of each of what a stage reads.
std::vector<int64_t> levels_read(const Manifest& manifest, const Stage& stage) {
  std::map<std::string, int64_t> levels;
  for (const Role& role : manifest.roles) {
    levels[role.name] = role.levels.value_or(0);
  }
  for (const Stage& other : manifest.stages) {
    levels[other.name] = other.levels();
  }
  std::vector<int64_t> result;
  for (const std::string& name : stage.sources()) {
    result.push_back(levels.at(name));
  }
  return result;
}

/// Numbers that a stage's condition has for a piece.
int64_t condition_size(const Manifest& manifest, const Stage& stage) {
  if (stage.condition && stage.condition->codes) {
    const auto found =
        std::ranges::find_if(manifest.roles, [](const Role& role) { return role.name == "conditioner"; });
    return found == manifest.roles.end() ? 0 : found->levels.value_or(0);
  }
  return manifest.space ? manifest.space->dimension : 0;
}

}  // namespace

/// A stage's network, and what was found out about it.
struct Bundle::LoadedStage {
  std::shared_ptr<const Script> script;
  StageFacts facts;
};

struct Bundle::State {
  std::filesystem::path folder;
  Manifest manifest;
  std::string hash;
  /// Kept mapped, so that what is loaded later is what was hashed.
  std::map<std::string, std::unique_ptr<io::MappedFile>> files;
  std::mutex mutex;
  std::map<std::tuple<std::string, std::string, at::ScalarType>, std::shared_ptr<const Script>> scripts;
  std::map<std::tuple<std::string, std::string, at::ScalarType>, LoadedStage> stages;
};

Bundle Bundle::open(const std::filesystem::path& folder, const std::optional<std::string>& sha256) {
  constexpr std::size_t digits = 64;
  require(!sha256 || (sha256->size() == digits && sha256->find_first_not_of("0123456789abcdef") == std::string::npos),
          where, "sha256 must be 64 lower-case hexadecimal digits, as 'brain2music bundle info' prints them; got '",
          sha256.value_or(""), "'");
  if (!std::filesystem::is_directory(folder)) {
    fail(where, "a bundle is a folder; got ", folder.string());
  }
  auto state = std::make_shared<State>();
  state->folder = folder;
  state->manifest = read_manifest(folder / "bundle.json");
  state->hash = io::sha256(state->manifest.text);
  if (sha256 && *sha256 != state->hash) {
    fail(where, "the bundle must be the one that sha256 names, ", *sha256, "; got ", state->hash, " in ",
         folder.string());
  }
  const std::vector<Wanted> wanted = files_of(state->manifest);
  for (const Wanted& each : wanted) {
    auto& map = state->files[each.file->name];
    if (!map) {
      map = std::make_unique<io::MappedFile>(folder / each.file->name, where);
    }
  }
  std::vector<std::string> hashes(wanted.size());
  at::parallel_for(0, static_cast<int64_t>(wanted.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto file = static_cast<std::size_t>(i);
      hashes[file] = io::sha256(state->files.at(wanted[file].file->name)->bytes());
    }
  });
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (hashes[i] != wanted[i].file->sha256) {
      fail(where, wanted[i].owner, ", field 'sha256': ", wanted[i].file->sha256, " is expected; got ", hashes[i],
           " in ", (folder / wanted[i].file->name).string(), ": the file was changed or cut short");
    }
  }
  return Bundle(std::move(state));
}

const std::filesystem::path& Bundle::path() const { return state_->folder; }

const Manifest& Bundle::manifest() const { return state_->manifest; }

const std::string& Bundle::hash() const { return state_->hash; }

const Role& Bundle::role(std::string_view name) const {
  return named(state_->manifest.roles, name, "role", state_->folder);
}

const Stage& Bundle::stage(std::string_view name) const {
  return named(state_->manifest.stages, name, "stage", state_->folder);
}

std::string_view Bundle::tokenizer(std::string_view name) const {
  const Role& filled = role(name);
  const std::string file = filled.tokenizer.value_or(BundleFile{}).name;
  require(!file.empty(), where, "role '", name, "' must name a tokenizer; got none");
  return state_->files.at(file)->bytes();
}

std::shared_ptr<const Script> Bundle::script(std::string_view name, at::Device device,
                                             std::optional<at::ScalarType> dtype) const {
  const Role& filled = role(name);
  const at::ScalarType type = chosen_type("role '" + filled.name + "'", filled.dtypes, dtype);
  const std::scoped_lock locked(state_->mutex);
  auto& held = state_->scripts[{filled.name, device.str(), type}];
  if (!held) {
    const std::string named = "role '" + filled.name + "' (" + filled.file.name + ")";
    const Tokens tokens = filled.tokenizer ? read_tokens(filled, state_->files.at(filled.tokenizer->name)->bytes(),
                                                         state_->folder / filled.tokenizer->name)
                                           : Tokens{};
    auto script =
        std::make_shared<Script>(state_->files.at(filled.file.name)->bytes(), filled.methods, device, type, named);
    check_calls(filled, *script, tokens);
    held = std::move(script);
  }
  return held;
}

const Bundle::LoadedStage& Bundle::loaded(std::string_view name, at::Device device,
                                          std::optional<at::ScalarType> dtype) const {
  const Stage& about = stage(name);
  const std::string owner = "stage '" + about.name + "'";
  const at::ScalarType type = chosen_type(owner, about.dtypes, dtype);
  const std::scoped_lock locked(state_->mutex);
  LoadedStage& held = state_->stages[{about.name, device.str(), type}];
  if (!held.script) {
    auto script = std::make_shared<Script>(state_->files.at(about.file.name)->bytes(), about.methods, device, type,
                                           owner + " (" + about.file.name + ")", Operations::own);
    held.facts =
        check_stage(about, *script, condition_size(state_->manifest, about), levels_read(state_->manifest, about));
    held.script = std::move(script);
  }
  return held;
}

std::shared_ptr<const Script> Bundle::stage_script(std::string_view name, at::Device device,
                                                   std::optional<at::ScalarType> dtype) const {
  return loaded(name, device, dtype).script;
}

const StageFacts& Bundle::stage_facts(std::string_view name, at::Device device,
                                      std::optional<at::ScalarType> dtype) const {
  return loaded(name, device, dtype).facts;
}

void Bundle::release(std::string_view name) const {
  const std::scoped_lock locked(state_->mutex);
  const auto is_named = [&](const auto& held) { return std::get<0>(held.first) == name; };
  std::erase_if(state_->scripts, is_named);
  std::erase_if(state_->stages, is_named);
}

void Bundle::verify(at::Device device) const {
  for (const Role& filled : state_->manifest.roles) {
    for (const at::ScalarType dtype : filled.dtypes) {
      (void)script(filled.name, device, dtype);
    }
  }
  for (const Stage& each : state_->manifest.stages) {
    for (const at::ScalarType dtype : each.dtypes) {
      if (device.is_cpu() || at::isFloatingType(dtype)) {  // int8 is for CPUs
        (void)stage_script(each.name, device, dtype);
      }
    }
  }
}

}  // namespace brain2music::models
