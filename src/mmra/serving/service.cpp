#include "mmra/serving/service.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/serving/answers.h"
#include "mmra/serving/backend.h"
#include "mmra/serving/json_request.h"
#include "mmra/serving/model_api.h"
#include "mmra/serving/routes.h"
#include "mmra/serving/videos_api.h"
#include "mmra/serving/web_assets.h"

namespace mmra::serving {
namespace {

constexpr std::uint64_t kMaxJsonBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kMaxFormOverhead = std::uint64_t{256} << 10;  // beside the video
constexpr std::size_t kMaxFormFields = 64;
constexpr std::size_t kMaxFieldBytes = std::size_t{64} << 10;  // the context, as JSON
constexpr char kPageName[] = "index.html";
constexpr char kOpenApiName[] = "openapi.json";

// What a page of ours may do: nothing but itself, and pictures in its own answers.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string without_port(const std::string& host) {
  const std::size_t colon = host.rfind(':');
  const bool is_port = colon != std::string::npos &&
                       host.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  std::string name = is_port ? host.substr(0, colon) : host;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

/// Null where there is none of that path and method; `allowed` then lists the methods it has.
const Route* find_route(const RequestHead& head, std::string& allowed) {
  for (const Route* route : routes_of(head.segments)) {
    if (route->method == head.method || (route->method == "GET" && head.method == "HEAD")) {
      return route;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(route->method);
  }
  return nullptr;
}

Response asset_answer(const std::string& name) {
  for (const WebAsset& asset : web_assets()) {
    if (asset.name != name) continue;
    return {200,
            std::string(asset.content_type),
            std::string(asset.content),
            {{"Content-Security-Policy", kContentSecurityPolicy}, {"Cache-Control", "no-cache"}}};
  }
  throw Refusal(not_found("the page has no such file"));
}

}  // namespace

class Service::Impl {
 public:
  explicit Impl(ServiceOptions options)
      : backend_(std::move(options)), model_(backend_), videos_(backend_) {}

  std::variant<BodyPlan, Response> admit(const RequestHead& head) {
    const Route& route = route_of(head);
    check_host(head);
    check_access(head, route);
    const std::string type = head.header("content-type");
    if (route.takes_form && (type.rfind("multipart/", 0) == 0 || !route.takes_json)) {
      return plan_form();
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
        return exchange->respond(asset_answer(kPageName));
      case Endpoint::kAsset:
        return exchange->respond(asset_answer(exchange->request().segments.at(1)));
      case Endpoint::kOpenApi:
        return exchange->respond(asset_answer(kOpenApiName));
      case Endpoint::kHealth:
        return exchange->respond({200, "application/json", R"({"status":"ok"})"});
      case Endpoint::kReady:
        if (backend_.is_stopping()) throw Refusal(stopping());
        return exchange->respond({200, "application/json", R"({"status":"ready"})"});
      case Endpoint::kMetrics:
        return backend_.submit(backend_.readers(), exchange, [this](Exchange& asked) {
          asked.respond({200, "text/plain; version=0.0.4; charset=utf-8", backend_.metrics_text()});
        });
      case Endpoint::kModel:
        return backend_.submit(backend_.readers(), exchange, [this](Exchange& asked) {
          asked.respond({200, "application/json", to_text(backend_.model_card())});
        });
      case Endpoint::kPredict:
        return model_.predict(exchange);
      case Endpoint::kCompare:
        return model_.compare(exchange);
      case Endpoint::kSearch:
        return model_.search(exchange);
      case Endpoint::kSearchByForm:
        return model_.search_by_form(exchange);
      case Endpoint::kListVideos:
        return videos_.list(exchange);
      case Endpoint::kGetVideo:
        return videos_.get(exchange);
      case Endpoint::kGetThumbnail:
        return videos_.thumbnail(exchange);
      case Endpoint::kAddVideo:
        return videos_.add(exchange);
      case Endpoint::kChangeVideo:
        return videos_.change(exchange);
      case Endpoint::kRemoveVideo:
        return videos_.remove(exchange);
      case Endpoint::kReload:
        return backend_.submit(backend_.loader(), exchange,
                               [this](Exchange& asked) { asked.respond(reload_answer()); });
    }
  }

