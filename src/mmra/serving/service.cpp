#include "mmra/serving/service.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>

#include "mmra/bank/text_checks.h"
#include "mmra/pipeline/predict.h"
#include "mmra/pipeline/prediction_json.h"
#include "mmra/serving/answers.h"
#include "mmra/serving/bank_listing.h"
#include "mmra/serving/json_request.h"
#include "mmra/serving/model_card.h"
#include "mmra/serving/routes.h"
#include "mmra/serving/web_assets.h"
#include "mmra/serving/worker_pool.h"

namespace mmra::serving {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kMaxJsonBytes = 256 * 1024;
constexpr int kMaxResults = 100;
constexpr int kMaxPage = 500;

// What a page of ours may do: nothing but itself, and pictures in its own answers.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string parameter(const RequestHead& head, const std::string& name) {
  const auto found = head.query.find(name);
  return found == head.query.end() ? std::string() : found->second;
}

void expect_parameters(const RequestHead& head, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : head.query) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw Refusal(bad_request("unknown_parameter",
                                "there is no parameter " + bank::in_quotes(name) + " here",
                                "GET /openapi.json lists those that there are"));
    }
  }
}

Problem no_record(const std::string& id) {
  return {404, "no_record", "the bank has no record " + bank::in_quotes(id),
          "GET /v1/videos lists the records"};
}

}  // namespace

class Service::Impl {
 public:
  explicit Impl(ServiceOptions options)
      : options_(std::move(options)),
        engine_(options_.bank_directory, options_.model_directory, options_.num_threads,
                options_.precision),
        bank_(bank::open_bank(options_.bank_directory, bank::OpenMode::kReadOnly)),
        schema_(bank_->info().schema),
        model_card_(read_model_card(options_.model_directory)),
        listing_(*bank_),
        inference_(1, options_.max_queued),
        readers_(2, 256) {}

  std::variant<BodyPlan, Response> admit(const RequestHead& head) {
    const Route& route = route_of(head);
    const std::string type = head.header("content-type");
    if (route.takes_form && type.rfind("multipart/", 0) == 0) {
      return BodyPlan{BodyPlan::Kind::kForm, kMaxJsonBytes, kMaxTitleBytes, 32};
    }
    if (!route.takes_json) return BodyPlan{};
    if (type.rfind("application/json", 0) != 0) {
      throw Refusal({415, "unsupported_media_type",
                     "this takes application/json" +
                         std::string(route.takes_form ? " or multipart/form-data" : ""),
                     "send the header Content-Type with the body"});
    }
    return BodyPlan{BodyPlan::Kind::kText, kMaxJsonBytes, 0, 0};
  }

  void answer(const std::shared_ptr<Exchange>& exchange) {
    const Route& route = route_of(exchange->request());
    switch (route.endpoint) {
      case Endpoint::kPage:
        return exchange->respond(asset_answer("index.html"));
      case Endpoint::kAsset:
        return exchange->respond(asset_answer(exchange->request().segments.at(1)));
      case Endpoint::kHealth:
        return exchange->respond({200, "application/json", R"({"status":"ok"})"});
      case Endpoint::kReady:
        return exchange->respond(ready_answer());
      case Endpoint::kMetrics:
      case Endpoint::kOpenApi:
        throw Refusal(not_found("not there yet"));
      case Endpoint::kModel:
        return run(readers_, exchange, [this](const Request&, const Exchange&) {
          ordered_json document = model_card_;
          document["bank"] = describe_bank(bank_->info());
          return document;
        });
      case Endpoint::kPredict:
        return run(inference_, exchange, [this](const Request& request, const Exchange& asked) {
          return predict(request, asked.stop());
        });
      case Endpoint::kSearch:
      case Endpoint::kSearchByForm:
        return run(inference_, exchange, [this](const Request& request, const Exchange& asked) {
          return search(request, asked.stop());
        });
      case Endpoint::kListVideos:
        return run(readers_, exchange,
                   [this](const Request& request, const Exchange&) { return list(request); });
      case Endpoint::kGetVideo:
        return run(readers_, exchange, [this](const Request& request, const Exchange&) {
          return to_json(find(request.segments.at(2)));
        });
      case Endpoint::kGetThumbnail:
        return submit(readers_, exchange,
                      [this](Exchange& asked) { asked.respond(thumbnail(asked.request())); });
    }
  }

  void begin_stop() { stopping_ = true; }
  void finish() {
    inference_.finish();
    readers_.finish();
  }
  void log(const std::string& line) const {
    if (!line.empty() && options_.log) options_.log(line);
  }

