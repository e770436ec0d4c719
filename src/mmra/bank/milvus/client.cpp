#include "mmra/bank/milvus/client.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/core/environment.h"
#include "mmra/core/error.h"

namespace mmra::bank {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr int kMaxTimeoutS = 3600;
/// Far more than an answer that this program asks for.
constexpr std::size_t kMaxAnswerBytes = std::size_t{1} << 30;
constexpr std::string_view kManagementPath = "/api/v1";

// Milvus' numbers of errors.
constexpr std::int64_t kNotReady = 1;
constexpr std::int64_t kUnavailable = 2;
constexpr std::int64_t kMemoryFull = 3;
constexpr std::int64_t kTooManyRequests = 4;
constexpr std::int64_t kDiskFull = 7;
constexpr std::int64_t kRateLimit = 8;
constexpr std::int64_t kDenied = 9;
constexpr std::int64_t kNoCollection = 100;
constexpr std::int64_t kNotLoaded = 101;
constexpr std::int64_t kNoReplica = 400;
constexpr std::int64_t kChannelAway = 503;
constexpr std::int64_t kNoIndex = 700;
constexpr std::int64_t kNodeAway = 901;
constexpr std::int64_t kBadToken = 1800;

bool is_passing_code(std::int64_t code) {
  static constexpr std::int64_t kPassing[] = {kNotReady,    kUnavailable, kTooManyRequests,
                                              kRateLimit,   kNotLoaded,   kNoReplica,
                                              kChannelAway, kNodeAway};
  return std::find(std::begin(kPassing), std::end(kPassing), code) != std::end(kPassing);
}

/// A server that was started again, and has yet to load its collections.
bool is_recovering(std::int64_t code) {
  return code == kNotReady || code == kNotLoaded || code == kNoReplica || code == kChannelAway ||
         code == kNodeAway;
}

/// Number and words of what a server says went wrong; 0: nothing did.
struct Verdict {
  std::int64_t code = 0;
  std::string reason;
};

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

/// Version 1 answers {"code":200,"data":…} or {"code":…,"message":…}.
Verdict verdict_of_data(const Json& answer) {
  const std::int64_t code = number_of(answer, "code");
  if (code == 200) return {};
  return {code == 0 ? -1 : code, text_of(answer, "message")};
}

/// The management API: {"status":{…},…}, or the status alone; without an error_code all is well.
Verdict verdict_of_management(const Json& answer) {
  const auto nested = answer.find("status");
  const Json& status = nested != answer.end() && nested->is_object() ? *nested : answer;
  const std::int64_t old_code = number_of(status, "error_code");
  const std::int64_t code = number_of(status, "code");
  if (old_code == 0 && code == 0) return {};
  return {code != 0 ? code : -old_code, text_of(status, "reason")};
}

template <typename Value>
std::vector<Value> values_of(const Json& data, const char* kind, const std::string& origin) {
  const auto holder = data.find(kind);
  if (holder == data.end() || !holder->is_object()) {
    throw Error(ErrorKind::kCorruptData, origin + " answers without " + kind);
  }
  const auto list = holder->find("data");
  return list == holder->end() ? std::vector<Value>() : list->get<std::vector<Value>>();
}

std::size_t size_of(const MilvusRows::Column& column) {
  return std::visit([](const auto& values) { return values.size(); }, column);
}

MilvusRows::Column parse_scalars(const Json& data, const std::string& origin) {
  if (data.contains("StringData")) return values_of<std::string>(data, "StringData", origin);
  if (data.contains("DoubleData")) return values_of<double>(data, "DoubleData", origin);
  if (data.contains("LongData")) return values_of<std::int64_t>(data, "LongData", origin);
  if (data.contains("BoolData")) {
    std::vector<std::int64_t> numbers;
    for (const bool value : values_of<bool>(data, "BoolData", origin)) numbers.push_back(value);
    return numbers;
  }
  return values_of<std::int64_t>(data, "IntData", origin);
}

Json schema_of(const std::string& name, const std::vector<MilvusField>& fields) {
  Json list = Json::array();
  for (const MilvusField& field : fields) {
    Json entry = {{"name", field.name}, {"data_type", static_cast<int>(field.type)}};
    if (field.is_key) entry["is_primary_key"] = true;
    if (field.size > 0) {
      const bool is_vector = field.type == MilvusType::kFloatVector;
      entry["type_params"] = Json::array(
          {{{"key", is_vector ? "dim" : "max_length"}, {"value", std::to_string(field.size)}}});
    }
    list.push_back(entry);
  }
  return {{"name", name}, {"description", "a memory bank of mmra"}, {"fields", list}};
}

Json with_moment(Json body, MilvusMoment seen) {
  body["guarantee_timestamp"] = seen.timestamp;
  return body;
}

}  // namespace

