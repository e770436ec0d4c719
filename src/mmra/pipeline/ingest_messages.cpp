#include "mmra/pipeline/ingest_messages.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "mmra/bank/bank_state.h"
#include "mmra/bank/record_codec.h"
#include "mmra/core/error.h"

namespace mmra::pipeline {
namespace {

// CBOR: numbers keep their bits, texts need not be UTF-8.
using Json = nlohmann::json;

Json as_binary(const std::string& bytes) {
  return Json::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

bank::ByteView bytes_of(const Json& binary) {
  return std::as_bytes(std::span(binary.get_binary()));
}

std::string to_bytes(IngestMessage kind, const Json& content) {
  std::string bytes(1, static_cast<char>(kind));
  Json::to_cbor(content, bytes);
  return bytes;
}

/// Reads a message's content; what does not fit is an error.
template <typename Read>
auto read_content(std::string_view bytes, Read read) {
  try {
    return read(Json::from_cbor(bytes.begin(), bytes.end()));
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::kCorruptData, std::string("a message of another rank cannot be read (") +
                                             error.what() +
                                             "); do all ranks run the same program?");
  }
}

template <typename Value>
void put(Json& content, const char* name, const std::optional<Value>& value) {
  if (value) content[name] = *value;
}

template <typename Value>
void get(const Json& content, const char* name, std::optional<Value>& value) {
  if (const auto found = content.find(name); found != content.end()) value = found->get<Value>();
}

Json context_to_json(const bank::Context& context) {
  Json content = Json::object();
  for (const auto& [name, value] : context) {
    std::visit([&, &key = name](const auto& each) { content[key] = each; }, value);
  }
  return content;
}

bank::Context context_from_json(const Json& content) {
  bank::Context context;
  for (const auto& [name, value] : content.items()) {
    if (value.is_string()) {
      context[name] = value.get<std::string>();
    } else {
      context[name] = value.get<double>();
    }
  }
  return context;
}

Json to_json(const IngestRow& work) {
  const bank::ManifestRow& row = work.row;
  Json content = {{"index", work.row_index},
                  {"line", row.line},
                  {"id", row.id},
                  {"title", row.title},
                  {"video", row.video_path},
                  {"has_popularity", row.has_popularity_column},
                  {"context", context_to_json(row.context)}};
  put(content, "popularity", row.popularity);
  put(content, "fault", work.fault);
  if (row.posted_at) content["posted_at"] = row.posted_at->ms;
  if (row.split) content["split"] = bank::name_of(*row.split);
  return content;
}

IngestRow row_from_json(const Json& content) {
  IngestRow work;
  bank::ManifestRow& row = work.row;
  work.row_index = content.at("index");
  row.line = content.at("line");
  row.id = content.at("id");
  row.title = content.at("title");
  row.video_path = content.at("video");
  row.has_popularity_column = content.at("has_popularity");
  row.context = context_from_json(content.at("context"));
  get(content, "popularity", row.popularity);
  get(content, "fault", work.fault);
  if (content.contains("posted_at")) row.posted_at = Timestamp{content["posted_at"]};
  if (content.contains("split")) {
    row.split = bank::parse_split(content["split"].get_ref<const std::string&>());
  }
  return work;
}

Json to_json(const FinishedRow& finished) {
  const IngestedRow& row = finished.row;
  Json content = {{"id", row.id}, {"line", row.line}, {"outcome", static_cast<int>(row.outcome)}};
  put(content, "warning", row.warning);
  if (row.failure) {
    content["failure"] = {row.failure->id, row.failure->line, row.failure->video,
                          row.failure->what};
  }
  if (row.outcome == IngestOutcome::kAdded || row.outcome == IngestOutcome::kUpdated) {
    const bank::StoredRecord& stored = finished.stored;
    content["record"] = as_binary(bank::encode_record(stored.record));
    content["features"] = as_binary(bank::encode_features(row.id, stored.features));
    content["thumbnails"] = as_binary(bank::encode_thumbnails(row.id, stored.record.thumbnails));
  }
  return content;
}

FinishedRow finished_from_json(const Json& content) {
  FinishedRow finished;
  IngestedRow& row = finished.row;
  row.id = content.at("id");
  row.line = content.at("line");
  row.outcome = static_cast<IngestOutcome>(content.at("outcome").get<int>());
  get(content, "warning", row.warning);
  if (content.contains("failure")) {
    const Json& failure = content["failure"];
    row.failure = bank::IngestFailure{failure.at(0), failure.at(1), failure.at(2), failure.at(3)};
  }
  if (content.contains("record")) {
    bank::StoredRecord& stored = finished.stored;
    stored.record = bank::decode_record(row.id, bytes_of(content["record"]));
    stored.features = bank::decode_features(row.id, bytes_of(content.at("features")));
    stored.record.thumbnails = bank::decode_thumbnails(row.id, bytes_of(content.at("thumbnails")));
  }
  return finished;
}

template <typename Item>
std::string encode_list(IngestMessage kind, const std::vector<Item>& items) {
  Json content = Json::array();
  for (const Item& item : items) content.push_back(to_json(item));
  return to_bytes(kind, content);
}

template <typename Item>
std::vector<Item> decode_list(std::string_view message, Item (*from_json)(const Json&)) {
  return read_content(message.substr(1), [&](const Json& content) {
    std::vector<Item> items;
    for (const Json& item : content) items.push_back(from_json(item));
    return items;
  });
}

}  // namespace

std::string encode_setup(const IngestSetup& setup) {
  Json content = {{"schema", bank::to_json_text(setup.schema)},
                  {"rows", setup.num_rows},
                  {"host", setup.host},
                  {"encoders", Json::array()}};
  for (const IngestSetup::File& file : setup.encoders) {
    content["encoders"].push_back({{"path", file.path}, {"bytes", as_binary(file.bytes)}});
  }
  std::string bytes;
  Json::to_cbor(content, bytes);
  return bytes;
}

IngestSetup decode_setup(std::string_view bytes) {
  return read_content(bytes, [](const Json& content) {
    IngestSetup setup;
    setup.schema = bank::parse_schema(content.at("schema"), "rank 0's bank");
    setup.num_rows = content.at("rows");
    setup.host = content.at("host");
    for (const Json& file : content.at("encoders")) {
      const auto& binary = file.at("bytes").get_binary();
      setup.encoders.push_back({file.at("path"), {binary.begin(), binary.end()}});
    }
    return setup;
  });
}

std::string encode_message(IngestMessage kind) { return std::string(1, static_cast<char>(kind)); }

std::string encode_ready(RankCapacity capacity) {
  return to_bytes(IngestMessage::kReady, {capacity.num_rows, capacity.num_jobs});
}

std::string encode_rows(const std::vector<IngestRow>& rows) {
  return encode_list(IngestMessage::kRows, rows);
}

std::string encode_finished(const std::vector<FinishedRow>& rows) {
  return encode_list(IngestMessage::kFinished, rows);
}

IngestMessage kind_of(std::string_view message) {
  constexpr std::string_view kKinds = "rwfsexd";
  if (message.empty() || kKinds.find(message[0]) == std::string_view::npos) {
    throw Error(
        ErrorKind::kCorruptData,
        "a message of another rank is of no known kind; do all ranks run the same program?");
  }
  return static_cast<IngestMessage>(message[0]);
}

RankCapacity decode_ready(std::string_view message) {
  return read_content(message.substr(1), [](const Json& content) {
    return RankCapacity{content.at(0), content.at(1)};
  });
}

std::vector<IngestRow> decode_rows(std::string_view message) {
  return decode_list(message, row_from_json);
}

std::vector<FinishedRow> decode_finished(std::string_view message) {
  return decode_list(message, finished_from_json);
}

}  // namespace mmra::pipeline