 private:
  static const Route& route_of(const RequestHead& head) {
    const auto routes = routes_of(head.segments);
    if (routes.empty()) throw Refusal(not_found("there is nothing under this address"));
    std::string allowed;
    for (const Route* route : routes) {
      if (route->method == head.method || (route->method == "GET" && head.method == "HEAD")) {
        return *route;
      }
      allowed += (allowed.empty() ? "" : ", ") + std::string(route->method);
    }
    throw Refusal({405, "method_not_allowed",
                   "this address does not take " + bank::in_quotes(head.method),
                   "it takes " + allowed});
  }

  /// Runs on one of the pool's threads; a failure is answered as a problem.
  template <typename Task>
  void submit(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange, Task task) {
    const bool taken = pool.try_submit([this, exchange, task = std::move(task)] {
      try {
        if (exchange->stop().stop_requested()) return;  // answered: its deadline has passed
        task(*exchange);
      } catch (...) {
        std::string line;
        exchange->respond(to_response(problem_of_current_exception(line)));
        log(line);
      }
    });
    if (!taken) exchange->respond(to_response(stopping_ ? stopping() : overloaded(1)));
  }
  template <typename Task>
  void run(WorkerPool& pool, const std::shared_ptr<Exchange>& exchange, Task task) {
    submit(pool, exchange, [task = std::move(task)](Exchange& asked) {
      asked.respond({200, "application/json", to_text(task(asked.request(), asked))});
    });
  }

  static Response asset_answer(const std::string& name) {
    for (const WebAsset& asset : web_assets()) {
      if (asset.name != name) continue;
      return {200,
              std::string(asset.content_type),
              std::string(asset.content),
              {{"Content-Security-Policy", kContentSecurityPolicy}, {"Cache-Control", "no-cache"}}};
    }
    throw Refusal(not_found("the page has no such file"));
  }

  [[nodiscard]] Response ready_answer() const {
    if (stopping_) return to_response(stopping());
    return {200, "application/json", R"({"status":"ready"})"};
  }

  [[nodiscard]] bank::Record find(const std::string& id) const {
    auto record = bank::fault_of_id(id) ? std::nullopt : bank_->find(id);
    if (!record) throw Refusal(no_record(id));
    return std::move(*record);
  }

  [[nodiscard]] Response thumbnail(const Request& request) const {
    const std::string& file = request.segments.at(4);
    const bank::Record record = find(request.segments.at(2));
    for (std::size_t i = 0; i < record.thumbnails.size(); ++i) {
      if (file != std::to_string(i) + ".jpg") continue;
      const auto& jpeg = record.thumbnails[i];
      return {200,
              "image/jpeg",
              std::string(jpeg.begin(), jpeg.end()),
              {{"Cache-Control", "private, max-age=60"}}};
    }
    throw Refusal({404, "no_thumbnail", "the record has no such thumbnail",
                   "GET the record: it lists its thumbnails"});
  }

  [[nodiscard]] ordered_json list(const Request& request) {
    expect_parameters(request, {"limit", "after", "sort", "order", "from", "to", "q"});
    ListQuery query;
    const std::string limit = parameter(request, "limit");
    if (!limit.empty()) {
      query.limit = static_cast<std::size_t>(to_integer("limit", limit, 1, kMaxPage));
    }
    if (const auto after = parameter(request, "after"); !after.empty()) query.after = after;
    if (const auto from = parameter(request, "from"); !from.empty()) {
      query.from = to_time("from", from);
    }
    if (const auto to = parameter(request, "to"); !to.empty()) query.to = to_time("to", to);
    query.title_part = parameter(request, "q").substr(0, kMaxTitleBytes);
    query.sort = one_of<ListQuery::Sort>(request, "sort",
                                         {{"", ListQuery::Sort::kId},
                                          {"id", ListQuery::Sort::kId},
                                          {"popularity", ListQuery::Sort::kPopularity},
                                          {"posted_at", ListQuery::Sort::kPostedAt}});
    query.descending =
        one_of<bool>(request, "order", {{"", false}, {"asc", false}, {"desc", true}});
    const ListPage page = listing_.page(query, bank_->info().generation);
    ordered_json videos = ordered_json::array();
    for (const ListedRecord& record : page.records) videos.push_back(to_json(record));
    return {{"videos", std::move(videos)},
            {"next", page.next ? ordered_json(*page.next) : ordered_json(nullptr)},
            {"total", page.total}};
  }