MilvusOptions milvus_options_from_environment() {
  MilvusOptions options;
  options.token = environment_variable("MMRA_MILVUS_TOKEN");
  const auto is_control = [](unsigned char c) { return c <= 0x20 || c >= 0x7F; };
  if (std::any_of(options.token.begin(), options.token.end(), is_control)) {
    throw Error(
        ErrorKind::kInvalidInput,
        "MMRA_MILVUS_TOKEN holds a blank, a line end or another character that no token has");
  }
  if (const std::string text = environment_variable("MMRA_MILVUS_TIMEOUT_S"); !text.empty()) {
    int seconds = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (fault != std::errc() || end != text.data() + text.size() || seconds < 1 ||
        seconds > kMaxTimeoutS) {
      throw Error(ErrorKind::kInvalidInput,
                  "MMRA_MILVUS_TIMEOUT_S needs whole seconds from 1 to 3600, not \"" + text + "\"");
    }
    options.timeouts.stalled = std::chrono::seconds(seconds);
  }
  return options;
}

template <typename Values>
const Values& MilvusRows::column(const std::string& name, std::size_t per_row) const {
  static const Values kNone;
  if (num_rows_ == 0) return kNone;
  for (const auto& [own_name, values] : columns_) {
    if (own_name != name) continue;
    const auto* typed = std::get_if<Values>(&values);
    if (typed != nullptr && typed->size() == num_rows_ * per_row) return *typed;
    throw Error(ErrorKind::kCorruptData,
                "the field " + name + " of a Milvus answer has another type or length");
  }
  throw Error(ErrorKind::kCorruptData, "a Milvus answer has no field " + name);
}

const std::vector<std::int64_t>& MilvusRows::whole_numbers(const std::string& name) const {
  return column<std::vector<std::int64_t>>(name, 1);
}
const std::vector<double>& MilvusRows::numbers(const std::string& name) const {
  return column<std::vector<double>>(name, 1);
}
const std::vector<std::string>& MilvusRows::texts(const std::string& name) const {
  return column<std::vector<std::string>>(name, 1);
}
std::span<const float> MilvusRows::vector(const std::string& name, std::size_t row,
                                          std::size_t dim) const {
  return std::span(column<std::vector<float>>(name, dim)).subspan(row * dim, dim);
}

void MilvusRows::add(std::string name, Column column, std::size_t num_rows) {
  num_rows_ = std::max(num_rows_, num_rows);
  columns_.emplace_back(std::move(name), std::move(column));
}

MilvusRows parse_milvus_rows(const Json& answer, const std::string& origin) {
  MilvusRows rows;
  try {
    const auto fields = answer.find("fields_data");
    if (fields == answer.end() || fields->is_null()) return rows;
    for (const Json& field : *fields) {
      std::string name = field.at("field_name").get<std::string>();
      const Json& content = field.at("Field");
      if (content.contains("Vectors")) {
        const Json& vectors = content.at("Vectors");
        const auto dim = vectors.at("dim").get<std::size_t>();
        auto values = values_of<float>(vectors.at("Data"), "FloatVector", origin);
        if (dim == 0 || values.size() % dim != 0) {
          throw Error(ErrorKind::kCorruptData, origin + " answers with vectors of no dimension");
        }
        const std::size_t num_rows = values.size() / dim;
        rows.add(std::move(name), std::move(values), num_rows);
      } else {
        MilvusRows::Column column = parse_scalars(content.at("Scalars").at("Data"), origin);
        const std::size_t num_rows = size_of(column);
        rows.add(std::move(name), std::move(column), num_rows);
      }
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                origin + " answers with rows that cannot be read: " + error.what());
  }
  return rows;
}

