#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "brain2music/io/audio_file.h"
#include "brain2music/io/npy.h"
#include "catch.h"
#include "oracle.h"

using brain2music::io::load_npy;
using brain2music::io::save_npy;

namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::filesystem::path written(const std::string& name, const std::string& bytes) {
  const auto path = oracle_path(name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace

TEST_CASE("what NumPy wrote is read, and what is written NumPy would write alike", "[io]") {
  for (const std::string type : {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
                                 "uint32", "uint64", "bool"}) {
    INFO(type);
    const at::Tensor array = oracle("npy_" + type + "_c");
    REQUIRE(array.sizes() == at::IntArrayRef({3, 4, 5}));
    const auto copy = oracle_path("copy.npy");
    save_npy(copy, array);
    const std::string theirs = bytes_of(oracle_path("npy_" + type + "_c.npy"));
    const std::string ours = bytes_of(copy);
    CHECK(ours.size() == theirs.size());
    CHECK(ours.substr(128) == theirs.substr(128));  // the data; the headers differ in spaces
    CHECK(identical(load_npy(copy), array));
  }
  CHECK(identical(oracle("npy_fortran_c"), at::arange(24.0, at::kDouble).view({4, 6})));
  CHECK(oracle("npy_scalar_c").item<double>() == 3.5);
  CHECK(identical(load_npy(oracle_path("npy_bigendian.npy")), at::arange(3.0, at::kFloat)));
  CHECK(oracle("npy_empty_c").sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("writing to a mapped array leaves the file alone", "[io]") {
  const std::string before = bytes_of(oracle_path("npy_float32_c.npy"));
  oracle("npy_float32_c").fill_(7);
  CHECK(bytes_of(oracle_path("npy_float32_c.npy")) == before);
}

TEST_CASE("broken .npy files are refused by name", "[io]") {
  const std::string good = bytes_of(oracle_path("npy_float32_c.npy"));
  CHECK_THROWS_WITH(load_npy(oracle_path("none.npy")),
                    ContainsSubstring("No such file") && ContainsSubstring("none.npy"));
  CHECK_THROWS_WITH(load_npy(oracle_path(".")), ContainsSubstring("a regular file is expected"));
  CHECK_THROWS_WITH(load_npy(written("cut.npy", good.substr(0, good.size() - 1))),
                    ContainsSubstring("239 bytes for 240"));
  CHECK_THROWS_WITH(load_npy(written("long.npy", good + "x")), ContainsSubstring("241 bytes for 240"));
  CHECK_THROWS_WITH(load_npy(written("empty.npy", "")), ContainsSubstring("starts with"));
  CHECK_THROWS_WITH(load_npy(written("head.npy", good.substr(0, 60))), ContainsSubstring("header must be whole"));
  std::string huge = good;
  huge.replace(huge.find("(3, 4, 5)"), 9, "(1<<62,  ");
  CHECK_THROWS_WITH(load_npy(written("shape.npy", huge)), ContainsSubstring("no ')'"));
  std::string text = good;
  text.replace(text.find("<f4"), 3, "<U4");
  CHECK_THROWS_WITH(load_npy(written("text.npy", text)), ContainsSubstring("must be a number or a boolean; got '<U4'"));
}

TEST_CASE("every one-byte change of a header gives an array or an error", "[io]") {
  const std::string good = bytes_of(oracle_path("npy_float32_c.npy"));
  int refused = 0;
  for (std::size_t i = 0; i < 128; ++i) {
    for (const char byte : {'\0', '\x7f', '\xff', '\'', '(', '9'}) {
      std::string bad = good;
      bad[i] = byte;
      try {
        (void)load_npy(written("mutated.npy", bad)).sum();
      } catch (const std::runtime_error&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("a file that cannot be written leaves nothing behind", "[io]") {
  CHECK_THROWS_WITH(save_npy(oracle_path("no/such/folder.npy"), at::zeros({3})),
                    ContainsSubstring("when it was opened"));
  const auto target = oracle_path("target");
  std::filesystem::create_directories(target / "inside");
  CHECK_THROWS_WITH(save_npy(target, at::zeros({3})), ContainsSubstring("only a regular file is replaced"));
  for (const auto& entry : std::filesystem::directory_iterator(oracle_path("."))) {
    CHECK(entry.path().string().find(".part-") == std::string::npos);
  }
  CHECK_THROWS_WITH(save_npy(oracle_path("x.npy"), at::zeros({3}, at::kComplexFloat)),
                    ContainsSubstring("ComplexFloat"));
}

TEST_CASE("a WAV whose size a pipe left open is read to its end, a cut one is refused", "[io]") {
  const auto path = oracle_path("sound.wav");
  brain2music::io::save_audio(path, at::full({2, 1000}, 0.25), 8000);
  const std::string whole = bytes_of(path);
  std::string open = whole;
  open.replace(open.find("data") + 4, 4, "\xff\xff\xff\xff");
  const auto audio = brain2music::io::load_audio(written("open.wav", open));
  CHECK(audio.rate == 8000);
  CHECK(audio.step == 0x1p-15);
  CHECK(identical(audio.waveform, at::full({2, 1000}, 0.25)));
  const auto part = brain2music::io::load_audio(written("open.wav", open), {0.1, 0.12});
  CHECK(part.waveform.sizes() == at::IntArrayRef({2, 160}));
  CHECK_THROWS_WITH(brain2music::io::load_audio(written("cut.wav", whole.substr(0, whole.size() - 1))),
                    ContainsSubstring("3999 of 4000 bytes of samples") && ContainsSubstring("cut.wav"));
}
