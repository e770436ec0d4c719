#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/retrieval/index/code_lists.h"
#include "mmra/retrieval/index/graph_walk.h"
#include "mmra/retrieval/index/scalar_codes.h"
#include "mmra/retrieval/index/search_effort.h"

namespace faiss {
struct Index;
}

namespace mmra::retrieval {

/// How an index is made.
struct IndexBuild {
  std::string spec;  ///< FAISS's factory string, e.g. HNSW32
  int num_threads = 1;
  std::stop_token stop = {};
  std::function<void(std::size_t num_added)> added = {};
};

/// An approximate index over vectors of at most unit length by inner product: one of FAISS's
/// (github.com/facebookresearch/faiss, 1.7), and for its HNSW graphs and its lists of packed codes
/// searches of our own, which can filter and are compiled for the processor. Vectors are known by
/// their place, 0 … n − 1. Immutable; thread-safe.
class FaissIndex {
 public:
  /// Of row-major [n × dim] vectors. Trained on a sample of them where the kind wants training.
  /// Throws Error{kInvalidInput} where FAISS knows no such spec, or it needs another dimension or
  /// more vectors; Interrupted.
  [[nodiscard]] static FaissIndex build(const IndexBuild& how, std::span<const float> vectors,
                                        std::size_t dim);
  /// Reads what write() wrote. The bytes must be those, by a checksum: FAISS follows them without
  /// looking. Throws Error{kCorruptData} where FAISS sees that they are not.
  [[nodiscard]] static FaissIndex read(std::span<const std::byte> bytes);
  /// Throws Error{kInvalidInput} where FAISS knows no such spec for this dimension.
  static void check_spec(const std::string& spec, std::size_t dim);
  /// How many vectors it takes at least to make such an index, at least 1. Throws as check_spec().
  [[nodiscard]] static std::size_t num_needed(const std::string& spec, std::size_t dim);
  /// The spec for a part of a bank that is to have such an index: fewer inverted lists where it has
  /// few vectors, so that it is trained in a time that its size is worth.
  [[nodiscard]] static std::string spec_for_part(const std::string& spec, std::size_t num_vectors);

  FaissIndex(FaissIndex&& other) noexcept;
  FaissIndex& operator=(FaissIndex&& other) noexcept;
  ~FaissIndex();

  void write(const std::function<void(const void* data, std::size_t size)>& sink) const;

  [[nodiscard]] std::size_t num_vectors() const;
  [[nodiscard]] std::size_t dim() const;
  /// The vectors themselves, row-major, where it keeps them as they are; else empty.
  [[nodiscard]] std::span<const float> vectors() const;

  /// Whether scores are so rough that whoever asks must compare what is found with the vectors.
  [[nodiscard]] bool only_proposes() const;
  /// Whether how many places must be proposed is to be measured (SearchEffort::places).
  [[nodiscard]] bool places_are_measured() const { return code_lists_ != nullptr; }

  /// The widths that a search may have: more of it is slower and finds more (efSearch of a graph,
  /// nprobe of inverted lists). 0 where the kind has no such thing.
  [[nodiscard]] int least_width() const;
  [[nodiscard]] int most_width() const;
  /// Whether a search among few admitted vectors finds less than one of the same width among all.
  /// Of a graph it does not: it walks on until it has found enough that are admitted.
  [[nodiscard]] bool looks_wider_for_filters() const;
  /// For a kind whose width cannot be told with each search; before the first one.
  void set_width(int width);
  /// What a search costs of which `share` of all places are admitted, in vectors
  /// that follow each other in memory and are compared with the query.
  [[nodiscard]] double cost_of(SearchEffort effort, double share) const;
  /// How many places to ask for, so that the k best are most likely among them: more of a kind that
  /// keeps vectors in fewer bits.
  [[nodiscard]] std::size_t places_for(std::size_t k, SearchEffort effort) const;

  /// The best `count` admitted places (null: all are), the best first unless it only_proposes();
  /// fewer where it finds no more.
  /// `share`: of all places, how many are admitted, about. `end`: those from it on are not, as
  /// `admits` says too; codes in lists are not even looked at then. `prepared`: the query's own of
  /// prepare(), or nothing. `without_place`: a graph is walked as if this one were not there. On
  /// the calling thread alone.
  [[nodiscard]] std::vector<Found> search(std::span<const float> query, std::size_t count,
                                          int width, const Admission* admits, double share,
                                          std::size_t end = SIZE_MAX,
                                          std::span<const float> prepared = {},
                                          std::int32_t without_place = -1) const;
  /// What searches of these queries, row-major [n × dim], begin with, as many floats of each, or
  /// nothing: several together take less time than one after the other.
  [[nodiscard]] std::vector<float> prepare(std::span<const float> queries) const;

 private:
  explicit FaissIndex(std::unique_ptr<faiss::Index> index);
  [[nodiscard]] std::vector<Found> search_by_faiss(std::span<const float> query, std::size_t count,
                                                   int width, const Admission* admits,
                                                   double share) const;
  [[nodiscard]] std::vector<Found> search_code_lists(std::span<const float> query,
                                                     std::size_t count, int width,
                                                     const Admission* admits, std::size_t end,
                                                     std::span<const float> prepared) const;

  std::unique_ptr<faiss::Index> index_;
  // Of its lists of packed codes, and of a graph over vectors in bytes, where it has them.
  std::unique_ptr<const CodeLists> code_lists_;
  std::unique_ptr<const ScalarCodes> scalar_codes_;
};

}  // namespace mmra::retrieval