  template <typename Value>
  static Value one_of(const Request& request, const std::string& name,
                      const std::map<std::string, Value>& values) {
    const std::string given = parameter(request, name);
    const auto found = values.find(given);
    if (found != values.end()) return found->second;
    std::string allowed;
    for (const auto& [text, value] : values) {
      if (!text.empty()) allowed += (allowed.empty() ? "" : ", ") + text;
    }
    throw Refusal(bad_request("invalid_parameter", name + " cannot be " + bank::in_quotes(given),
                              "it is one of " + allowed));
  }

  [[nodiscard]] ordered_json predict(const Request& request, const std::stop_token& stop) {
    RequestMembers members(parse_body(request.body));
    pipeline::Query query;
    query.id = members.text("id", 511);
    query.title = members.text("title", kMaxTitleBytes).value_or("");
    query.as_of = members.time("as_of");
    query.posted_at = members.time("posted_at");
    query.context = members.context("context", schema_);
    members.expect_empty();
    if (query.id && !query.title.empty()) {
      throw Refusal(
          bad_request("invalid_member", "both \"id\" and \"title\" are given", "give one of them"));
    }
    if (!query.id && query.title.empty()) {
      throw Refusal(bad_request("missing_member", "there is nothing to predict",
                                "give \"title\", or \"id\" of a record"));
    }
    if (query.id) static_cast<void>(find(*query.id));
    const pipeline::Prediction prediction = engine_.predict(query, stop);
    ordered_json document = pipeline::to_json(prediction);
    for (ordered_json& instance : document["instances"]) add_thumbnail(instance);
    document["distribution"] = distribution_of(engine_.sorted_popularity());
    document["frames"] = ordered_json::array();
    return document;
  }

  [[nodiscard]] ordered_json search(const Request& request, const std::stop_token& stop) const {
    expect_parameters(request, {"text", "id", "k", "as_of"});
    pipeline::Query query;
    query.title = parameter(request, "text");
    const std::string id = parameter(request, "id");
    if (!id.empty()) query.id = id;
    if (query.title.empty() == id.empty()) {
      throw Refusal(bad_request("missing_parameter", "search needs either text or id",
                                "GET /v1/search?text=…"));
    }
    if (query.id) static_cast<void>(find(id));
    const std::string as_of = parameter(request, "as_of");
    if (!as_of.empty()) query.as_of = to_time("as_of", as_of);
    const std::string k = parameter(request, "k");
    const auto found = pipeline::search_bank(*bank_, options_.bank_directory, query,
                                             k.empty() ? 10 : to_integer("k", k, 1, kMaxResults),
                                             options_.num_threads, stop, options_.precision);
    ordered_json results = ordered_json::array();
    for (const pipeline::Instance& instance : found.instances) {
      ordered_json result = pipeline::to_search_json(instance);
      add_thumbnail(result);
      results.push_back(std::move(result));
    }
    return {{"results", std::move(results)}};
  }

  void add_thumbnail(ordered_json& instance) const {
    const auto id = instance["id"].get<std::string>();
    const auto record = bank_->find(id);
    instance["thumbnail_url"] = thumbnail_url(id, record && !record->thumbnails.empty());
    const bool has_time = record && record->posted_at;
    instance["posted_at"] =
        has_time ? ordered_json(format_timestamp(*record->posted_at)) : ordered_json(nullptr);
  }

  ServiceOptions options_;
  pipeline::PredictionEngine engine_;
  std::unique_ptr<bank::MemoryBank> bank_;
  bank::BankSchema schema_;
  ordered_json model_card_;
  BankListing listing_;
  std::atomic<bool> stopping_ = false;
  WorkerPool inference_;
  WorkerPool readers_;
};

Service::Service(ServiceOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Service::~Service() = default;

std::variant<BodyPlan, Response> Service::admit(const RequestHead& head) {
  return impl_->admit(head);
}
void Service::answer(std::shared_ptr<Exchange> exchange) { impl_->answer(exchange); }
const std::vector<std::pair<std::string, std::string>>& Service::common_headers() const {
  static const std::vector<std::pair<std::string, std::string>> kHeaders = {
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cache-Control", "no-store"}};
  return kHeaders;
}
void Service::note_response(const RequestHead& /*head*/, int /*status*/, double /*seconds*/) {}
void Service::begin_stop() { impl_->begin_stop(); }
void Service::finish() { impl_->finish(); }

}  // namespace mmra::serving
