#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/retrieval/index/graph_walk.h"

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
/// (github.com/facebookresearch/faiss, 1.7), and for its HNSW graphs a walk of our own, which can
/// filter and is compiled for the processor. Vectors are known by their place, 0 … n − 1.
/// Immutable; thread-safe.
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

  FaissIndex(FaissIndex&& other) noexcept;
  FaissIndex& operator=(FaissIndex&& other) noexcept;
  ~FaissIndex();

  void write(const std::function<void(const void* data, std::size_t size)>& sink) const;

  [[nodiscard]] std::size_t num_vectors() const;
  [[nodiscard]] std::size_t dim() const;
  /// The vectors themselves, row-major, where it keeps them as they are; else empty.
  [[nodiscard]] std::span<const float> vectors() const;

  /// The widths that a search may have, ascending: more of it is slower and finds more (efSearch of
  /// a graph, nprobe of inverted lists). At least one; 0 where the kind has no such thing.
  [[nodiscard]] std::vector<int> widths() const;
  /// For a kind whose width cannot be told with each search; before the first one.
  void set_width(int width);
  /// What a search of this width costs, in vectors that follow each other in memory and are
  /// compared with the query.
  [[nodiscard]] double num_looked_at(int width) const;
  /// How many places to ask for, so that the k best are most likely among them: more of a kind that
  /// keeps vectors in fewer bits.
  [[nodiscard]] std::size_t places_for(int k) const;

  /// The best `count` admitted places (null: all are), best first; fewer where it finds no more.
  /// `share`: of all places, how many are admitted, about. On the calling thread alone.
  [[nodiscard]] std::vector<Found> search(std::span<const float> query, std::size_t count,
                                          int width, const Admission* admits, double share) const;

 private:
  explicit FaissIndex(std::unique_ptr<faiss::Index> index);
  [[nodiscard]] std::vector<Found> search_by_faiss(std::span<const float> query, std::size_t count,
                                                   int width, const Admission* admits,
                                                   double share) const;

  std::unique_ptr<faiss::Index> index_;
};

}  // namespace mmra::retrieval
