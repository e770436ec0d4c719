#include "mmra/serving/videos_api.h"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/core/fingerprint.h"
#include "mmra/serving/answers.h"
#include "mmra/serving/request_members.h"
#include "mmra/serving/url.h"

namespace mmra::serving {
namespace {

using nlohmann::ordered_json;

constexpr int kMaxPage = 500;
constexpr std::size_t kMaxSplitBytes = 16;

template <typename Value>
Value one_of(const Request& request, const std::string& name,
             const std::map<std::string, Value>& values, Value otherwise) {
  const std::string given = parameter(request, name);
  if (given.empty()) return otherwise;
  const auto found = values.find(given);
  if (found != values.end()) return found->second;
  std::string allowed;
  for (const auto& [text, value] : values) allowed += (allowed.empty() ? "" : ", ") + text;
  throw Refusal(bad_request("invalid_parameter", name + " cannot be " + bank::in_quotes(given),
                            "it is one of " + allowed));
}

ListQuery read_list_query(const Request& request) {
  expect_parameters(request, {"limit", "after", "sort", "order", "from", "to", "q"});
  ListQuery query;
  if (const auto limit = parameter(request, "limit"); !limit.empty()) {
    query.limit = static_cast<std::size_t>(to_integer("limit", limit, 1, kMaxPage));
  }
  if (const auto after = parameter(request, "after"); !after.empty()) query.after = after;
  if (const auto from = parameter(request, "from"); !from.empty()) {
    query.from = to_time("from", from);
  }
  if (const auto to = parameter(request, "to"); !to.empty()) query.to = to_time("to", to);
  query.title_part = parameter(request, "q");
  query.sort = one_of<ListQuery::Sort>(request, "sort",
                                       {{"id", ListQuery::Sort::kId},
                                        {"popularity", ListQuery::Sort::kPopularity},
                                        {"posted_at", ListQuery::Sort::kPostedAt}},
                                       ListQuery::Sort::kId);
  query.descending = one_of<bool>(request, "order", {{"asc", false}, {"desc", true}}, false);
  return query;
}

std::optional<double> read_popularity(RequestMembers& members) {
  const auto popularity = members.number("popularity");
  if (popularity && *popularity < 0.0) {
    throw Refusal(bad_request("invalid_member", "\"popularity\" must not be below zero",
                              "leave it out where it is not known"));
  }
  return popularity;
}

std::optional<bank::Split> read_split(RequestMembers& members) {
  const auto text = members.text("split", kMaxSplitBytes);
  if (!text) return std::nullopt;
  const auto split = bank::parse_split(*text);
  if (split) return split;
  throw Refusal(bad_request("invalid_member", "\"split\" cannot be " + bank::in_quotes(*text),
                            "it is one of train, valid, test"));
}

void set_encoding(pipeline::EncodedQuery& encoded, bank::StoredRecord& stored) {
  stored.record.captions = std::move(encoded.captions);
  stored.record.thumbnails = std::move(encoded.thumbnails);
  stored.record.context = std::move(encoded.context);
  stored.features = std::move(encoded.features);
}

Problem conflict(const std::string& detail, const std::string& hint) {
  return {409, "conflict", detail, hint};
}

}  // namespace

/// What a PATCH wants; what is not there stays.
struct VideosApi::Change {
  std::optional<double> popularity;
  std::optional<Timestamp> observed_at;  ///< when `popularity` was counted
  std::optional<Timestamp> posted_at;
  std::optional<bank::Split> split;
  std::optional<std::string> title;
  bank::Context context;
};

void VideosApi::list(const std::shared_ptr<Exchange>& exchange) {
  const ListQuery query = read_list_query(exchange->request());
  backend_.submit(backend_.readers(), exchange, [this, query](Exchange& asked) {
    const ListPage page = backend_.listing().page(query, backend_.bank().info().generation);
    ordered_json videos = ordered_json::array();
    for (const ListedRecord& record : page.records) videos.push_back(to_json(record));
    const ordered_json next = page.next ? ordered_json(*page.next) : ordered_json(nullptr);
    asked.respond(
        {200, "application/json",
         to_text({{"videos", std::move(videos)}, {"next", next}, {"total", page.total}})});
  });
}

void VideosApi::get(const std::shared_ptr<Exchange>& exchange) {
  backend_.submit(backend_.readers(), exchange, [this](Exchange& asked) {
    const ordered_json record = stored_json(asked.request().segments.at(2));
    asked.respond({200, "application/json", to_text(record)});
  });
}

ordered_json VideosApi::stored_json(const std::string& id) const {
  const bank::Record record = backend_.find(id);
  return to_json(record, backend_.bank().find_history(id).value_or(bank::PopularityHistory{}));
}

void VideosApi::thumbnail(const std::shared_ptr<Exchange>& exchange) {
  backend_.submit(backend_.readers(), exchange, [this](Exchange& asked) {
    const std::string& file = asked.request().segments.at(4);
    const bank::Record record = backend_.find(asked.request().segments.at(2));
    for (std::size_t i = 0; i < record.thumbnails.size(); ++i) {
      if (file != std::to_string(i) + ".jpg") continue;
      const auto& jpeg = record.thumbnails[i];
      return asked.respond({200,
                            "image/jpeg",
                            std::string(jpeg.begin(), jpeg.end()),
                            {{"Cache-Control", "private, max-age=60"}}});
    }
    throw Refusal({404, "no_thumbnail", "the record has no such thumbnail",
                   "GET the record: it lists its thumbnails"});
  });
}

void VideosApi::check_writable() const {
  if (!backend_.options().read_only) return;
  throw Refusal({403, "read_only", "this server does not change its bank",
                 "ask one that was started without --read-only"});
}

void VideosApi::add(const std::shared_ptr<Exchange>& exchange) {
  check_writable();
  const Request& request = exchange->request();
  RequestMembers members = members_of(request);
  bank::Record record;
  record.id = members.text("id", bank::kMaxIdBytes).value_or("");
  if (const auto fault = bank::fault_of_id(record.id)) {
    throw Refusal(bad_request("invalid_member", "\"id\" cannot be used: " + *fault,
                              "give 1 to 511 bytes of UTF-8 without control characters"));
  }
  record.title = members.text("title", kMaxTitleBytes).value_or("");
  record.popularity = read_popularity(members);
  record.posted_at = members.time("posted_at");
  record.split = read_split(members).value_or(bank::split_of_id(record.id));
  record.context = members.context("context", backend_.schema());
  members.expect_empty();
  const UploadedFile* video = video_of(request);
  if (video == nullptr && record.title.empty()) {
    throw Refusal(bad_request("missing_member", "a record needs a title or a video",
                              "give one of them, or both"));
  }
  pipeline::Query query;
  query.title = record.title;
  query.context = record.context;
  query.posted_at = record.posted_at;
  backend_.check_can_be_asked(query, video != nullptr, false);

  const auto encode = [this, exchange](bank::Record to_add, pipeline::Query asked) {
    InferenceJob job;
    job.query = std::move(asked);
    job.answer = [this, exchange, to_add = std::move(to_add)](pipeline::PredictionEngine&,
                                                              Inferred inferred) {
      const auto stored = std::make_shared<bank::StoredRecord>();
      stored->record = to_add;
      set_encoding(inferred.queries.front(), *stored);
      backend_.submit(backend_.writer(), exchange, [this, stored](Exchange& writing) {
        bank::MemoryBank& bank = backend_.bank();
        const bank::Record& added = stored->record;
        if (bank.find(added.id)) {
          throw Refusal(conflict("the bank has a record " + bank::in_quotes(added.id) + " already",
                                 "PATCH changes it, DELETE removes it"));
        }
        bank.put(std::span(stored.get(), 1));
        bank.flush();
        backend_.metrics().note_write();
        writing.respond({201,
                         "application/json",
                         to_text(stored_json(added.id)),
                         {{"Location", "/v1/videos/" + escape_segment(added.id)}}});
      });
    };
    backend_.submit(exchange, std::move(job));
  };
  if (video == nullptr) return encode(std::move(record), std::move(query));
  backend_.submit(backend_.decoders(), exchange, [this, encode, record, query](Exchange& asked) {
    const UploadedFile& file = *video_of(asked.request());
    bank::Record to_add = record;
    to_add.video_fingerprint = fingerprint_file(file.path());
    to_add.video_size_bytes = static_cast<std::int64_t>(file.size_bytes());
    pipeline::Query with_clip = query;
    with_clip.clip = backend_.decode(file, asked.stop());
    encode(std::move(to_add), std::move(with_clip));
  });
}

void VideosApi::change(const std::shared_ptr<Exchange>& exchange) {
  check_writable();
  const Request& request = exchange->request();
  RequestMembers members = members_of(request);
  Change change;
  change.popularity = read_popularity(members);
  change.observed_at = members.time("observed_at");
  if (change.observed_at && !change.popularity) {
    throw Refusal(bad_request("missing_member", "\"observed_at\" without \"popularity\"",
                              "give the count that was made at that time"));
  }
  change.posted_at = members.time("posted_at");
  change.split = read_split(members);
  change.title = members.text("title", kMaxTitleBytes);
  change.context = members.context("context", backend_.schema());
  members.expect_empty();
  const std::string id = request.segments.at(2);
  const bank::Record present = backend_.find(id);
  if (!change.title || *change.title == present.title) {
    return backend_.submit(backend_.writer(), exchange, [this, id, change](Exchange& asked) {
      apply(asked, id, change, std::nullopt);
    });
  }
  if (change.title->empty() && present.thumbnails.empty()) {
    throw Refusal(bad_request("invalid_member", "a record needs a title or a video",
                              "give a title that is not empty"));
  }
  InferenceJob job;
  job.query.id = id;
  job.titles = {*change.title};
  backend_.check_can_be_asked(job.query, false, true);
  job.answer = [this, exchange, id, change](pipeline::PredictionEngine&, Inferred inferred) {
    backend_.submit(backend_.writer(), exchange,
                    [this, id, change, retitled = std::move(inferred.queries.front())](
                        Exchange& asked) { apply(asked, id, change, retitled); });
  };
  backend_.submit(exchange, std::move(job));
}

void VideosApi::apply(Exchange& exchange, const std::string& id, const Change& change,
                      const std::optional<pipeline::EncodedQuery>& retitled) {
  bank::Record record = backend_.find(id);
  if (retitled && record.captions != retitled->captions) {
    throw Refusal(conflict("the record was replaced meanwhile", "send the change again"));
  }
  if (change.popularity && !change.observed_at) record.popularity = change.popularity;
  if (change.posted_at) record.posted_at = change.posted_at;
  if (change.split) record.split = *change.split;
  if (change.title) record.title = *change.title;
  if (change.observed_at && record.posted_at && *change.observed_at < *record.posted_at) {
    throw Refusal(bad_request("invalid_member", "\"observed_at\" is before the record was posted",
                              "give the time of the count, RFC 3339 or seconds since 1970"));
  }
  for (const auto& [name, value] : change.context) record.context[name] = value;
  record.row_fingerprint.clear();  // no manifest's row is like it any more
  if (retitled) {
    const bank::StoredRecord stored{record, retitled->features};
    backend_.bank().put(std::span(&stored, 1));
  } else {
    backend_.bank().put_record(record);
  }
  if (change.observed_at) {
    const bank::RecordObservation counted{id, {*change.observed_at, change.popularity.value()}};
    static_cast<void>(backend_.bank().observe(std::span(&counted, 1)));
  }
  backend_.bank().flush();
  backend_.metrics().note_write();
  exchange.respond({200, "application/json", to_text(stored_json(id))});
}

void VideosApi::remove(const std::shared_ptr<Exchange>& exchange) {
  check_writable();
  backend_.submit(backend_.writer(), exchange, [this](Exchange& asked) {
    const std::string id = backend_.find(asked.request().segments.at(2)).id;
    backend_.bank().remove(std::span(&id, 1));
    backend_.bank().flush();
    backend_.metrics().note_write();
    asked.respond({204, "", ""});
  });
}

}  // namespace mmra::serving
