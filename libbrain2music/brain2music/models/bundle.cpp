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
#include "brain2music/models/tokenizer_rules.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

struct Wanted {
  std::string role;
  const BundleFile* file;
};

std::vector<Wanted> files_of(const Manifest& manifest) {
  std::vector<Wanted> files;
  for (const Role& role : manifest.roles) {
    files.push_back({role.name, &role.file});
    if (role.tokenizer) {
      files.push_back({role.name, &*role.tokenizer});
    }
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

}  // namespace

struct Bundle::State {
  std::filesystem::path folder;
  Manifest manifest;
  std::string hash;
  /// Kept mapped, so that what is loaded later is what was hashed.
  std::map<std::string, std::unique_ptr<io::MappedFile>> files;
  std::mutex mutex;
  std::map<std::tuple<std::string, std::string, at::ScalarType>, std::shared_ptr<const Script>> scripts;
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
      fail(where, "role '", wanted[i].role, "', field 'sha256': ", wanted[i].file->sha256, " is expected; got ",
           hashes[i], " in ", (folder / wanted[i].file->name).string(), ": the file was changed or cut short");
    }
  }
  return Bundle(std::move(state));
}

const std::filesystem::path& Bundle::path() const { return state_->folder; }

const Manifest& Bundle::manifest() const { return state_->manifest; }

const std::string& Bundle::hash() const { return state_->hash; }

const Role& Bundle::role(std::string_view name) const {
  const auto& roles = state_->manifest.roles;
  const auto found = std::ranges::find_if(roles, [&](const Role& role) { return role.name == name; });
  if (found == roles.end()) {
    std::string there;
    for (const Role& role : roles) {
      there += (there.empty() ? "" : ", ") + role.name;
    }
    require(false, where, "the bundle must fill role '", name, "'; got ", there, " in ", state_->folder.string());
  }
  return *found;
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
  const at::ScalarType type = dtype.value_or(filled.dtypes.front());
  require(std::ranges::find(filled.dtypes, type) != filled.dtypes.end(), where, "role '", name, "' runs in ",
          names_of(filled.dtypes), "; got ", dtype_name(type));
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

void Bundle::verify(at::Device device) const {
  for (const Role& filled : state_->manifest.roles) {
    for (const at::ScalarType dtype : filled.dtypes) {
      (void)script(filled.name, device, dtype);
    }
  }
}

}  // namespace brain2music::models