std::string milvus_literal(std::string_view text) {
  std::string literal = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') literal += '\\';
    literal += c;
  }
  return literal + "\"";
}

std::string milvus_any_of(const std::string& field, std::span<const std::string> values) {
  std::string filter = field + " in [";
  for (std::size_t i = 0; i < values.size(); ++i) {
    filter += (i == 0 ? "" : ",") + milvus_literal(values[i]);
  }
  return filter + "]";
}

/// Why an attempt failed; `what` empty: it did not.
struct MilvusClient::Failure {
  std::string reason;
  bool is_passing = false;
  bool is_reached = true;
  int status = 0;
  std::int64_t code = 0;
  std::optional<milliseconds> retry_after;
};

MilvusClient::MilvusClient(MilvusAddress address, MilvusOptions options)
    : address_(std::move(address)), options_(std::move(options)) {}

MilvusClient::~MilvusClient() = default;

std::unique_ptr<net::HttpClient> MilvusClient::take_connection() {
  const std::scoped_lock lock(mutex_);
  if (idle_.empty()) return std::make_unique<net::HttpClient>(options_.timeouts);
  auto connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void MilvusClient::give_back(std::unique_ptr<net::HttpClient> connection) {
  const std::scoped_lock lock(mutex_);
  idle_.push_back(std::move(connection));
}

MilvusClient::Failure MilvusClient::attempt(Api api, const std::string& method,
                                            const std::string& path, const std::string& body,
                                            Json& answer) {
  net::HttpRequest request;
  request.method = method;
  request.url = (api == Api::kData ? address_.data_url()
                                   : address_.management_url() + std::string(kManagementPath)) +
                path;
  // Without "Expect:" libcurl asks first whether a large body may come, and waits for the answer.
  request.headers = {"Content-Type: application/json", "Accept: application/json", "Expect:"};
  if (!options_.token.empty()) request.headers.push_back("Authorization: Bearer " + options_.token);
  request.body = body;
  std::string text;
  auto connection = take_connection();
  const net::HttpAnswer http = connection->send(
      request,
      [&](const net::HttpHead& /*head*/, std::string_view piece) {
        if (text.size() + piece.size() > kMaxAnswerBytes) {
          throw Error(ErrorKind::kCorruptData,
                      "the Milvus server at " + address_.host + " sends an answer without end");
        }
        text += piece;
      },
      {});
  give_back(std::move(connection));
  Failure failure;
  failure.status = http.head.status;
  failure.retry_after = http.retry_after;
  if (!http.fault.empty()) {
    failure.reason = http.fault;
    failure.is_passing = http.fault_is_passing;
    failure.is_reached = http.is_reached;
    return failure;
  }
  answer = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool is_object = answer.is_object();
  if (http.head.status != 200) {
    failure.reason = "it answers " + std::to_string(http.head.status);
    const std::string words =
        is_object ? text_of(answer, "reason") + text_of(answer, "message") : std::string();
    if (!words.empty()) failure.reason += " (" + words + ")";
    failure.is_passing = net::is_passing_status(http.head.status);
    return failure;
  }
  if (!is_object) {
    // Such as an answer that was cut within its headers.
    failure.reason = "it answers with what is no JSON object";
    failure.is_passing = true;
    failure.status = 0;
    failure.code = -1;
    return failure;
  }
  Verdict verdict = api == Api::kData ? verdict_of_data(answer) : verdict_of_management(answer);
  if (verdict.code == 0) return {};
  failure.code = verdict.code;
  failure.reason =
      verdict.reason.empty() ? "error " + std::to_string(verdict.code) : std::move(verdict.reason);
  failure.is_passing = is_passing_code(verdict.code);
  return failure;
}

void MilvusClient::give_up(const std::string& what, const Failure& failure, Api api) const {
  const std::string where =
      "the Milvus server at " + address_.host + ":" +
      std::to_string(api == Api::kData ? address_.port : address_.management_port);
  if (!failure.is_reached) {
    throw Error(ErrorKind::kIo,
                "cannot reach " + where + " to " + what + ": " + failure.reason +
                    "; see that it runs" +
                    (api == Api::kManagement ? " and that this is the port of its management API "
                                               "(?management=PORT in the bank's address)"
                                             : " and that the address is right"));
  }
  if (failure.status == 401 || failure.status == 403 || failure.code == kBadToken) {
    throw Error(ErrorKind::kInvalidInput,
                where + " refuses to " + what + ": " + failure.reason +
                    "; set MMRA_MILVUS_TOKEN to a token that may (USER:PASSWORD, or an API key)");
  }
  if (failure.status == 404 || failure.status == 405) {
    throw Error(ErrorKind::kUnsupported,
                where + " has no such interface (" + failure.reason + " to " + what +
                    "); a Milvus 2.3 with its RESTful API v1 and management API is needed");
  }
  if (failure.code == kNoCollection || failure.code == kNoIndex) {
    throw Error(ErrorKind::kNotFound, where + " cannot " + what + ": " + failure.reason);
  }
  const bool is_full = failure.code == kMemoryFull || failure.code == kDiskFull ||
                       failure.code == kDenied ||
                       failure.reason.find("No space left on device") != std::string::npos;
  throw Error(ErrorKind::kIo, where + " did not " + what + ": " + failure.reason +
                                  (is_full ? "; it is full: free or add space, then run the same "
                                             "command again"
                                           : "; run the same command again when it is well"));
}

Json MilvusClient::call(Api api, const std::string& method, const std::string& path,
                        const Json& body, const std::string& what) {
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  milliseconds wait = options_.first_wait;
  milliseconds waited{0};
  for (int number = 1;; ++number) {
    Json answer;
    const Failure failure = attempt(api, method, path, text, answer);
    if (failure.reason.empty()) return answer;
    // Nobody there: say so soon.
    const int max_attempts =
        failure.is_reached ? options_.max_attempts : std::min(options_.max_attempts, 3);
    const bool may_recover = is_recovering(failure.code) && waited < options_.max_recovery;
    if (!failure.is_passing || (number >= max_attempts && !may_recover)) {
      give_up(what, failure, api);
    }
    const milliseconds next = std::min(failure.retry_after.value_or(wait), options_.max_wait);
    options_.wait(next, {});
    waited += next;
    wait = std::min(wait * 2, options_.max_wait);
  }
}

std::optional<std::vector<MilvusField>> MilvusClient::find_collection(const std::string& name) {
  const std::string what = "describe the collection " + name;
  Json answer;
  try {
    answer = call(Api::kManagement, "GET", "/collection", {{"collection_name", name}}, what);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) return std::nullopt;
    throw;
  }
  try {
    std::vector<MilvusField> fields;
    for (const Json& entry : answer.at("schema").at("fields")) {
      MilvusField field;
      field.name = entry.at("name").get<std::string>();
      field.type = static_cast<MilvusType>(entry.at("data_type").get<int>());
      field.is_key = entry.value("is_primary_key", false);
      for (const Json& parameter : entry.value("type_params", Json::array())) {
        field.size = std::atoi(parameter.at("value").get<std::string>().c_str());
      }
      fields.push_back(std::move(field));
    }
    return fields;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                "the Milvus server at " + address_.host +
                    " describes a collection in another way: " + error.what());
  }
}

