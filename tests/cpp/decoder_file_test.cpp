#include "brain2music/decoding/decoder_file.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "brain2music/io/safetensors.h"
#include "catch.h"
#include "oracle.h"

using brain2music::EmbeddingSpace;
using brain2music::decoding::BrainDecoder;
using brain2music::decoding::load_decoder;
using brain2music::decoding::save_decoder;
using brain2music::io::load_safetensors;
using brain2music::io::SafeTensors;
using Json = nlohmann::json;

namespace {

const EmbeddingSpace music{"music_embedder", std::string(64, '0'), 10.0, 1.5};

std::filesystem::path given() { return oracle_path("decoder_float32.safetensors"); }

/// The decoder's file with changed tensors or metadata.
std::filesystem::path changed(const std::function<void(SafeTensors&, Json&)>& change) {
  SafeTensors contents = load_safetensors(given());
  Json described = Json::parse(contents.metadata.at("brain2music"));
  contents.metadata.erase("brain2music");
  change(contents, described);
  if (!described.is_null()) {
    contents.metadata["brain2music"] = described.dump();
  }
  const auto path = oracle_path("changed.safetensors");
  save_safetensors(path, contents);
  return path;
}

void refused(const std::string& message, const std::function<void(SafeTensors&, Json&)>& change) {
  INFO(message);
  CHECK_THROWS_WITH(load_decoder(changed(change)), ContainsSubstring("[decoding.load_decoder]") &&
                                                       ContainsSubstring(message) && ContainsSubstring(" in ") &&
                                                       ContainsSubstring("changed.safetensors"));
}

}  // namespace

TEST_CASE("a decoder's file predicts as scikit-learn's models that it was filled with", "[decoding]") {
  for (const std::string type : {"float32", "float64"}) {
    const BrainDecoder decoder = load_decoder(oracle_path("decoder_" + type + ".safetensors"));
    const at::Tensor responses = oracle("decoder_" + type + "_responses");
    const at::Tensor predicted = decoder.predict(responses);
    CHECK(predicted.scalar_type() == responses.scalar_type());
    for (const at::Device device : devices()) {
      const BrainDecoder there = load_decoder(oracle_path("decoder_" + type + ".safetensors"), device);
      CHECK(at::allclose(there.predict(responses.to(device)).cpu(), predicted, 0, 1e-5));
    }
    CHECK(at::allclose(predicted.to(at::kDouble), oracle("decoder_" + type + "_predicted"), 0, 1e-6));
    CHECK(decoder.rois.at(1).label == 7);
    CHECK(decoder.rois.at(1).score == 0.375);
    CHECK(decoder.space.has_value() == (type == "float32"));

    const auto copy = oracle_path("decoder_copy.safetensors");
    save_decoder(copy, decoder);
    const BrainDecoder same = load_decoder(copy);
    CHECK(identical(same.predict(responses), predicted));
    CHECK(same.space == decoder.space);
    CHECK(load_safetensors(copy).tensors.size() == 13);
  }
  CHECK(load_decoder(given()).space->hash == "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f");
  CHECK(!load_decoder(changed([](SafeTensors&, Json& root) { root["fitted"].erase("space"); })).space);
}

