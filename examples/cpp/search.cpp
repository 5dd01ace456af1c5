// Finds the most similar tracks of a music library: search INDEX QUERIES.npy [K]
// INDEX is a folder that brain2music.Corpus wrote; QUERIES.npy holds embeddings, (queries, dimensions) or (queries,
// windows, dimensions). Prints query, rank, cosine and id, separated by tabs.
#include <brain2music/io/npy.h>
#include <brain2music/retrieval/index.h>

#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: %s INDEX QUERIES.npy [K]\n", argv[0]);
    return 2;
  }
  try {
    const auto index = brain2music::retrieval::Index::open(argv[1]);
    const at::Tensor queries = brain2music::io::load_npy(argv[2]);
    const auto [scores, rows] = index.search(queries, argc == 4 ? std::stol(argv[3]) : 10);
    std::printf("query\trank\tcosine\tid\n");
    for (int64_t query = 0; query < rows.size(0); ++query) {
      for (int64_t rank = 0; rank < rows.size(1); ++rank) {
        const auto row = rows[query][rank].item<int64_t>();
        std::printf("%ld\t%ld\t%.6f\t%s\n", query, rank + 1, scores[query][rank].item<float>(),
                    index.ids()[row].c_str());
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
