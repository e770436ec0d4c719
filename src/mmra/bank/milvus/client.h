#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mmra/bank/milvus/address.h"
#include "mmra/net/http_client.h"

namespace mmra::bank {

/// How often a request is sent again, and how long it may take.
struct MilvusOptions {
  std::string token;  ///< "" or what the server wants as bearer token
  net::HttpTimeouts timeouts{std::chrono::seconds(5), std::chrono::seconds(60)};
  int max_attempts = 6;
  std::chrono::milliseconds first_wait{200};
  std::chrono::milliseconds max_wait{5000};
  /// How long to wait in all for a server that was started again and has yet to load its
  /// collections: it finds out after half a minute that its last session has ended.
  std::chrono::milliseconds max_recovery{300'000};
  /// In place of sleeping, for tests.
  std::function<void(std::chrono::milliseconds, const std::stop_token&)> wait = net::wait_for;
};

/// MMRA_MILVUS_TOKEN, and MMRA_MILVUS_TIMEOUT_S where it is set. Throws Error{kInvalidInput} where
/// they hold what they cannot mean.
[[nodiscard]] MilvusOptions milvus_options_from_environment();

/// Milvus' numbers of types.
enum class MilvusType : int {
  kBool = 1,
  kInt8 = 2,
  kInt32 = 4,
  kInt64 = 5,
  kDouble = 11,
  kVarChar = 21,
  kFloatVector = 101
};

struct MilvusField {
  std::string name;
  MilvusType type = MilvusType::kInt64;
  int size = 0;  ///< the longest text in bytes, or a vector's dimension; else 0
  bool is_key = false;
  friend bool operator==(const MilvusField&, const MilvusField&) = default;
};

/// How fresh an answer must be, in Milvus' own terms (guarantee_timestamp).
struct MilvusMoment {
  std::uint64_t timestamp = 0;
  /// It has all that was acknowledged before; the server waits for its next tick (0.2 s).
  static constexpr MilvusMoment latest() { return {0}; }
  /// Of about the last tick, at once; the server lets it be no older than `common.gracefulTime`
  /// (5 s).
  static constexpr MilvusMoment recent() { return {2}; }
};

/// Rows of an answer, column by column.
class MilvusRows {
 public:
  using Column = std::variant<std::vector<std::int64_t>, std::vector<double>,
                              std::vector<std::string>, std::vector<float>>;
  [[nodiscard]] std::size_t num_rows() const { return num_rows_; }
  // Each throws Error{kCorruptData} where the answer has no such column, of this type and length.
  [[nodiscard]] const std::vector<std::int64_t>& whole_numbers(const std::string& name) const;
  [[nodiscard]] const std::vector<double>& numbers(const std::string& name) const;
  [[nodiscard]] const std::vector<std::string>& texts(const std::string& name) const;
  [[nodiscard]] std::span<const float> vector(const std::string& name, std::size_t row,
                                              std::size_t dim) const;
  void add(std::string name, Column column, std::size_t num_rows);

 private:
  template <typename Values>
  [[nodiscard]] const Values& column(const std::string& name, std::size_t per_row) const;
  std::size_t num_rows_ = 0;
  std::vector<std::pair<std::string, Column>> columns_;
};

/// The index over the vectors of a collection, as Milvus names it.
struct MilvusIndex {
  std::string type;   ///< FLAT, HNSW, …
  int num_links = 0;  ///< HNSW's M; else 0
  bool is_built = false;
  std::int64_t num_rows = 0;     ///< in segments that are to be indexed
  std::int64_t num_indexed = 0;  ///< of these
};

struct MilvusHit {
  std::string key;
  float score = 0.0F;
};

/// A thin client of a Milvus 2.3 server over its two public HTTP APIs: version 1 on its port
/// (upserts, which no other has), and the management API (everything else: it knows keys of text,
/// batches of queries and how fresh an answer must be). Requests that failed in passing are sent
/// again, waiting longer each time; all of them may be, since rows are upserted and deleted by key.
///
/// Thread-safe. Every call throws Error{kIo} where the server is away, too slow or full,
/// {kUnsupported} where it is of another version, {kInvalidInput} where it wants another token.
class MilvusClient {
 public:
  MilvusClient(MilvusAddress address, MilvusOptions options);
  MilvusClient(const MilvusClient&) = delete;
  MilvusClient& operator=(const MilvusClient&) = delete;
  ~MilvusClient();

