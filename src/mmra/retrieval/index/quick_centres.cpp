#include "mmra/retrieval/index/quick_centres.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "mmra/core/threads.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

// So many scores stay in the cache until they have been looked at.
constexpr std::size_t kVectorsAtATime = 128;
constexpr std::size_t kCentresAtATime = 1024;

}  // namespace

QuickCentres::QuickCentres(std::size_t dim, int num_threads)
    : IndexFlatIP(static_cast<idx_t>(dim)), num_threads_(num_threads) {}

void QuickCentres::add(idx_t n, const float* x) {
  IndexFlatIP::add(n, x);
  const auto dim = static_cast<std::size_t>(d);
  bytes_.emplace(std::span(get_xb(), static_cast<std::size_t>(ntotal) * dim), dim, num_threads_);
}

void QuickCentres::reset() {
  IndexFlatIP::reset();
  bytes_.reset();
}

void QuickCentres::search(idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
                          const faiss::SearchParameters* params) const {
  if (k != 1 || !bytes_) {
    IndexFlatIP::search(n, x, k, distances, labels, params);
    return;
  }
  parallel_for(static_cast<std::size_t>(n), kVectorsAtATime, num_threads_,
               [&](std::size_t begin, std::size_t end) {
                 find_nearest(end - begin, x + begin * static_cast<std::size_t>(d),
                              distances + begin, labels + begin);
               });
}

void QuickCentres::find_nearest(std::size_t count, const float* x, float* scores,
                                idx_t* labels) const {
  const auto dim = static_cast<std::size_t>(d);
  const ByteQueries queries({x, count * dim}, *bytes_);
  std::fill_n(scores, count, -std::numeric_limits<float>::infinity());
  std::fill_n(labels, count, idx_t{0});
  std::vector<std::int32_t> dots;
  std::vector<float> of_centres(count * kCentresAtATime);
  for (std::size_t first = 0; first < bytes_->num_rows(); first += kCentresAtATime) {
    const std::size_t width = std::min(kCentresAtATime, bytes_->num_rows() - first);
    bytes_->score(queries, 0, count, first, width, dots, of_centres);
    for (std::size_t q = 0; q < count; ++q) {
      const float* of_query = of_centres.data() + q * width;
      for (std::size_t i = find_at_least(of_query, width, 0, scores[q]); i < width;
           i = find_at_least(of_query, width, i + 1, scores[q])) {
        if (of_query[i] == scores[q]) continue;  // the first of equals
        scores[q] = of_query[i];
        labels[q] = static_cast<idx_t>(first + i);
      }
    }
  }
}

}  // namespace mmra::retrieval