  void note_response(const RequestHead& head, int status, double seconds) {
    std::string allowed;
    const Route* route = find_route(head, allowed);
    backend_.metrics().note_response(route != nullptr ? route->path : "(none)",
                                     route != nullptr ? route->method : "(none)", status, seconds);
  }

  Backend& backend() { return backend_; }

 private:
  static const Route& route_of(const RequestHead& head) {
    std::string allowed;
    if (const Route* route = find_route(head, allowed)) return *route;
    if (allowed.empty()) throw Refusal(not_found("there is nothing under this address"));
    throw Refusal({405, "method_not_allowed",
                   "this address does not take " + bank::in_quotes(head.method),
                   "it takes " + allowed});
  }

  void check_host(const RequestHead& head) const {
    const std::string host = head.header("host");
    const auto& allowed = backend_.options().allowed_hosts;
    if (!allowed.empty() &&
        std::find(allowed.begin(), allowed.end(), without_port(host)) == allowed.end()) {
      throw Refusal({421, "unknown_host", "this server is not known under that name",
                     "ask for it as localhost, or start it with --allow-host NAME"});
    }
    // A page from elsewhere may make a browser send requests here; its browser says so.
    const std::string origin = head.header("origin");
    const bool foreign_origin =
        !origin.empty() && origin != "http://" + host && origin != "https://" + host;
    const std::string site = head.header("sec-fetch-site");
    const bool is_change = head.method != "GET" && head.method != "HEAD";
    if (is_change && (foreign_origin || site == "cross-site" || site == "same-site")) {
      throw Refusal({403, "cross_site", "a page from elsewhere sent this request",
                     "use this server's own page, or a program"});
    }
  }

  void check_access(const RequestHead& head, const Route& route) const {
    const TokenList& tokens = backend_.options().tokens;
    if (tokens.empty() || route.access == Access::kOpen) return;
    const auto access = tokens.access_of(head.header("authorization"));
    if (!access) {
      throw Refusal({401, "unauthorized", "this needs a token",
                     "send Authorization: Bearer with the token you were given"});
    }
    if (route.access == Access::kWrite && *access != Access::kWrite) {
      throw Refusal({403, "forbidden", "this token is for reading only", "use one for writing"});
    }
  }

  [[nodiscard]] BodyPlan plan_form() {
    auto slot = backend_.uploads().try_take();
    if (slot == nullptr) throw Refusal(overloaded(2));
    return {BodyPlan::Kind::kForm, backend_.options().max_upload_bytes + kMaxFormOverhead,
            kMaxFieldBytes, kMaxFormFields, std::move(slot)};
  }

  [[nodiscard]] Response reload_answer() {
    try {
      backend_.reload();
    } catch (const std::exception& error) {
      backend_.log(std::string("reloading failed, the old model goes on: ") + error.what());
      throw Refusal({409, "reload_failed", "the model cannot be loaded; the old one goes on",
                     "the operator finds the reason in the server's log"});
    }
    const auto card = backend_.model_card();
    return {200, "application/json",
            to_text({{"generation", card["bank"]["generation"]}, {"model", card["model"]}})};
  }

  Backend backend_;
  ModelApi model_;
  VideosApi videos_;
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
      {"X-Frame-Options", "DENY"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Permissions-Policy", "camera=(), microphone=(), geolocation=()"},
      {"Cache-Control", "no-store"}};
  return kHeaders;
}

void Service::note_response(const RequestHead& head, int status, double seconds) {
  impl_->note_response(head, status, seconds);
}

void Service::note_failure(const std::string& reason) {
  impl_->backend().log("a request failed: " + reason);
}

void Service::reload() {
  Backend& backend = impl_->backend();
  const bool taken = backend.loader().try_submit([&backend] {
    try {
      backend.reload();
    } catch (const std::exception& error) {
      backend.log(std::string("reloading failed, the old model goes on: ") + error.what());
    }
  });
  if (!taken) backend.log("a reload is under way already");
}

void Service::set_connection_counts(std::function<ConnectionCounts()> counts) {
  impl_->backend().set_connection_counts(std::move(counts));
}
void Service::begin_stop() { impl_->backend().begin_stop(); }
void Service::finish() { impl_->backend().finish(); }

}  // namespace mmra::serving