  [[nodiscard]] const MilvusAddress& address() const { return address_; }

  /// The fields of a collection; empty where there is none of this name.
  [[nodiscard]] std::optional<std::vector<MilvusField>> find_collection(const std::string& name);
  /// Makes a collection with an index over `vector_field` that compares with every vector, and
  /// loads it. One that is there already stays, so that this can be repeated.
  void create_collection(const std::string& name, const std::vector<MilvusField>& fields,
                         const std::string& vector_field);
  /// Asks for it; reads wait until it is loaded. Throws Error{kNotFound} where it has no index.
  void load_collection(const std::string& name);
  /// From now on it answers nothing, until it is loaded again.
  void release_collection(const std::string& name);
  void drop_collection(const std::string& name);

  /// By inner product. `parameters`: of the kind ({"M":…}). Is built in the background.
  void create_index(const std::string& collection, const std::string& vector_field,
                    const std::string& type, const nlohmann::json& parameters);
  /// Only of a collection that is released.
  void drop_index(const std::string& collection, const std::string& vector_field);
  /// Empty where it has none.
  [[nodiscard]] std::optional<MilvusIndex> find_index(const std::string& collection,
                                                      const std::string& vector_field);
  /// Makes the server write out what it has taken, as segments that no row is added to: these alone
  /// get an index. Returns when that is done. Throws Interrupted.
  void flush(const std::vector<std::string>& collections, const std::stop_token& stop = {});
  /// Sleeps, or what is in its place.
  void wait(std::chrono::milliseconds time, const std::stop_token& stop) const;

  /// `rows`: a list of objects. Inserts or replaces by key, all or none.
  void upsert(const std::string& collection, const nlohmann::json& rows);
  /// Deletes what `filter` (key in [...]) names.
  void erase(const std::string& collection, const std::string& filter);

  /// Up to `limit` rows that `filter` admits, those with the smallest keys, ascending.
  [[nodiscard]] MilvusRows query(const std::string& collection, const std::string& filter,
                                 const std::vector<std::string>& fields, int limit,
                                 MilvusMoment seen);
  [[nodiscard]] std::int64_t count(const std::string& collection, const std::string& filter,
                                   MilvusMoment seen);
  /// The `limit` rows that `filter` admits with the largest inner products, for each query.
  /// `vectors` is row-major [queries × dim]. `parameters`: of the index ({"ef":…}).
  [[nodiscard]] std::vector<std::vector<MilvusHit>> search(
      const std::string& collection, const std::string& vector_field,
      std::span<const float> vectors, std::size_t dim, const std::string& filter, int limit,
      const nlohmann::json& parameters, MilvusMoment seen);

 private:
  enum class Api { kData, kManagement };
  struct Failure;
  nlohmann::json call(Api api, const std::string& method, const std::string& path,
                      const nlohmann::json& body, const std::string& what);
  Failure attempt(Api api, const std::string& method, const std::string& path,
                  const std::string& body, nlohmann::json& answer);
  [[noreturn]] void give_up(const std::string& what, const Failure& failure, Api api) const;
  std::unique_ptr<net::HttpClient> take_connection();
  void give_back(std::unique_ptr<net::HttpClient> connection);

  MilvusAddress address_;
  MilvusOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<net::HttpClient>> idle_;
};

/// `text` as a literal of Milvus' filters.
[[nodiscard]] std::string milvus_literal(std::string_view text);
/// `field in ["a","b"]`.
[[nodiscard]] std::string milvus_any_of(const std::string& field,
                                        std::span<const std::string> values);

/// The fields of an answer's "fields_data". Throws Error{kCorruptData} naming `origin`.
[[nodiscard]] MilvusRows parse_milvus_rows(const nlohmann::json& answer, const std::string& origin);

}  // namespace mmra::bank
