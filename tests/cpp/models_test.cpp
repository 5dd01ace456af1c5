#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "brain2music/embedding/embedder.h"
#include "brain2music/embedding/tagger.h"
#include "brain2music/embedding/windows.h"
#include "brain2music/models/bundle.h"
#include "brain2music/models/manifest.h"
#include "catch.h"
#include "oracle.h"

using namespace brain2music::embedding;  // NOLINT(google-build-using-namespace)
using namespace brain2music::models;     // NOLINT(google-build-using-namespace)
namespace fs = std::filesystem;

namespace {

const fs::path manifests = fs::path(B2M_TEST_DATA) / "bundles";

Bundle tiny(const std::string& network) { return Bundle::open(oracle_path("bundles/" + network)); }

/// A copy of a tiny bundle, to be spoilt.
fs::path copied(const std::string& network) {
  const fs::path folder = oracle_path("copied");
  fs::remove_all(folder);
  fs::copy(oracle_path("bundles/" + network), folder);
  return folder;
}

Clip clip(const std::string& name, double seconds, int64_t rate = 300) {
  return {name, at::rand({static_cast<int64_t>(seconds * static_cast<double>(rate))}) * 0.5, rate};
}

}  // namespace

TEST_CASE("good manifests are read and others refused, with role and field", "[models]") {
  std::ifstream file(manifests / "messages.json");
  const auto messages = nlohmann::json::parse(file);
  for (const auto& entry : fs::directory_iterator(manifests / "good")) {
    INFO(entry.path());
    CHECK_NOTHROW(read_manifest(entry.path()));
  }
  for (const std::string kind : {"bad", "inconsistent", "no_json"}) {
    std::size_t seen = 0;
    for (const auto& entry : fs::directory_iterator(manifests / kind)) {
      const auto message = messages.at(kind).at(entry.path().stem().string()).get<std::string>();
      INFO(entry.path());
      CHECK_THROWS_WITH(read_manifest(entry.path()),
                        ContainsSubstring(message) && ContainsSubstring(entry.path().filename().string()));
      ++seen;
    }
    CHECK(seen == messages.at(kind).size());
  }
}

TEST_CASE("a manifest's fields arrive", "[models]") {
  const Manifest manifest = read_manifest(manifests / "good" / "every_role.json");
  REQUIRE(manifest.roles.size() == 6);
  REQUIRE(manifest.stages.size() == 3);
  const auto role = [&](const std::string& name) {
    return *std::ranges::find_if(manifest.roles, [&](const Role& each) { return each.name == name; });
  };
  CHECK(role("music_embedder").dtypes == std::vector{at::kFloat, at::kBFloat16, at::kHalf});
  CHECK(role("music_embedder").card.notes == "Voilà.");
  const auto figures = role("music_embedder").card.figures;
  REQUIRE(figures.size() == 2);
  const auto& figure = figures.front();
  CHECK(figure.name == "R@10 of captions");
  CHECK(figure.value == 0.41);
  CHECK(figure.of == "540 clips");
  CHECK(figure.goal == 0.5);
  CHECK(figure.chance == 0.02);
  CHECK(figure.oracle == 0.9);
  CHECK(!figure.at_most);
  CHECK(figure.reason == "Too little music.");
  CHECK(!figures.back().goal.has_value());
  CHECK(!role("music_embedder").frame_rate.has_value());
  CHECK(role("codec").frame_rate == 50);
  CHECK(role("codec").has("decode"));
  CHECK(role("text_embedder").tokenizer->name == "tokenizer.json");
  CHECK(role("codec").channels == 1);
  CHECK(role("codec").context->past == 4);
  CHECK(role("conditioner").vocabularies == std::vector<int64_t>(12, 1024));
  CHECK(manifest.space->dimension == 128);
  CHECK(manifest.space->hashes.front() == std::string(64, 'f'));
  CHECK(manifest.space->hashes.size() == 3);  // one is named, and two are those of roles
}

