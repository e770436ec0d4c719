#include "mmra/serving/model_api.h"

#include <cmath>
#include <utility>

#include "mmra/bank/text_checks.h"
#include "mmra/pipeline/compare.h"
#include "mmra/pipeline/prediction_json.h"
#include "mmra/serving/answers.h"
#include "mmra/serving/request_members.h"

namespace mmra::serving {
namespace {

using nlohmann::ordered_json;
using pipeline::EncodedQuery;
using pipeline::PredictionEngine;

constexpr int kMaxResults = 100;
constexpr int kDefaultResults = 10;

bool wants_events(const Request& request) {
  return !request.is_http_1_0 &&
         request.header("accept").find("text/event-stream") != std::string::npos;
}

/// Thumbnails of a clip, with what they show where that is known.
ordered_json to_frames(const pipeline::DecodedClip& clip,
                       const std::vector<std::string>* captions) {
  ordered_json frames = ordered_json::array();
  for (std::size_t i = 0; i < clip.thumbnails.size(); ++i) {
    ordered_json frame = {{"thumbnail", to_data_url(clip.thumbnails[i])},
                          {"time_s", clip.frames[i].pts_s}};
    if (captions != nullptr) {
      frame["caption"] =
          i < captions->size() ? ordered_json((*captions)[i]) : ordered_json(nullptr);
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

void add_addresses(ordered_json& document, const pipeline::Instance& instance) {
  document["thumbnail_url"] = thumbnail_url(instance.id, instance.has_thumbnails);
  document["posted_at"] = instance.posted_at ? ordered_json(format_timestamp(*instance.posted_at))
                                             : ordered_json(nullptr);
}

ordered_json to_results(const std::vector<pipeline::Instance>& instances) {
  ordered_json results = ordered_json::array();
  for (const pipeline::Instance& instance : instances) {
    ordered_json result = pipeline::to_search_json(instance);
    add_addresses(result, instance);
    results.push_back(std::move(result));
  }
  return results;
}

void add_addresses(ordered_json& prediction, const std::vector<pipeline::Instance>& instances) {
  for (std::size_t i = 0; i < instances.size(); ++i) {
    add_addresses(prediction["instances"][i], instances[i]);
  }
}

}  // namespace

/// A request to the model on its way there.
struct ModelApi::Question {
  pipeline::Query query;
  std::vector<std::string> titles;
  bool wants_prediction = false;
  /// The answer, on the model's thread.
  std::function<ordered_json(Exchange&, PredictionEngine&, Inferred, const pipeline::DecodedClip*)>
      answer;
};

void ModelApi::ask(const std::shared_ptr<Exchange>& exchange, Question question) {
  const auto pass_on = [this, exchange](Question asked) {
    InferenceJob job;
    job.query = std::move(asked.query);
    job.titles = std::move(asked.titles);
    job.wants_prediction = asked.wants_prediction;
    job.answer = [exchange, clip = job.query.clip, answer = std::move(asked.answer)](
                     PredictionEngine& engine, Inferred inferred) {
      const bool events = wants_events(exchange->request());
      const std::string text = to_text(answer(*exchange, engine, std::move(inferred), clip.get()));
      if (!events) return exchange->respond({200, "application/json", text});
      exchange->send_event("result", text);
      exchange->end_events();
    };
    backend_.submit(exchange, std::move(job));
  };
  const UploadedFile* video = video_of(exchange->request());
  backend_.check_can_be_asked(question.query, video != nullptr, !question.titles.empty());
  if (video == nullptr) return pass_on(std::move(question));
  backend_.submit(backend_.decoders(), exchange,
                  [this, pass_on, question = std::move(question)](Exchange& asked) {
                    Question with_clip = question;
                    with_clip.query.clip =
                        backend_.decode(*video_of(asked.request()), asked.stop());
                    if (wants_events(asked.request())) {
                      const ordered_json frames = to_frames(*with_clip.query.clip, nullptr);
                      asked.send_event("frames", to_text({{"frames", frames}}));
                    }
                    pass_on(std::move(with_clip));
                  });
}

namespace {

/// What predict and compare have in common.
pipeline::Query read_query(RequestMembers& members, const bank::BankSchema& schema) {
  pipeline::Query query;
  query.id = members.text("id", bank::kMaxIdBytes);
  query.as_of = members.time("as_of");
  query.posted_at = members.time("posted_at");
  query.context = members.context("context", schema);
  return query;
}

void check_sources(const pipeline::Query& query, bool has_video, bool has_title) {
  if (query.id && (has_video || has_title)) {
    throw Refusal(bad_request("invalid_member", "\"id\" is given beside a title or a video",
                              "ask about a record, or about something new"));
  }
  if (query.id && (!query.context.empty() || query.posted_at)) {
    throw Refusal(bad_request("invalid_member",
                              "\"context\" and \"posted_at\" are those of the record itself",
                              "leave them out beside \"id\""));
  }
  if (!query.id && !has_video && !has_title) {
    throw Refusal(bad_request("missing_member", "there is nothing to ask about",
                              "give a title, a video or both, or \"id\" of a record"));
  }
}

/// Sends what is known before the prediction, then predicts.
pipeline::Prediction predict_with_events(Exchange& exchange, PredictionEngine& engine,
                                         EncodedQuery encoded) {
  if (!encoded.captions.empty()) {
    exchange.send_event("captions", to_text({{"captions", encoded.captions}}));
  }
  const auto neighbours = engine.search(encoded, engine.num_instances(), exchange.stop());
  exchange.send_event("neighbours", to_text({{"instances", to_results(neighbours)}}));
  return engine.predict(std::move(encoded), exchange.stop());
}

ordered_json predict_answer(const PredictionEngine& engine, const pipeline::Prediction& prediction,
                            const pipeline::DecodedClip* clip) {
  ordered_json document = pipeline::to_json(prediction);
  add_addresses(document, prediction.instances);
  document["distribution"] = distribution_of(engine.sorted_popularity());
  document["frames"] =
      clip != nullptr ? to_frames(*clip, &prediction.captions) : ordered_json::array();
  return document;
}

}  // namespace

void ModelApi::predict(const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  RequestMembers members = members_of(request);
  Question question;
  question.query = read_query(members, backend_.schema());
  question.query.title = members.text("title", kMaxTitleBytes).value_or("");
  members.expect_empty();
  check_sources(question.query, video_of(request) != nullptr, !question.query.title.empty());
  if (question.query.id) static_cast<void>(backend_.find(*question.query.id));
  question.wants_prediction = !wants_events(request);
  question.answer = [](Exchange& asked, PredictionEngine& engine, Inferred inferred,
                       const pipeline::DecodedClip* clip) {
    return predict_answer(
        engine,
        inferred.predictions.empty()
            ? predict_with_events(asked, engine, std::move(inferred.queries.front()))
            : inferred.predictions.front(),
        clip);
  };
  ask(exchange, std::move(question));
}

void ModelApi::compare(const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  RequestMembers members = members_of(request, /*several_titles=*/true);
  Question question;
  question.query = read_query(members, backend_.schema());
  auto titles = members.texts("titles", pipeline::kMaxTitles, kMaxTitleBytes);
  members.expect_empty();
  if (!titles) titles.emplace();
  question.titles = *titles;
  if (question.query.id) static_cast<void>(backend_.find(*question.query.id));
  pipeline::Query checked = question.query;
  if (video_of(request) != nullptr) checked.video = "(a clip)";
  check_sources(checked, video_of(request) != nullptr, !question.query.id && !titles->empty());
  try {
    pipeline::check_titles(checked, question.titles);
  } catch (const Error& error) {
    throw Refusal(bad_request("invalid_titles", error.what(), "give \"titles\", two or more"));
  }
  question.wants_prediction = true;
  question.answer = [titles = *titles](Exchange&, PredictionEngine& engine, Inferred inferred,
                                       const pipeline::DecodedClip*) {
    const pipeline::Comparison comparison = pipeline::compare_predictions(
        titles, std::move(inferred.predictions), engine.calibration());
    ordered_json document = pipeline::to_json(comparison);
    for (std::size_t i = 0; i < comparison.predictions.size(); ++i) {
      add_addresses(document["results"][i], comparison.predictions[i].instances);
    }
    return document;
  };
  ask(exchange, std::move(question));
}

void ModelApi::search_for(const std::shared_ptr<Exchange>& exchange, pipeline::Query query, int k) {
  Question question;
  question.query = std::move(query);
  question.answer = [k](Exchange& asked, PredictionEngine& engine, const Inferred& inferred,
                        const pipeline::DecodedClip*) {
    const auto found = engine.search(inferred.queries.front(), k, asked.stop());
    return ordered_json({{"results", to_results(found)}});
  };
  ask(exchange, std::move(question));
}

void ModelApi::search(const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  expect_parameters(request, {"text", "id", "k", "as_of"});
  pipeline::Query query;
  query.title = parameter(request, "text");
  const std::string id = parameter(request, "id");
  if (query.title.empty() == id.empty()) {
    throw Refusal(bad_request("missing_parameter", "search needs either text or id",
                              "GET /v1/search?text=…"));
  }
  if (query.title.size() > kMaxTitleBytes) {
    throw Refusal({413, "too_large", "the text is too long", "send fewer words"});
  }
  if (!id.empty()) query.id = backend_.find(id).id;
  const std::string as_of = parameter(request, "as_of");
  if (!as_of.empty()) query.as_of = to_time("as_of", as_of);
  const std::string k = parameter(request, "k");
  search_for(exchange, std::move(query),
             k.empty() ? kDefaultResults : to_integer("k", k, 1, kMaxResults));
}

void ModelApi::search_by_form(const std::shared_ptr<Exchange>& exchange) {
  const Request& request = exchange->request();
  RequestMembers members = members_of(request);
  pipeline::Query query;
  query.title = members.text("text", kMaxTitleBytes).value_or("");
  query.as_of = members.time("as_of");
  const double k = members.number("k").value_or(kDefaultResults);
  members.expect_empty();
  if (video_of(request) == nullptr) {
    throw Refusal(bad_request("missing_member", "the form has no video",
                              "GET /v1/search?text=… searches for words"));
  }
  if (!(k >= 1 && k <= kMaxResults && k == std::floor(k))) {
    throw Refusal(bad_request("invalid_member", "\"k\" must be a whole number from 1 to 100",
                              "leave it out for 10"));
  }
  search_for(exchange, std::move(query), static_cast<int>(k));
}

}  // namespace mmra::serving
