#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "brain2music/retrieval/index.h"
#include "catch.h"
#include "oracle.h"

using brain2music::retrieval::Index;
using brain2music::retrieval::IndexSource;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> numbered(int64_t n) {
  std::vector<std::string> ids;
  for (int64_t i = 0; i < n; ++i) {
    ids.push_back("genre/track " + std::to_string(i) + " \xC3\xA9");
  }
  return ids;
}

fs::path fresh(const std::string& name) {
  const fs::path folder = oracle_path(name);
  fs::remove_all(folder);
  return folder;
}

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// An index whose file `name` has `old` replaced.
fs::path edited(const std::string& name, const std::string& old, const std::string& replacement) {
  const fs::path folder = fresh("edited.index");
  Index(at::randn({40, 6}), numbered(40), {"abc", "music_embedder", 10, 1.5, 15, {}, {{"bad.mp3", "no audio"}}, {}})
      .save(folder);
  std::string text = bytes_of(folder / name);
  const auto at = text.find(old);
  REQUIRE(at != std::string::npos);
  text.replace(at, old.size(), replacement);
  std::ofstream(folder / name, std::ios::binary) << text;
  return folder;
}

}  // namespace

TEST_CASE("an index finds what NumPy finds, on every device, whatever the lengths", "[retrieval][cuda]") {
  const at::Tensor items = oracle("cosine_wide_items");
  const at::Tensor queries = oracle("cosine_wide_queries");
  const Index index(items * 3, numbered(items.size(0)));
  CHECK(at::linalg_vector_norm(index.vectors(), 2, {1}).sub(1).abs().max().item<float>() < 1e-6);
  for (const at::Device device : devices()) {
    const auto best = index.search(queries.to(device), 10);
    CHECK(best.scores.device().type() == device.type());
    CHECK(identical(best.indices, oracle("cosine_wide_indices")));
    CHECK((best.scores.cpu() - oracle("cosine_wide_scores")).abs().max().item<float>() < 1e-6);
  }
  const auto best = index.search(queries.to(at::kHalf), 1);
  CHECK(best.scores.scalar_type() == at::kFloat);
}

TEST_CASE("windows are averaged", "[retrieval]") {
  const Index index(at::randn({300, 8}), numbered(300));
  const at::Tensor windows = at::randn({5, 4, 8});
  const auto best = index.search(windows, 7);
  const auto expected = index.search(windows.to(at::kDouble).mean(1), 7);
  CHECK(identical(best.scores, expected.scores));
  CHECK(identical(best.indices, expected.indices));
}

TEST_CASE("what is saved is opened: vectors mapped, everything else the same", "[retrieval]") {
  const fs::path folder = fresh("saved.index");
  const IndexSource source{
      "abc", "music_embedder", 10, 1.5, 15, {"a.mp3", "b/c.wav", "d.au"}, {{"x\t.mp3", "no \"audio\""}}, "def"};
  const Index index(at::randn({3, 5}), {"a", "b/c", "d"}, source);
  index.save(folder);
  const Index opened = Index::open(folder, /*verify=*/true);
  CHECK(identical(opened.vectors(), index.vectors()));
  CHECK(opened.ids() == index.ids());
  CHECK(opened.source().files == source.files);
  CHECK(opened.source().bundle_hash == "abc");
  CHECK(opened.source().network_hash == "def");
  CHECK(opened.source().role == "music_embedder");
  CHECK(opened.source().window == 10);
  CHECK(opened.source().hop == 1.5);
  CHECK(opened.source().seconds == 15);
  REQUIRE(opened.source().skipped.size() == 1);
  CHECK(opened.source().skipped[0].file == "x\t.mp3");
  CHECK(opened.source().skipped[0].reason == "no \"audio\"");
  const fs::path again = fresh("again.index");
  opened.save(again);
  for (const auto* name : {"index.json", "vectors.npy", "ids.tsv"}) {
    CHECK(bytes_of(again / name) == bytes_of(folder / name));
  }
  CHECK_THROWS_WITH(index.save(folder), ContainsSubstring("must not be there yet"));
  CHECK_THROWS_WITH(index.save(oracle_path("no/such/folder")), ContainsSubstring("must be writable"));
}

