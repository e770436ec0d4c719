#include "mmra/retrieval/index/code_lists.h"

#include <faiss/IndexIVFPQFastScan.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "mmra/core/error.h"
#include "mmra/core/vectorised.h"
#include "mmra/retrieval/index/packed_codes.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

constexpr std::size_t kCodes = 16;
constexpr std::size_t kRoom = 3;
// So many blocks are scanned by one threshold.
constexpr std::size_t kBlocksAtATime = 8;
constexpr float kLargestEntry = 255.0F;
// Rounding may add half a unit for each part.
constexpr float kLargestSum = 65'000.0F;
// Far beyond what vectors of unit length make of it.
constexpr float kLargestOffset = 1e9F;

/// to [num_parts × 16] = the inner product of each part of the query with what each code means;
/// lows and spans [num_parts]: the smallest, and how much larger the largest is.
MMRA_VECTORISED void multiply_parts(const float* query, std::size_t num_parts,
                                    std::size_t dims_of_part, const float* codebooks, float* to,
                                    float* lows, float* spans) {
  for (std::size_t part = 0; part < num_parts; ++part) {
    float sums[kCodes] = {};
    for (std::size_t i = 0; i < dims_of_part; ++i, codebooks += kCodes) {
      for (std::size_t code = 0; code < kCodes; ++code) sums[code] += *query * codebooks[code];
      ++query;
    }
    float low = sums[0];
    float high = sums[0];
    for (std::size_t code = 0; code < kCodes; ++code) {
      low = std::min(low, sums[code]);
      high = std::max(high, sums[code]);
      to[part * kCodes + code] = sums[code];
    }
    lows[part] = low;
    spans[part] = high - low;
  }
}

MMRA_VECTORISED void round_parts(const float* products, std::size_t num_parts, const float* lows,
                                 float scale, std::uint8_t* to) {
  for (std::size_t part = 0; part < num_parts; ++part) {
    for (std::size_t code = 0; code < kCodes; ++code) {
      const float entry = (products[part * kCodes + code] - lows[part]) * scale;
      // Never negative, and lround() is not vectorised.
      // NOLINTNEXTLINE(bugprone-incorrect-roundings)
      to[part * kCodes + code] = static_cast<std::uint8_t>(static_cast<int>(entry + 0.5F));
    }
  }
}

ByteVectors centres_of(const faiss::Index& quantizer) {
  const auto dim = static_cast<std::size_t>(quantizer.d);
  std::vector<float> rows(static_cast<std::size_t>(quantizer.ntotal) * dim);
  quantizer.reconstruct_n(0, quantizer.ntotal, rows.data());
  return {rows, dim, 1};
}

std::vector<float> codebooks_of(const faiss::ProductQuantizer& quantizer) {
  std::vector<float> codebooks;
  codebooks.reserve(quantizer.d * kCodes);
  for (std::size_t part = 0; part < quantizer.M; ++part) {
    for (std::size_t i = 0; i < quantizer.dsub; ++i) {
      for (std::size_t code = 0; code < kCodes; ++code) {
        codebooks.push_back(quantizer.get_centroids(part, code)[i]);
      }
    }
  }
  return codebooks;
}

struct ScoredList {
  float score;
  std::uint32_t list;
};

bool is_nearer(const ScoredList& a, const ScoredList& b) {
  return a.score != b.score ? a.score > b.score : a.list < b.list;
}

/// A sum and where in all lists its vector is as one number: the larger is the better, ties by the
/// latter.
std::int64_t key_of(std::int32_t sum, std::size_t at) {
  return static_cast<std::int64_t>(sum) * (std::int64_t{1} << 32) +
         (UINT32_MAX - static_cast<std::int64_t>(at));
}
std::int32_t sum_of(std::int64_t key) { return static_cast<std::int32_t>(key >> 32); }
std::size_t position_of(std::int64_t key) {
  return static_cast<std::size_t>(UINT32_MAX - (key & UINT32_MAX));
}

}  // namespace

void CodeLists::require_blocks(const faiss::IndexIVFPQFastScan& index) {
  if (index.bbs == static_cast<int>(kVectorsOfBlock) && index.pq.nbits == 4) return;
  throw Error(ErrorKind::kInvalidInput, "codes in blocks of " + std::to_string(index.bbs) +
                                            " are not searched here, only those of 32");
}

/// Room to work in, kept from search to search; one a thread.
struct CodeLists::Scratch {
  std::vector<ScoredList> chosen;  ///< the nearest first
  std::vector<float> products;     ///< [parts × 16]
  std::vector<float> lows;         ///< of each part
  std::vector<float> spans;
  std::vector<std::uint8_t> tables;  ///< [parts × 16]: (product − low) · scale, rounded
  float base = 0.0F;                 ///< the sum of all lows
  float scale = 1.0F;
  std::vector<std::int64_t> keys;
};

