#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/bank/milvus/address.h"
#include "mmra/bank/milvus/client.h"

namespace mmra::bank {

/// The two collections of a bank on a Milvus server (docs/formats/milvus.md): one has a row for
/// each record, the other everything else. What is written goes in requests of a size that the
/// server takes. Thread-safe; throws what the client does.
class MilvusCollections {
 public:
  MilvusCollections(const MilvusAddress& address, const MilvusOptions& options);

  /// The bank's address, for messages.
  [[nodiscard]] const std::string& bank() const { return bank_; }
  [[nodiscard]] const std::string& rows() const { return rows_; }
  [[nodiscard]] const std::string& values() const { return values_; }
  [[nodiscard]] MilvusClient& client() { return client_; }

  /// Asks for both. Throws Error{kNotFound} where there is no bank, {kInvalidInput} where the
  /// collections are of another shape.
  void load();

  /// Waits until reads see all that was acknowledged before, in either collection; and so do those
  /// that follow with what this returns, since one node serves a collection.
  MilvusMoment now() const;
  /// All that this bank wrote, and what others did until about the server's last tick.
  [[nodiscard]] static MilvusMoment seen() { return MilvusMoment::recent(); }

  [[nodiscard]] MilvusRows query_rows(const std::string& filter,
                                      const std::vector<std::string>& fields, int limit,
                                      MilvusMoment moment) const;
  [[nodiscard]] std::int64_t count_rows() const;
  [[nodiscard]] std::int64_t count_rows(std::span<const std::string> ids,
                                        MilvusMoment moment) const;
  /// Their keys and values (base64).
  [[nodiscard]] MilvusRows query_pieces(std::span<const std::string> keys,
                                        MilvusMoment moment) const;
  /// The first keys behind `last`, in no order; none: there are no others.
  [[nodiscard]] std::vector<std::string> keys_after(const std::string& last,
                                                    MilvusMoment moment) const;

  /// The index over the rows' vectors; empty where there is none.
  [[nodiscard]] std::optional<MilvusIndex> find_index() const;
  /// The `limit` rows that `filter` admits with the largest inner products with `vector`, which is
  /// padded to stored_dim().
  [[nodiscard]] std::vector<MilvusHit> search(std::span<const float> vector,
                                              const std::string& filter, int limit,
                                              const nlohmann::json& parameters) const;
  /// Makes another index, in the background. For a moment the rows cannot be read.
  void replace_index(const std::string& type, const nlohmann::json& parameters);

  // Lists of objects, as client.h takes them.
  void upsert_rows(const nlohmann::json& rows, std::size_t per_request);
  void upsert_values(const nlohmann::json& values);
  void erase_rows(std::span<const std::string> ids);
  void erase_values(std::span<const std::string> keys);
  void flush(const std::stop_token& stop = {});
  void flush_values();

 private:
  void require_shape() const;
  void upsert(const std::string& collection, const nlohmann::json& rows, std::size_t per_request);
  void erase(const std::string& collection, const std::string& field,
             std::span<const std::string> keys);

  std::string bank_;
  std::string rows_;
  std::string values_;
  mutable MilvusClient client_;
};

}  // namespace mmra::bank