TEST_CASE("broken indexes are refused by file and field", "[retrieval]") {
  const auto refused = [](const std::string& name, const std::string& old, const std::string& replacement,
                          const std::string& words) {
    const fs::path folder = edited(name, old, replacement);
    CHECK_THROWS_WITH(Index::open(folder), ContainsSubstring("[retrieval.Index.open]") && ContainsSubstring(words) &&
                                               ContainsSubstring("edited.index"));
  };
  refused("index.json", "\"version\": 1", "\"version\": 2", "version must be 1 (what this brain2music reads); got 2");
  refused("index.json", "brain2music index", "other", "format must be 'brain2music index'; got 'other'");
  refused("index.json", "\"count\": 40", "\"count\": -40", "count must be a count; got -40");
  refused("index.json", "\"count\": 40", "\"c\": 40", "count must be there; got none");
  refused("index.json", "float32", "float16", "dtype must be 'float32'; got 'float16'");
  refused("index.json", "\"window\": 10.0", "\"window\": \"10\"", "window must be a number of seconds; got \"10\"");
  refused("index.json", "\"network_hash\": \"", "\"network_hash\": 1, \"x\": \"", "network_hash must be text; got 1");
  refused("index.json", "no audio\"", "no audio\", \"file\": \"y\"", "a key must stand once");
  refused("index.json", "\"reason\"", "\"because\"", "skipped[0].reason must be there");
  refused("index.json", "{", "[", "must be JSON");
  refused("ids.tsv", "id\tfile", "id\tpath", "columns must be id and file; got 'id\tpath'");
  refused("ids.tsv", "track 3 ", "track\t3 ", "an id and a file; got something else in row 4");
  refused("ids.tsv", "track 3 ", "track 33 ", "files.ids.tsv.bytes must be the size of the file, ");
  CHECK_THROWS_WITH(Index::open(edited("index.json", "\"count\": 40", "\"count\": 41")),
                    ContainsSubstring("[41, 6]; got Float of shape [40, 6]") && ContainsSubstring("vectors.npy"));
  const fs::path damaged = edited("vectors.npy", "\n", " ");
  CHECK_THROWS_WITH(Index::open(damaged, /*verify=*/true),
                    ContainsSubstring("files.vectors.npy.sha256 must be the hash"));
  const fs::path missing = edited("ids.tsv", "id", "id");
  fs::remove(missing / "vectors.npy");
  CHECK_THROWS_WITH(Index::open(missing), ContainsSubstring("No such file") && ContainsSubstring("vectors.npy"));
  CHECK_THROWS_WITH(Index::open(oracle_path("none.index")), ContainsSubstring("index.json"));
}

TEST_CASE("every one-byte change of a header or a table gives an index or an error", "[retrieval]") {
  const fs::path folder = edited("index.json", "10", "10");
  int refused = 0;
  for (const std::string name : {"index.json", "ids.tsv"}) {
    const std::string good = bytes_of(folder / name);
    for (std::size_t i = 0; i < good.size(); i += 11) {
      for (const char byte : {'\0', '\x7f', '\xff', '"', '9', '\n'}) {
        std::string bad = good;
        bad[i] = byte;
        std::ofstream(folder / name, std::ios::binary) << bad;
        try {
          (void)Index::open(folder).search(at::randn({1, 6}), 3);
        } catch (const std::runtime_error&) {
          ++refused;
        }
      }
    }
    std::ofstream(folder / name, std::ios::binary) << good;
  }
  CHECK(refused > 100);
}

TEST_CASE("an index refuses what it cannot hold or search", "[retrieval]") {
  const at::Tensor x = at::randn({4, 3});
  at::Tensor bad = x.clone();
  bad[2].zero_();
  CHECK_THROWS_WITH(Index(bad, numbered(4)), ContainsSubstring("a direction; got zeros only at item 2"));
  bad[2][1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(Index(bad, numbered(4)), ContainsSubstring("finite in float32; got nan at item 2, dimension 1"));
  CHECK_THROWS_WITH(Index(x.to(at::kDouble) * 1e60, numbered(4)), ContainsSubstring("finite in float32; got "));
  CHECK_THROWS_WITH(Index(x, numbered(3)), ContainsSubstring("an id for each of 4 embeddings; got 3"));
  CHECK_THROWS_WITH(Index(x, {"a", "b", "c", "a"}), ContainsSubstring("got 'a' twice"));
  CHECK_THROWS_WITH(Index(x, {"a", "b", "c", "d\te"}), ContainsSubstring("without tab or line end"));
  CHECK_THROWS_WITH(Index(x, {"a", "b", "c", "\xFF"}), ContainsSubstring("UTF-8"));
  CHECK_THROWS_WITH(Index(x.narrow(0, 0, 0), {}), ContainsSubstring("an item or more; got shape [0, 3]"));
  CHECK_THROWS_WITH(Index(x, numbered(4), {"", "", 0, 0, 0, {"a"}, {}, {}}),
                    ContainsSubstring("a file for each of 4 ids"));
  const Index index(x, numbered(4));
  CHECK_THROWS_WITH(index.search(at::zeros({2, 4}), 1), ContainsSubstring("(queries, windows, 3); got shape [2, 4]"));
  CHECK_THROWS_WITH(index.search(x, 5), ContainsSubstring("number of items, 4; got 5"));
  CHECK_THROWS_WITH(index.search(bad.unsqueeze(1), 1), ContainsSubstring("got nan at query 2, window 0, dimension 1"));
  CHECK_THROWS_WITH(index.search(bad, 1), ContainsSubstring("got nan at query 2, dimension 1"));
  CHECK_THROWS_WITH(index.search(at::zeros({1, 3}), 1), ContainsSubstring("not all zero"));
  CHECK_THROWS_WITH(index.search(at::zeros({1, 0, 3}), 1), ContainsSubstring("a window or more"));
  CHECK_THROWS_WITH(index.search(x.to(at::kBool), 1), ContainsSubstring("real numbers; got Bool"));
}

TEST_CASE("threads may search one index at once", "[retrieval]") {
  const Index index(at::randn({2000, 16}), numbered(2000));
  const at::Tensor queries = at::randn({30, 16});
  std::vector<at::Tensor> found(4);
  std::vector<std::thread> threads;
  for (at::Tensor& indices : found) {
    threads.emplace_back([&] { indices = index.search(queries, 5).indices; });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const at::Tensor& indices : found) {
    CHECK(identical(indices, found[0]));
  }
}