CodeLists::CodeLists(const faiss::IndexIVFPQFastScan& index)
    : dim_(static_cast<std::size_t>(index.d)),
      num_parts_(index.M2),
      dims_of_part_(index.pq.dsub),
      codes_are_of_residuals_(index.by_residual),
      centres_(centres_of(*index.quantizer)),
      codebooks_(codebooks_of(index.pq)) {
  require_blocks(index);
  for (std::size_t list = 0; list < index.nlist; ++list) {
    const std::span<const std::int64_t> places(index.invlists->get_ids(list),
                                               index.invlists->list_size(list));
    const bool are_places = places.empty() || (places.front() >= 0 && places.back() < index.ntotal);
    if (!are_places || !std::is_sorted(places.begin(), places.end())) {
      throw Error(ErrorKind::kCorruptData, "a list whose vectors are not in their order");
    }
    lists_.push_back({index.invlists->get_codes(list), places_.size(), places.size()});
    places_.insert(places_.end(), places.begin(), places.end());
  }
}

std::vector<float> CodeLists::score_lists(std::span<const float> queries) const {
  const ByteQueries coded(queries, centres_);
  std::vector<float> scores(coded.size() * num_lists());
  std::vector<std::int32_t> dots;
  centres_.score(coded, 0, coded.size(), 0, num_lists(), dots, scores);
  return scores;
}

void CodeLists::choose_lists(std::span<const float> scores, std::size_t count,
                             Scratch& scratch) const {
  std::vector<ScoredList>& chosen = scratch.chosen;
  chosen.clear();
  count = std::min(count, scores.size());
  // As with codes: keeps what may be among the best, and makes room when there is twice as much.
  float least = -std::numeric_limits<float>::infinity();
  for (std::size_t i = find_at_least(scores.data(), scores.size(), 0, least); i < scores.size();
       i = find_at_least(scores.data(), scores.size(), i + 1, least)) {
    chosen.push_back({scores[i], static_cast<std::uint32_t>(i)});
    if (chosen.size() < 2 * count) continue;
    std::nth_element(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(count) - 1,
                     chosen.end(), is_nearer);
    chosen.resize(count);
    least = chosen.back().score;
  }
  const auto end = chosen.begin() + static_cast<std::ptrdiff_t>(std::min(count, chosen.size()));
  std::partial_sort(chosen.begin(), end, chosen.end(), is_nearer);
  chosen.erase(end, chosen.end());
}

void CodeLists::fill_tables(std::span<const float> query, Scratch& scratch) const {
  const std::size_t num_parts = dim_ / dims_of_part_;
  scratch.products.resize(num_parts * kCodes);
  scratch.lows.resize(num_parts);
  scratch.spans.resize(num_parts);
  scratch.tables.assign(num_parts_ * kCodes, 0);
  multiply_parts(query.data(), num_parts, dims_of_part_, codebooks_.data(), scratch.products.data(),
                 scratch.lows.data(), scratch.spans.data());
  scratch.base = std::accumulate(scratch.lows.begin(), scratch.lows.end(), 0.0F);
  const float largest = *std::max_element(scratch.spans.begin(), scratch.spans.end());
  const float all = std::accumulate(scratch.spans.begin(), scratch.spans.end(), 0.0F);
  // Where no code differs from another, lists alone say something.
  scratch.scale =
      largest > 0.0F ? std::min(kLargestEntry / largest, kLargestSum / all) : kLargestSum;
  round_parts(scratch.products.data(), num_parts, scratch.lows.data(), scratch.scale,
              scratch.tables.data());
}

/// How many of a list's places come before `end`. Most lists have vectors of all times: about where
/// it must be is looked first, since each look somewhere else is one at memory far away.
std::size_t CodeLists::count_before(const List& list, std::size_t end) const {
  if (end >= places_.size() || list.size == 0) return list.size;
  const std::span<const std::int32_t> places = std::span(places_).subspan(list.begin, list.size);
  const auto is_before = [&](std::size_t i) { return static_cast<std::size_t>(places[i]) < end; };
  const std::size_t guess = std::min(list.size - 1, list.size * end / places_.size());
  std::size_t low = 0;           // all before it are before `end`
  std::size_t high = list.size;  // it and all behind it are not
  for (std::size_t step = 4; step <= 2 * list.size; step *= 2) {
    if (is_before(guess)) {
      low = std::max(low, guess + 1);
      const std::size_t at = guess + step;
      if (at >= list.size) break;
      if (!is_before(at)) {
        high = at;
        break;
      }
      low = at + 1;
    } else {
      high = std::min(high, guess);
      if (step > guess) break;
      if (is_before(guess - step)) {
        low = guess - step + 1;
        break;
      }
      high = guess - step;
    }
  }
  const auto begin = places.begin();
  return static_cast<std::size_t>(std::lower_bound(begin + static_cast<std::ptrdiff_t>(low),
                                                   begin + static_cast<std::ptrdiff_t>(high),
                                                   static_cast<std::int32_t>(end)) -
                                  begin);
}