TEST_CASE("the fields of stages arrive", "[models]") {
  const Manifest manifest = read_manifest(manifests / "good" / "every_role.json");
  const auto& semantic = manifest.stages[0];
  CHECK(semantic.name == "semantic");
  CHECK(semantic.family == brain2music::models::Family::tokens);
  CHECK(semantic.window == 30);
  CHECK(semantic.overlap == 15);
  REQUIRE(semantic.prefix.size() == 3);
  CHECK(semantic.prefix[0].token == 13312);
  CHECK(semantic.prefix[1].from == "conditioner");
  CHECK(semantic.prefix[1].order == brain2music::models::CodeOrder::levels);
  CHECK(semantic.prefix[1].offsets.back() == 12288);
  CHECK(semantic.unconditional->at(1).count == 12);
  CHECK(semantic.sampling.top_k == 250);
  CHECK(semantic.sampling.guidance == 3);
  CHECK(manifest.stages[1].codec_levels == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(manifest.stages[1].sampling.top_p == 1);
  const auto& fine = manifest.stages[2];
  CHECK(fine.family == brain2music::models::Family::parallel);
  CHECK(fine.codes.back() == 512);
  CHECK(fine.delays == std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(fine.given.at(1).delay == 1);
  CHECK(fine.pad == 1024);
  CHECK(!fine.condition->codes);
  CHECK(fine.condition->unconditional == 0);
  CHECK(fine.max_length == 200);
}

TEST_CASE("a file that is not the one that was hashed is never loaded", "[models]") {
  const fs::path folder = copied("good");
  std::fstream file(folder / "network.pt", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(100);
  file.put('\x7f');
  file.close();
  CHECK_THROWS_WITH(Bundle::open(folder), ContainsSubstring("role 'music_embedder', field 'sha256': ") &&
                                              ContainsSubstring("is expected; got ") &&
                                              ContainsSubstring("network.pt"));
  fs::resize_file(folder / "network.pt", 200);
  CHECK_THROWS_WITH(Bundle::open(folder), ContainsSubstring("field 'sha256'"));
  fs::remove(folder / "network.pt");
  CHECK_THROWS_WITH(Bundle::open(folder), ContainsSubstring("No such file") && ContainsSubstring("network.pt"));
  fs::remove(folder / "bundle.json");
  CHECK_THROWS_WITH(Bundle::open(folder), ContainsSubstring("bundle.json"));
  CHECK_THROWS_WITH(Bundle::open(folder / "none"), ContainsSubstring("a bundle is a folder"));
}

TEST_CASE("a pin opens one bundle and no other", "[models]") {
  const fs::path folder = copied("good");
  const std::string pin = Bundle::open(folder).hash();
  CHECK(Bundle::open(folder, pin).hash() == pin);
  CHECK_THROWS_WITH(Bundle::open(oracle_path("bundles/frames"), pin),
                    ContainsSubstring("the bundle must be the one that sha256 names, " + pin + "; got ") &&
                        ContainsSubstring("frames"));
  CHECK_THROWS_WITH(Bundle::open(folder, pin.substr(1)), ContainsSubstring("64 lower-case hexadecimal digits"));
}

TEST_CASE("what is loaded is what was hashed, even if the file is replaced in between", "[models]") {
  const fs::path folder = copied("good");
  const Bundle bundle = Bundle::open(folder);
  fs::rename(oracle_path("copied") / "network.pt", oracle_path("copied") / "former.pt");
  std::ofstream(folder / "network.pt") << "something else";
  CHECK_NOTHROW(bundle.verify());
}

TEST_CASE("networks are loaded when first used, and do what is declared", "[models]") {
  const auto refused = [](const std::string& network, const std::string& message) {
    INFO(network);
    const Bundle bundle = tiny(network);  // opens: nothing is loaded yet
    CHECK_THROWS_WITH(bundle.verify(), ContainsSubstring(message) && ContainsSubstring("role '"));
  };
  refused("no_method", "declares the method embed, which its file must have; got forward");
  refused("two_dimensions", "must return shape [2, 3] from embed, the batch and field 'dimension'; got [2, 2]");
  refused("half_a_batch", "must return shape [2, 3] from embed, the batch and field 'dimension'; got [1, 3]");
  refused("whole_numbers", "must return a floating type from embed; got Long");
  refused("pair", "must return one tensor from embed; got Tuple");
  refused("nan", "must return finite values from embed; got NaN or Inf for a plain input");
  refused("fails", "must run embed; got '");
  refused("fails", "only short ones'");
  refused("few_frames", "must return shape [2, about 15, 3] from embed");
  CHECK_NOTHROW(tiny("good").verify());
  CHECK_NOTHROW(tiny("frames").verify());
}

TEST_CASE("a network that was let go is loaded again", "[models]") {
  const Bundle bundle = tiny("good");
  const auto first = bundle.script("music_embedder");
  bundle.release("codec");  // there is none
  CHECK(bundle.script("music_embedder") == first);
  bundle.release("music_embedder");
  CHECK(bundle.script("music_embedder") != first);
}

TEST_CASE("a file that is no module, a role or a type that is not there", "[models]") {
  const fs::path folder = copied("good");
  std::ofstream(folder / "network.pt") << "abc";
  std::ifstream in(folder / "bundle.json");
  auto manifest = nlohmann::json::parse(in);
  manifest["roles"]["music_embedder"]["sha256"] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  std::ofstream(folder / "bundle.json") << manifest;
  const Bundle bundle = Bundle::open(folder);
  CHECK_THROWS_WITH(bundle.verify(), ContainsSubstring("must be a TorchScript module; got '"));
  CHECK_THROWS_WITH(bundle.script("codec"), ContainsSubstring("must fill role 'codec'; got music_embedder"));
  CHECK_THROWS_WITH(bundle.script("music_embedder", at::kCPU, at::kHalf),
                    ContainsSubstring("role 'music_embedder' runs in float32, bfloat16; got float16"));
  CHECK_THROWS_WITH(bundle.tokenizer("music_embedder"), ContainsSubstring("must name a tokenizer; got none"));
}

TEST_CASE("a network is loaded once for a device and type, also by threads", "[models]") {
  const Bundle bundle = tiny("good");
  std::vector<std::shared_ptr<const Script>> scripts(4);
  std::vector<std::thread> threads;
  for (auto& script : scripts) {
    threads.emplace_back([&] { script = bundle.script("music_embedder"); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& script : scripts) {
    CHECK(script == scripts.front());
  }
  CHECK(bundle.script("music_embedder", at::kCPU, at::kBFloat16) != scripts.front());
}

TEST_CASE("windows are counted as the study counts them", "[embedding]") {
  CHECK(window_count(15, 1.5, 1.5) == 10);
  CHECK(window_count(15, 5, 1.5) == 7);
  CHECK(window_count(15, 10, 1.5) == 4);
  CHECK(window_count(15, 15, 1.5) == 1);
  for (const double window : {1.5, 5.0, 10.0, 15.0}) {
    CHECK(window_count(14.99, window, 1.5) == window_count(15, window, 1.5));
    CHECK(window_count(14.89, window, 1.5) == window_count(15, window, 1.5));
  }
  CHECK(window_count(14.8, 15, 1.5) == 0);
  CHECK_THROWS_WITH(window_count(1, 0, 1), ContainsSubstring("[embedding.window_count]"));
}

TEST_CASE("a clip is embedded window by window", "[embedding]") {
  const Embedder embedder(tiny("good"), "music_embedder");
  const Clip first = clip("first", 2.5);
  const Clip second = clip("second", 2.49);
  const at::Tensor result = embedder.embed({first, second}, {0.5, 32});
  REQUIRE(result.sizes() == at::IntArrayRef({2, 4, 3}));
  for (int64_t window = 0; window < 4; ++window) {
    const at::Tensor samples = first.waveform.narrow(0, window * 150, 300);
    CHECK(at::allclose(result[0][window], at::stack({samples.mean(), samples.amax(), samples.square().sum()}) * 2));
  }
  const at::Tensor last = second.waveform.narrow(0, 450, 747 - 450);  // 3 samples are silence
  CHECK(at::allclose(result[1][3][0], last.sum() / 300 * 2));
  CHECK(at::allclose(result[1][3][2], last.square().sum() * 2));
  CHECK(!result.is_inference());
  for (const int64_t batch : {1, 3, 8, 100}) {
    CHECK(at::allclose(embedder.embed({first, second}, {0.5, batch}), result, 0, 1e-6));
  }
}

TEST_CASE("frames are averaged, channels too, and rates brought to the role's", "[embedding]") {
  const Embedder embedder(tiny("frames"), "codec");
  const at::Tensor wave = at::rand({2, 600}) - 0.5;
  const at::Tensor result = embedder.embed({{"stereo", wave, 300}}, {1, 4});
  REQUIRE(result.sizes() == at::IntArrayRef({1, 2, 3}));
  CHECK(at::allclose(result[0][1][2], wave.narrow(1, 300, 300).mean() * 2, 1e-4, 1e-6));
  const at::Tensor constant = embedder.embed({{"fast", at::full({6000}, 0.25), 900}}, {1.0, 4});
  REQUIRE(constant.size(1) == 6);
  CHECK(at::allclose(constant[0][3], at::full({3}, 0.5), 0, 1e-3));
}

TEST_CASE("narrow weights give what wide ones do, within their precision", "[embedding]") {
  const Clip music = clip("clip", 3);
  const at::Tensor wide = Embedder(tiny("good"), "music_embedder").embed({music});
  const at::Tensor narrow = Embedder(tiny("good"), "music_embedder", at::kCPU, at::kBFloat16).embed({music});
  CHECK(narrow.scalar_type() == at::kFloat);
  CHECK(at::allclose(narrow, wide, 1e-2, 1e-2));
}

TEST_CASE("clips that cannot be embedded are named", "[embedding]") {
  const Embedder embedder(tiny("good"), "music_embedder");
  const auto refused = [&](const std::vector<Clip>& clips, const std::string& message, EmbedOptions options = {}) {
    CHECK_THROWS_WITH(embedder.embed(clips, options), ContainsSubstring("] " + message));
  };
  refused({clip("good", 3), clip("short", 0.5)}, "a clip must last at least one window of 1 s; got 0.5 s for short");
  refused({clip("a", 3), clip("b", 5)}, "every clip must give as many windows; got 2 for a and 3 for b");
  refused({{"pcm", at::zeros({900}, at::kShort), 300}},
          "a waveform must be of a floating type, full scale 1; got Short");
  refused({{"cube", at::zeros({1, 2, 900}), 300}},
          "a waveform must be (samples,) or (channels, samples); got shape [1, 2");
  refused({{"turned", at::zeros({900, 2}), 300}},
          "a waveform must be (channels, samples); got shape [900, 2] for turned");
  refused({{"none", at::Tensor(), 300}}, "a waveform must be (samples,)");
  refused({{"rate", at::zeros({900}), 0}}, "rates must be positive numbers of Hz; got 0 and 300 for rate");
  refused({clip("x", 3)}, "batch must be a positive number; got 0", {1.5, 0});
  Clip broken = clip("broken", 3);
  broken.waveform[7] = std::numeric_limits<double>::quiet_NaN();
  refused({broken}, "a waveform must be finite; got NaN or Inf for broken");
  CHECK_THROWS_WITH(embedder.embed_texts({"blues"}), ContainsSubstring("embeds waveforms; got texts"));
  CHECK_THROWS_WITH(embedder.embed_ids(at::zeros({1, 1}, at::kLong), at::zeros({1, 1}, at::kLong)),
                    ContainsSubstring("must declare the method embed_ids; got embed"));
  CHECK(embedder.embed({}).sizes() == at::IntArrayRef({0, 0, 3}));
}

TEST_CASE("tags are means over the windows of a clip, whatever the batch", "[embedding]") {
  const Tagger tagger(tiny("tagger"));
  CHECK(tagger.role().classes == std::vector<std::string>{"mean", "largest", "power"});
  const std::vector<Clip> clips{clip("long", 2.5), clip("short", 1.1)};  // four windows and one
  at::Tensor expected = at::zeros({2, 3});
  for (int64_t window = 0; window < 4; ++window) {
    const at::Tensor samples = clips[0].waveform.narrow(0, window * 150, 300);
    expected[0] += at::stack({samples.mean(), samples.amax(), samples.square().mean()}) * 2 / 4;
  }
  const at::Tensor samples = clips[1].waveform.narrow(0, 0, 300);
  expected[1] = at::stack({samples.mean(), samples.amax(), samples.square().mean()}) * 2;
  for (const int64_t batch : {1, 3, 4, 100}) {
    CHECK(at::allclose(tagger.tag(clips, {0.5, batch}), expected, 1e-5, 1e-6));
  }
  CHECK(at::allclose(Tagger(tiny("tagger"), at::kCPU, at::kBFloat16).tag(clips, {0.5}), expected, 1e-2, 1e-2));
  CHECK(tagger.tag({}).sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("what cannot be tagged is named", "[embedding]") {
  const Tagger tagger(tiny("tagger"));
  Clip loud = clip("loud", 3);
  loud.waveform[100] = 0.75;
  CHECK_THROWS_WITH(tagger.tag({clip("soft", 3), loud}, {1.5, 1}),
                    ContainsSubstring("[embedding.tag] role 'tagger' must return probabilities from 0 to 1; got ") &&
                        ContainsSubstring(" to 1.5 for loud or one of the clips after it"));
  loud.waveform[100] = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(tagger.tag({loud}), ContainsSubstring("[embedding.tag] a waveform must be finite; got NaN or Inf"));
  CHECK_THROWS_WITH(tagger.tag({loud}, {1.5, 0}), ContainsSubstring("batch must be a positive number; got 0"));
  CHECK_THROWS_WITH(tagger.tag({clip("s", 0.5)}), ContainsSubstring("a clip must last at least one window of 1 s"));
  CHECK_THROWS_WITH(Tagger(tiny("good")), ContainsSubstring("must fill role 'tagger'; got music_embedder"));
}

TEST_CASE("a network that gives NaN for a clip says for which", "[models]") {
  const Embedder embedder(tiny("nan_when_loud"), "music_embedder");
  Clip loud = clip("loud", 3);
  loud.waveform[100] = 1.5;
  CHECK_THROWS_WITH(embedder.embed({clip("soft", 3), loud}, {1.5, 1}), ContainsSubstring("got NaN or Inf for loud"));
}