void MilvusClient::create_collection(const std::string& name,
                                     const std::vector<MilvusField>& fields,
                                     const std::string& vector_field) {
  const auto there = find_collection(name);
  if (there && *there != fields) {
    throw Error(ErrorKind::kInvalidInput,
                "the collection " + name + " on " + address_.host +
                    " is of another shape than a memory bank; name another collection");
  }
  if (!there) {
    // One shard: the rows of one upsert then become visible together.
    call(Api::kManagement, "POST", "/collection",
         {{"collection_name", name},
          {"schema", schema_of(name, fields)},
          {"shards_num", 1},
          {"consistency_level", 0}},
         "make the collection " + name);
  }
  if (!find_index(name, vector_field)) create_index(name, vector_field, "FLAT", Json::object());
  load_collection(name);
}

void MilvusClient::load_collection(const std::string& name) {
  call(Api::kManagement, "POST", "/collection/load", {{"collection_name", name}},
       "load the collection " + name);
}

void MilvusClient::release_collection(const std::string& name) {
  call(Api::kManagement, "DELETE", "/collection/load", {{"collection_name", name}},
       "release the collection " + name);
}

void MilvusClient::create_index(const std::string& collection, const std::string& vector_field,
                                const std::string& type, const Json& parameters) {
  call(Api::kManagement, "POST", "/index",
       {{"collection_name", collection},
        {"field_name", vector_field},
        {"extra_params",
         {{{"key", "metric_type"}, {"value", "IP"}},
          {{"key", "index_type"}, {"value", type}},
          {{"key", "params"}, {"value", parameters.dump()}}}}},
       "index the collection " + collection);
}