/// Begins to bring the beginning of a list to the processor, which then sees where it goes on.
void CodeLists::prefetch_codes(const List& list) const {
  constexpr std::size_t kCacheLine = 64;
  constexpr std::size_t kBlocksAhead = 4;
  const std::size_t num_blocks =
      std::min(kBlocksAhead, (list.size + kVectorsOfBlock - 1) / kVectorsOfBlock);
  const std::size_t num_bytes = num_blocks * num_parts_ * kBytesOfPart;
  for (std::size_t i = 0; i < num_bytes; i += kCacheLine) __builtin_prefetch(list.codes + i);
}

/// One search: keeps what may be among the best `count`, and raises the threshold each time that
/// there are several times as many.
class CodeLists::Scan {
 public:
  Scan(const CodeLists& of, Scratch& scratch, std::size_t count, const Admission* admits)
      : of_(of), scratch_(scratch), keys_(scratch.keys), count_(count), admits_(admits) {
    keys_.clear();
  }

  /// The places of a list that come before `end`. `offset`: what each sum is larger, in their unit.
  void look_through(const List& list, std::size_t end, std::int32_t offset) {
    const std::size_t size = of_.count_before(list, end);
    const std::size_t block_bytes = of_.num_parts_ * kBytesOfPart;
    constexpr std::size_t kStep = kBlocksAtATime * kVectorsOfBlock;
    for (std::size_t first = 0; first < size; first += kStep) {
      // A sum has 16 bits: what cannot reach the threshold with any is passed over.
      const std::int64_t least = std::max<std::int64_t>(0, std::int64_t{least_} - offset);
      if (least > UINT16_MAX) return;
      const std::size_t step = std::min(kStep, size - first);
      const std::size_t num_blocks = (step + kVectorsOfBlock - 1) / kVectorsOfBlock;
      scan_blocks(list.codes + first / kVectorsOfBlock * block_bytes, num_blocks, of_.num_parts_,
                  scratch_.tables.data(), static_cast<std::uint16_t>(least), sums_, masks_);
      take(list.begin + first, step, offset);
    }
  }

  std::vector<Found> finish() {
    if (keys_.size() > count_) shrink();
    std::vector<Found> found(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      const float sum = static_cast<float>(sum_of(keys_[i]));
      found[i] = {of_.places_[position_of(keys_[i])], scratch_.base + sum / scratch_.scale};
    }
    return found;
  }

 private:
  /// What was scanned from `begin` in all lists on.
  void take(std::size_t begin, std::size_t count, std::int32_t offset) {
    for (std::size_t first = 0; first < count; first += kVectorsOfBlock) {
      std::uint32_t mask = masks_[first / kVectorsOfBlock];
      if (const std::size_t rest = count - first; rest < kVectorsOfBlock) {
        mask &= (std::uint32_t{1} << rest) - 1;  // the last block is filled up with anything
      }
      for (; mask != 0; mask &= mask - 1) {
        const std::size_t at = first + static_cast<std::size_t>(__builtin_ctz(mask));
        add(sums_[at] + offset, begin + at);
      }
    }
  }

  void add(std::int32_t sum, std::size_t at) {
    if (sum < least_) return;
    if (admits_ != nullptr && !(*admits_)(static_cast<std::size_t>(of_.places_[at]))) return;
    keys_.push_back(key_of(sum, at));
    if (keys_.size() < kRoom * count_) return;
    shrink();
    least_ = sum_of(keys_.back());
  }

  /// To the best, the worst of which comes last.
  void shrink() {
    const auto end = keys_.begin() + static_cast<std::ptrdiff_t>(count_);
    std::nth_element(keys_.begin(), end - 1, keys_.end(), std::greater<>());
    keys_.erase(end, keys_.end());
  }

  const CodeLists& of_;
  Scratch& scratch_;
  std::vector<std::int64_t>& keys_;
  std::size_t count_;
  const Admission* admits_;
  std::int32_t least_ = INT32_MIN;
  std::uint16_t sums_[kBlocksAtATime * kVectorsOfBlock];
  std::uint32_t masks_[kBlocksAtATime];
};

std::vector<Found> CodeLists::search(std::span<const float> query,
                                     std::span<const float> list_scores, std::size_t count,
                                     std::size_t num_probed, std::size_t end,
                                     const Admission* admits) const {
  if (count == 0) return {};
  thread_local Scratch scratch;
  choose_lists(list_scores, num_probed, scratch);
  fill_tables(query, scratch);
  Scan scan(*this, scratch, count, admits);
  for (const auto& [score, list] : scratch.chosen) {
    const float offset = codes_are_of_residuals_ ? score * scratch.scale : 0.0F;
    scan.look_through(
        lists_[list], end,
        static_cast<std::int32_t>(std::clamp(offset, -kLargestOffset, kLargestOffset)));
  }
  return scan.finish();
}

}  // namespace mmra::retrieval
