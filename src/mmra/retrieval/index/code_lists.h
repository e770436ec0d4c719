#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mmra/retrieval/byte_vectors.h"
#include "mmra/retrieval/index/graph_walk.h"

namespace faiss {
struct IndexIVFPQFastScan;
}

namespace mmra::retrieval {

/// Searches FAISS's inverted lists of vectors in codes of four bits a part ("IVF1024,PQ64x4fs") as
/// ScaNN does (Guo et al., arXiv:1908.10396): the lists whose centres are most similar to the query
/// are scanned by looking up what each code adds (packed_codes.h), and the best are only proposed:
/// whoever asks compares the vectors themselves. FAISS's own search of these cannot filter, and
/// Debian's is compiled without AVX2. Thread-safe.
class CodeLists {
 public:
  /// Throws Error{kInvalidInput} where its blocks are not of 32 vectors ("PQ64x4fs_64").
  static void require_blocks(const faiss::IndexIVFPQFastScan& index);

  /// Of an index that outlives this and changes no more. Throws as require_blocks(), and
  /// Error{kCorruptData} where a list is not in the order of places.
  explicit CodeLists(const faiss::IndexIVFPQFastScan& index);

  [[nodiscard]] std::size_t num_lists() const { return lists_.size(); }

  /// [n × num_lists()]: how similar queries, row-major [n × dim], are to the lists' centres, to
  /// within what bytes leave of them (byte_vectors.h); several queries together take less time.
  [[nodiscard]] std::vector<float> score_lists(std::span<const float> queries) const;

  /// The best `count` places before `end`, in any order, that are admitted (null: all are), of the
  /// `num_probed` lists that are nearest to the query. Lists are in the order of places, and each
  /// is scanned up to `end` only. Scores are approximate.
  /// `list_scores`: the query's own of score_lists().
  [[nodiscard]] std::vector<Found> search(std::span<const float> query,
                                          std::span<const float> list_scores, std::size_t count,
                                          std::size_t num_probed, std::size_t end,
                                          const Admission* admits) const;

 private:
  struct List {
    const std::uint8_t* codes;
    std::size_t begin;  ///< of its vectors, in places_
    std::size_t size;
  };
  struct Scratch;
  class Scan;

  void choose_lists(std::span<const float> scores, std::size_t count, Scratch& scratch) const;
  [[nodiscard]] std::size_t count_before(const List& list, std::size_t end) const;
  void prefetch_codes(const List& list) const;
  void fill_tables(std::span<const float> query, Scratch& scratch) const;

  std::size_t dim_;
  std::size_t num_parts_;  ///< as packed: even
  std::size_t dims_of_part_;
  bool codes_are_of_residuals_;  ///< a vector is its list's centre and what its code says
  std::vector<List> lists_;
  std::vector<std::int32_t> places_;  ///< of list after list; ascending within each
  ByteVectors centres_;
  std::vector<float> codebooks_;  ///< [components × 16]: a component of each of its part's codes
};

}  // namespace mmra::retrieval
