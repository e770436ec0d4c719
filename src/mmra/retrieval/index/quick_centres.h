#pragma once

#include <faiss/IndexFlat.h>

#include <cstddef>
#include <optional>

#include "mmra/retrieval/byte_vectors.h"

namespace mmra::retrieval {

/// The centres of inverted lists as FAISS's quantizer, while these are trained and filled: the
/// nearest of each vector is found through bytes (byte_vectors.h), so that of two that are as near
/// but for a hundredth it may be either. FAISS writes it as the IndexFlatIP that it is.
class QuickCentres final : public faiss::IndexFlatIP {
 public:
  QuickCentres(std::size_t dim, int num_threads);
  void add(idx_t n, const float* x) override;
  void reset() override;
  void search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
              const faiss::SearchParameters* params = nullptr) const override;

 private:
  void find_nearest(std::size_t count, const float* x, float* scores, idx_t* labels) const;

  std::optional<ByteVectors> bytes_;
  int num_threads_;
};

}  // namespace mmra::retrieval
