#include "mmra/retrieval/random_instances.h"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/fingerprint.h"
#include "mmra/retrieval/similarity.h"

namespace mmra::retrieval {
namespace {

constexpr std::uint64_t kSeed = 0x636f6e74726f6c;  // "control"

class RandomDraw {
 public:
  RandomDraw(const bank::BankTable& table, const RetrievalPolicy& policy, int k)
      : table_(table),
        policy_(policy),
        k_(static_cast<std::size_t>(k)),
        dim_(static_cast<std::size_t>(table.retrieval_dim())) {}

  /// At most k different admitted rows, most similar first.
  [[nodiscard]] std::vector<std::int32_t> draw(std::span<const float> vector,
                                               const QueryIdentity& query) const {
    std::mt19937_64 random(seed_of(vector, query));
    std::vector<std::int32_t> rows = draw_by_trial(query, random);
    if (rows.size() < k_) rows = draw_from_all(query, random);
    std::sort(rows.begin(), rows.end(), [&](std::int32_t a, std::int32_t b) {
      const float of_a = similarity(vector, a);
      const float of_b = similarity(vector, b);
      return of_a != of_b ? of_a > of_b : a < b;
    });
    return rows;
  }

  [[nodiscard]] float similarity(std::span<const float> vector, std::int32_t row) const {
    return canonical_similarity(
        vector, table_.retrieval_vectors().subspan(static_cast<std::size_t>(row) * dim_, dim_));
  }

 private:
  [[nodiscard]] std::uint64_t seed_of(std::span<const float> vector,
                                      const QueryIdentity& query) const {
    if (query.own_row) return seeded_hash(table_.id(*query.own_row), kSeed);
    const auto bytes = std::as_bytes(vector);
    return seeded_hash({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, kSeed);
  }

  /// Tries rows by chance: quick where the policy admits many. May end with fewer than k.
  [[nodiscard]] std::vector<std::int32_t> draw_by_trial(const QueryIdentity& query,
                                                        std::mt19937_64& random) const {
    std::vector<std::int32_t> rows;
    if (table_.num_rows() == 0) return rows;
    for (std::size_t trial = 0; trial < 8 * k_ && rows.size() < k_; ++trial) {
      const std::size_t row = random() % table_.num_rows();
      const auto drawn = static_cast<std::int32_t>(row);
      if (std::find(rows.begin(), rows.end(), drawn) != rows.end()) continue;
      if (admits(policy_, query, table_, row)) rows.push_back(drawn);
    }
    return rows;
  }

  [[nodiscard]] std::vector<std::int32_t> draw_from_all(const QueryIdentity& query,
                                                        std::mt19937_64& random) const {
    std::vector<std::int32_t> rows;
    for (std::size_t row = 0; row < table_.num_rows(); ++row) {
      if (admits(policy_, query, table_, row)) rows.push_back(static_cast<std::int32_t>(row));
    }
    const std::size_t count = std::min(k_, rows.size());
    for (std::size_t i = 0; i < count; ++i)
      std::swap(rows[i], rows[i + random() % (rows.size() - i)]);
    rows.resize(count);
    return rows;
  }

  const bank::BankTable& table_;
  const RetrievalPolicy& policy_;
  std::size_t k_;
  std::size_t dim_;
};

void check(const bank::BankTable& table, std::span<const float> query_vectors,
           std::size_t num_queries, int k) {
  const std::size_t expected = num_queries * static_cast<std::size_t>(table.retrieval_dim());
  if (query_vectors.size() == expected && k >= 1) return;
  throw Error(ErrorKind::kInvalidInput, std::to_string(num_queries) + " queries need " +
                                            std::to_string(expected) +
                                            " floats and a k of at "
                                            "least 1; " +
                                            std::to_string(query_vectors.size()) + " and " +
                                            std::to_string(k) + " were given");
}

}  // namespace

RetrievalResult draw_random(const bank::BankTable& table, std::span<const float> query_vectors,
                            std::span<const QueryIdentity> queries, int k,
                            const RetrievalPolicy& policy, const std::stop_token& stop) {
  check(table, query_vectors, queries.size(), k);
  RetrievalResult result;
  result.k = k;
  const std::size_t size = queries.size() * static_cast<std::size_t>(k);
  result.rows.assign(size, RetrievalResult::kNoInstance);
  result.similarities.assign(size, 0.0F);
  const auto dim = static_cast<std::size_t>(table.retrieval_dim());
  const RandomDraw draw(table, policy, k);
  for (std::size_t q = 0; q < queries.size(); ++q) {
    if (stop.stop_requested()) throw Interrupted();
    const auto vector = query_vectors.subspan(q * dim, dim);
    if (std::all_of(vector.begin(), vector.end(), [](float value) { return value == 0.0F; })) {
      continue;
    }
    std::size_t at = q * static_cast<std::size_t>(k);
    for (const std::int32_t row : draw.draw(vector, queries[q])) {
      result.rows[at] = row;
      result.similarities[at++] = draw.similarity(vector, row);
    }
  }
  return result;
}

RetrievalResult retrieve(const bank::BankTable& table, std::span<const float> query_vectors,
                         std::span<const QueryIdentity> queries, int k,
                         const RetrievalPolicy& policy, Choice choice, int num_threads,
                         const std::stop_token& stop, const ByteVectors* bytes) {
  return choice == Choice::kRandom
             ? draw_random(table, query_vectors, queries, k, policy, stop)
             : search_exact(table, query_vectors, queries, k, policy, num_threads, stop, bytes);
}

}  // namespace mmra::retrieval