void MilvusClient::drop_index(const std::string& collection, const std::string& vector_field) {
  call(Api::kManagement, "DELETE", "/index",
       {{"collection_name", collection}, {"field_name", vector_field}},
       "drop the index of " + collection);
}

std::optional<MilvusIndex> MilvusClient::find_index(const std::string& collection,
                                                    const std::string& vector_field) {
  Json answer;
  try {
    answer = call(Api::kManagement, "GET", "/index",
                  {{"collection_name", collection}, {"field_name", vector_field}},
                  "describe the index of " + collection);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) return std::nullopt;
    throw;
  }
  constexpr int kFinished = 3;
  try {
    const Json& description = answer.at("index_descriptions").at(0);
    MilvusIndex index;
    index.is_built = description.value("state", 0) == kFinished;
    index.num_rows = description.value("total_rows", std::int64_t{0});
    index.num_indexed = description.value("indexed_rows", std::int64_t{0});
    for (const Json& parameter : description.at("params")) {
      const auto value = parameter.at("value").get<std::string>();
      if (parameter.at("key") == "index_type") index.type = value;
      if (parameter.at("key") != "params") continue;
      const Json own = Json::parse(value, nullptr, /*allow_exceptions=*/false);
      if (own.is_object()) index.num_links = static_cast<int>(number_of(own, "M"));
    }
    return index;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData, "the Milvus server at " + address_.host +
                                             " describes an index in another way: " + error.what());
  }
}

void MilvusClient::flush(const std::vector<std::string>& collections, const std::stop_token& stop) {
  const std::string what = "write out " + collections.front();
  const Json begun =
      call(Api::kManagement, "POST", "/persist", {{"collection_names", collections}}, what);
  Json segments = Json::array();
  try {
    for (const std::string& name : collections) {
      for (const Json& id : begun.at("coll_segIDs").at(name).value("data", Json::array())) {
        segments.push_back(id);
      }
    }
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData, "the Milvus server at " + address_.host +
                                             " flushes in another way: " + error.what());
  }
  while (!call(Api::kManagement, "GET", "/persist/state", {{"segmentIDs", segments}}, what)
              .value("flushed", false)) {
    wait(options_.first_wait, stop);
  }
}

void MilvusClient::wait(milliseconds time, const std::stop_token& stop) const {
  options_.wait(time, stop);
  if (stop.stop_requested()) throw Interrupted();
}

void MilvusClient::drop_collection(const std::string& name) {
  call(Api::kManagement, "DELETE", "/collection", {{"collection_name", name}},
       "drop the collection " + name);
}

