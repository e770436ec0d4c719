#include "mmra/bank/milvus/collections.h"

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>

#include "mmra/bank/milvus/request_limits.h"
#include "mmra/bank/milvus/stored_row.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;

}  // namespace

MilvusCollections::MilvusCollections(const MilvusAddress& address, const MilvusOptions& options)
    : bank_(address.text()),
      rows_(address.collection),
      values_(values_collection(address.collection)),
      client_(address, options) {}

void MilvusCollections::load() {
  require_shape();
  client_.load_collection(values_);
  try {
    client_.load_collection(rows_);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    // replace_index() was killed.
    client_.create_index(rows_, "vector", "FLAT", Json::object());
    client_.load_collection(rows_);
  }
}

void MilvusCollections::require_shape() const {
  const auto fields = client_.find_collection(rows_);
  if (!fields) {
    throw Error(ErrorKind::kNotFound, "there is no memory bank in " + bank_ +
                                          "; make one with `mmra ingest MANIFEST --bank " + bank_ +
                                          "`, or put one there with `mmra bank push DIR " + bank_ +
                                          "`");
  }
  const auto other = client_.find_collection(values_);
  const auto vector = std::find_if(fields->begin(), fields->end(),
                                   [](const MilvusField& field) { return field.name == "vector"; });
  const int dim = vector == fields->end() ? 0 : vector->size;
  if (*fields != record_fields(dim) || !other || *other != value_fields()) {
    throw Error(ErrorKind::kInvalidInput,
                bank_ + " is a collection of another shape than a memory bank's; name another");
  }
}

MilvusMoment MilvusCollections::now() const {
  const auto wait_for = [this](const std::string& collection, const char* key) {
    const std::string nothing = "-";
    static_cast<void>(client_.query(collection, milvus_any_of(key, std::span(&nothing, 1)), {key},
                                    1, MilvusMoment::latest()));
  };
  auto values = std::async(std::launch::async, wait_for, values_, "key");
  wait_for(rows_, "id");
  values.get();
  return MilvusMoment::recent();
}

MilvusRows MilvusCollections::query_rows(const std::string& filter,
                                         const std::vector<std::string>& fields, int limit,
                                         MilvusMoment moment) const {
  return client_.query(rows_, filter, fields, limit, moment);
}

std::int64_t MilvusCollections::count_rows() const {
  return client_.count(rows_, R"(id > "")", MilvusMoment::latest());
}

std::int64_t MilvusCollections::count_rows(std::span<const std::string> ids,
                                           MilvusMoment moment) const {
  return client_.count(rows_, milvus_any_of("id", ids), moment);
}

MilvusRows MilvusCollections::query_pieces(std::span<const std::string> keys,
                                           MilvusMoment moment) const {
  return client_.query(values_, milvus_any_of("key", keys), {"key", "value"}, kNoLimit, moment);
}

std::vector<std::string> MilvusCollections::keys_after(const std::string& last,
                                                       MilvusMoment moment) const {
  const MilvusRows found =
      client_.query(values_, "key > " + milvus_literal(last), {"key"}, kRowsPerPage, moment);
  return found.num_rows() == 0 ? std::vector<std::string>() : found.texts("key");
}

std::optional<MilvusIndex> MilvusCollections::find_index() const {
  return client_.find_index(rows_, "vector");
}

std::vector<MilvusHit> MilvusCollections::search(std::span<const float> vector,
                                                 const std::string& filter, int limit,
                                                 const Json& parameters) const {
  return client_.search(rows_, "vector", vector, vector.size(), filter, limit, parameters, seen())
      .front();
}

void MilvusCollections::replace_index(const std::string& type, const Json& parameters) {
  client_.release_collection(rows_);
  if (find_index()) client_.drop_index(rows_, "vector");
  client_.create_index(rows_, "vector", type, parameters);
  client_.load_collection(rows_);
}

void MilvusCollections::upsert_rows(const Json& rows, std::size_t per_request) {
  upsert(rows_, rows, per_request);
}

void MilvusCollections::upsert_values(const Json& values) {
  upsert(values_, values, kPiecesPerRequest);
}

void MilvusCollections::upsert(const std::string& collection, const Json& rows,
                               std::size_t per_request) {
  for (std::size_t begin = 0; begin < rows.size(); begin += per_request) {
    const std::size_t end = std::min(begin + per_request, rows.size());
    client_.upsert(collection, Json(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                                    rows.begin() + static_cast<std::ptrdiff_t>(end)));
  }
}

void MilvusCollections::erase_rows(std::span<const std::string> ids) { erase(rows_, "id", ids); }

void MilvusCollections::erase_values(std::span<const std::string> keys) {
  erase(values_, "key", keys);
}

void MilvusCollections::erase(const std::string& collection, const std::string& field,
                              std::span<const std::string> keys) {
  for_each_part(keys, kKeysPerRequest, [&](std::span<const std::string> some) {
    client_.erase(collection, milvus_any_of(field, some));
  });
}

void MilvusCollections::flush(const std::stop_token& stop) {
  client_.flush({values_, rows_}, stop);
}

void MilvusCollections::flush_values() { client_.flush({values_}); }

}  // namespace mmra::bank
