#include "brain2music/io/safetensors.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "catch.h"
#include "oracle.h"

using brain2music::io::load_safetensors;
using brain2music::io::SafeTensors;
using brain2music::io::save_safetensors;

namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A file with this header, and so many bytes of data.
std::filesystem::path with_header(const std::string& header, std::size_t data = 8) {
  const auto path = oracle_path("mutated.safetensors");
  const uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  std::ofstream(path, std::ios::binary) << bytes << header << std::string(data, '\x01');
  return path;
}

}  // namespace

TEST_CASE("tensors of the safetensors package are read, and written ones read back", "[io]") {
  const SafeTensors theirs = load_safetensors(oracle_path("theirs.safetensors"));
  CHECK(theirs.tensors.size() == 8);
  CHECK(theirs.metadata == std::map<std::string, std::string>{{"made by", "safetensors"}, {"é", "ü"}});
  const auto copy = oracle_path("copy.safetensors");
  save_safetensors(copy, theirs);
  const SafeTensors ours = load_safetensors(copy);
  CHECK(ours.metadata == theirs.metadata);
  for (const auto& [name, tensor] : theirs.tensors) {
    INFO(name);
    CHECK(identical(tensor, oracle("theirs_" + name)));
    CHECK(identical(tensor, ours.tensors.at(name)));
  }
}

TEST_CASE("writing to a mapped tensor leaves the file alone", "[io]") {
  const std::string before = bytes_of(oracle_path("theirs.safetensors"));
  load_safetensors(oracle_path("theirs.safetensors")).tensors.at("float32").fill_(7);
  CHECK(bytes_of(oracle_path("theirs.safetensors")) == before);
}

TEST_CASE("strides and narrow types survive a .safetensors file", "[io]") {
  const at::Tensor array = at::arange(12.0, at::kBFloat16).view({3, 4}).t();
  save_safetensors(oracle_path("copy.safetensors"), {{{"x", array}, {"odd", at::zeros({3}, at::kByte)}}, {}});
  CHECK(identical(load_safetensors(oracle_path("copy.safetensors")).tensors.at("x"), array.contiguous()));
}

TEST_CASE("broken .safetensors files are refused by name", "[io]") {
  const std::string good = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(load_safetensors(with_header(good)).tensors.at("x").size(0) == 2);
  const auto refused = [](const std::string& header, const std::string& message) {
    INFO(header);
    CHECK_THROWS_WITH(load_safetensors(with_header(header)),
                      ContainsSubstring(message) && ContainsSubstring("mutated.safetensors"));
  };
  refused("[]", "the header must be an object; got array");
  refused("{", "the text must be JSON");
  refused(R"({"x":1})", "a tensor has dtype, shape and data_offsets; got number for 'x'");
  refused(R"({"x":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", "known one; got \"F31\" for 'x'");
  refused(R"({"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "lists of whole numbers; got [-2] for 'x'");
  refused(R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "got 8 bytes for shape [3] of \"F32\" for 'x'");
  refused(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "got 'x' at byte 4 of the data instead of 0");
  refused(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "got 8 bytes for 4");
  refused(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,8]}})",
          "must fill its place");
  refused(R"({"x":{"dtype":"F32","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}})", "must fill its place");
  refused(
      R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      "got 'y' at byte 0 of the data instead of 4");
  refused(R"({"__metadata__":{"a":1}})", "__metadata__ must hold text; got number for a");
  refused(good.substr(0, 53) + "," + good.substr(1), "a key must stand once");
  const std::string bytes = bytes_of(with_header(good));
  std::ofstream(oracle_path("cut.safetensors"), std::ios::binary) << bytes.substr(0, 30);
  CHECK_THROWS_WITH(load_safetensors(oracle_path("cut.safetensors")), ContainsSubstring("the header must be whole"));
  std::ofstream(oracle_path("cut.safetensors"), std::ios::binary) << bytes.substr(0, 3);
  CHECK_THROWS_WITH(load_safetensors(oracle_path("cut.safetensors")), ContainsSubstring("got 3 bytes"));
}

TEST_CASE("what .safetensors cannot hold is not written", "[io]") {
  const auto path = oracle_path("no.safetensors");
  CHECK_THROWS_WITH(save_safetensors(path, {{{"x", at::zeros({1}, at::kComplexDouble)}}, {}}),
                    ContainsSubstring("ComplexDouble"));
  CHECK_THROWS_WITH(save_safetensors(path, {{{"\xff", at::zeros({1})}}, {}}), ContainsSubstring("UTF-8"));
  CHECK_THROWS_WITH(save_safetensors(path, {{{"__metadata__", at::zeros({1})}}, {}}),
                    ContainsSubstring("__metadata__"));
  CHECK(!std::filesystem::exists(path));
}