void MilvusClient::upsert(const std::string& collection, const Json& rows) {
  const Json answer = call(Api::kData, "POST", "/v1/vector/upsert",
                           {{"collectionName", collection}, {"data", rows}},
                           "write " + std::to_string(rows.size()) + " rows to " + collection);
  const auto data = answer.find("data");
  const std::int64_t written =
      data == answer.end() || !data->is_object() ? -1 : number_of(*data, "upsertCount");
  if (written != static_cast<std::int64_t>(rows.size())) {
    throw Error(ErrorKind::kIo, "the Milvus server at " + address_.host + " says it wrote " +
                                    std::to_string(written) + " of " + std::to_string(rows.size()) +
                                    " rows to " + collection);
  }
}

void MilvusClient::erase(const std::string& collection, const std::string& filter) {
  call(Api::kManagement, "DELETE", "/entities", {{"collection_name", collection}, {"expr", filter}},
       "delete rows from " + collection);
}

MilvusRows MilvusClient::query(const std::string& collection, const std::string& filter,
                               const std::vector<std::string>& fields, int limit,
                               MilvusMoment seen) {
  const Json body = {
      {"collection_name", collection},
      {"expr", filter},
      {"output_fields", fields},
      {"query_params", Json::array({{{"key", "limit"}, {"value", std::to_string(limit)}}})}};
  const std::string what = "read " + collection;
  return parse_milvus_rows(call(Api::kManagement, "POST", "/query", with_moment(body, seen), what),
                           "the Milvus server at " + address_.host);
}

std::int64_t MilvusClient::count(const std::string& collection, const std::string& filter,
                                 MilvusMoment seen) {
  const Json body = {
      {"collection_name", collection}, {"expr", filter}, {"output_fields", {"count(*)"}}};
  const MilvusRows rows = parse_milvus_rows(
      call(Api::kManagement, "POST", "/query", with_moment(body, seen), "count " + collection),
      "the Milvus server at " + address_.host);
  const auto& counts = rows.whole_numbers("count(*)");
  return counts.empty() ? 0 : counts.front();
}

std::vector<std::vector<MilvusHit>> MilvusClient::search(const std::string& collection,
                                                         const std::string& vector_field,
                                                         std::span<const float> vectors,
                                                         std::size_t dim, const std::string& filter,
                                                         int limit, const Json& parameters,
                                                         MilvusMoment seen) {
  const std::size_t num_queries = vectors.size() / dim;
  Json list = Json::array();
  for (std::size_t q = 0; q < num_queries; ++q) {
    const auto vector = vectors.subspan(q * dim, dim);
    list.push_back(std::vector<float>(vector.begin(), vector.end()));
  }
  const auto parameter = [](const char* key, const std::string& value) {
    return Json{{"key", key}, {"value", value}};
  };
  const Json body = {
      {"collection_name", collection},
      {"dsl", filter},
      {"dsl_type", 1},
      {"output_fields", Json::array()},
      {"vectors", std::move(list)},
      {"nq", num_queries},
      {"search_params",
       {parameter("anns_field", vector_field), parameter("topk", std::to_string(limit)),
        parameter("params", parameters.dump()), parameter("metric_type", "IP"),
        parameter("round_decimal", "-1")}}};
  const Json answer =
      call(Api::kManagement, "POST", "/search", with_moment(body, seen), "search " + collection);
  const std::string origin = "the Milvus server at " + address_.host;
  try {
    const Json& results = answer.at("results");
    const auto counts = results.at("topks").get<std::vector<std::size_t>>();
    const Json none = Json::array();
    const Json scores = results.value("scores", none);
    const Json keys = results.contains("ids")
                          ? results.at("ids").at("IdField").at("StrId").value("data", none)
                          : none;
    std::vector<std::vector<MilvusHit>> hits(num_queries);
    std::size_t at = 0;
    for (std::size_t q = 0; q < counts.size() && q < num_queries; ++q) {
      for (std::size_t i = 0; i < counts[q]; ++i, ++at) {
        hits[q].push_back({keys.at(at).get<std::string>(), scores.at(at).get<float>()});
      }
    }
    return hits;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData,
                origin + " answers with hits that cannot be read: " + error.what());
  }
}

}  // namespace mmra::bank