TEST_CASE("a file that is no decoder, or contradicts itself, is refused by file and field", "[decoding]") {
  refused("got no metadata 'brain2music'", [](SafeTensors&, Json& root) { root = nullptr; });
  refused("'brain2music' must be an object; got array", [](SafeTensors&, Json& root) { root = {1, 2}; });
  refused("field 'kind' must be 'BrainDecoder'; got 'RidgeCV'",
          [](SafeTensors&, Json& root) { root["kind"] = "RidgeCV"; });
  refused("field 'version' must be 1, which this brain2music reads; got 2",
          [](SafeTensors&, Json& root) { root["version"] = 2; });
  refused("field 'fitted' must be there; got none", [](SafeTensors&, Json& root) { root.erase("fitted"); });
  refused("field 'fitted.n_voxels' must be a whole number; got 30.5",
          [](SafeTensors&, Json& root) { root["fitted"]["n_voxels"] = 30.5; });
  refused("field 'fitted.n_voxels' must be positive; got 0",
          [](SafeTensors&, Json& root) { root["fitted"]["n_voxels"] = 0; });
  refused("field 'voxels.0' must lie in 0 to n_voxels - 1 = 28; got 1 to 29",
          [](SafeTensors&, Json& root) { root["fitted"]["n_voxels"] = 29; });
  refused("field 'fitted.rois' must be a list; got {}",
          [](SafeTensors&, Json& root) { root["fitted"]["rois"] = Json::object(); });
  refused("field 'fitted.rois[1].label' must be a whole number; got \"7\"",
          [](SafeTensors&, Json& root) { root["fitted"]["rois"][1]["label"] = "7"; });
  refused("got 2 regions for 13 tensors in place of 9",
          [](SafeTensors&, Json& root) { root["fitted"]["rois"].erase(2); });
  refused("field 'fitted.space.hash' must be text; got 1",
          [](SafeTensors&, Json& root) { root["fitted"]["space"]["hash"] = 1; });
  refused("field 'fitted.space.hop' must be a positive number of seconds; got 0",
          [](SafeTensors&, Json& root) { root["fitted"]["space"]["hop"] = 0; });
  refused("field 'windows' must be (windows, scans) of bool; got [4, 10] of Long",
          [](SafeTensors& file, Json&) { file.tensors["windows"] = file.tensors["windows"].to(at::kLong); });
  refused("field 'coef.1' must be there; got none", [](SafeTensors& file, Json&) { file.tensors.erase("coef.1"); });
  refused("field 'coef.1' must be (voxels, dimensions) of float32 or float64 for 4 voxels; got [3, 3] of Float",
          [](SafeTensors& file, Json&) { file.tensors["coef.1"] = file.tensors["coef.0"]; });
  refused("field 'coef.1' must have the dimensions and type of coef.0, 3 of Float; got 2 of Float",
          [](SafeTensors& file, Json&) { file.tensors["coef.1"] = at::full({4, 2}, 1.0F); });
  refused("field 'intercept.2' must hold one Float for each of the 3 dimensions of coef.0; got [2] of Float",
          [](SafeTensors& file, Json&) { file.tensors["intercept.2"] = at::full({2}, 1.0F); });
  refused("field 'intercept.0' must be finite; got NaN or Inf", [](SafeTensors& file, Json&) {
    file.tensors["intercept.0"] = at::full({3}, std::numeric_limits<float>::quiet_NaN());
  });

  const auto cut = oracle_path("cut_decoder.safetensors");
  std::filesystem::copy_file(given(), cut, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) - 8);
  CHECK_THROWS_WITH(load_decoder(cut), ContainsSubstring("the data must be as long as the header says") &&
                                           ContainsSubstring("cut_decoder.safetensors"));
}

TEST_CASE("a decoder that contradicts itself is not written", "[decoding]") {
  const auto path = oracle_path("never.safetensors");
  BrainDecoder decoder = load_decoder(given());
  const auto not_written = [&](const std::string& message, const std::filesystem::path& file) {
    INFO(message);
    CHECK_THROWS_AS(save_decoder(file, decoder), std::invalid_argument);
    CHECK_THROWS_WITH(save_decoder(file, decoder), ContainsSubstring("[decoding.save_decoder] " + message));
    CHECK(!std::filesystem::exists(file));
  };
  not_written("the file's name must end in .safetensors; got ", oracle_path("never.npy"));
  decoder.space = music;
  decoder.space->role = "\xff";
  not_written("field 'fitted.space' must be UTF-8", path);
  decoder.space->window = -1;
  not_written("field 'fitted.space.window' must be a positive number of seconds; got -1", path);
  decoder.rois[2].alphas = at::Tensor();
  not_written("field 'alphas.2' must be there; got none", path);
  decoder.rois[0].voxels = at::tensor({-1, 2, 3}, at::kLong);
  not_written("field 'voxels.0' must lie in 0 to n_voxels - 1 = 29; got -1 to 3", path);
  decoder.rois.clear();
  not_written("field 'fitted.rois' must hold a region or more; got none", path);
  CHECK_THROWS_WITH(save_decoder(oracle_path("no folder/x.safetensors"), load_decoder(given())),
                    ContainsSubstring("no folder/x.safetensors"));
}
