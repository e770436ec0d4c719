#include "mmra/serving/problem.h"

#include <boost/beast/http/status.hpp>
#include <cstdio>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <utility>

#include "mmra/core/resource_error.h"

namespace mmra::serving {
namespace {

ErrorKind kind_of(int status) {
  if (status == 404) return ErrorKind::kNotFound;
  return status >= 500 ? ErrorKind::kInternal : ErrorKind::kInvalidInput;
}

Problem internal_problem() {
  return {500, "internal", "the server could not answer this request",
          "try again; the operator finds the reason in the server's log"};
}

}  // namespace

std::string reason_of(int status) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return {reason.data(), reason.size()};
}

std::string to_json_text(const Problem& problem) {
  const nlohmann::ordered_json document = {
      {"type", "about:blank"},    {"title", reason_of(problem.status)},
      {"status", problem.status}, {"detail", problem.detail},
      {"code", problem.code},     {"hint", problem.hint}};
  return document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Refusal::Refusal(Problem problem)
    : Error(kind_of(problem.status), problem.detail), problem_(std::move(problem)) {}

Problem problem_of_current_exception(std::string& log) {
  log.clear();
  try {
    throw;
  } catch (const Refusal& refusal) {
    return refusal.problem();
  } catch (const Interrupted&) {
    return {503, "interrupted", "the request was given up before it was done", "send it again"};
  } catch (const std::bad_alloc&) {
    log = "out of memory";
    Problem problem = overloaded(5);
    problem.status = 503;
    return problem;
  } catch (const ResourceError& error) {
    log = error.what();
    if (error.resource() == ResourceError::Resource::kDisk) return disk_is_full();
    Problem problem = overloaded(1);
    problem.status = 503;
    return problem;
  } catch (const std::exception& error) {
    log = error.what();
  } catch (...) {
    log = "an exception of unknown type";
  }
  return internal_problem();
}

Problem bad_request(const std::string& code, const std::string& detail, const std::string& hint) {
  return {400, code, detail, hint};
}

Problem not_found(const std::string& what) {
  return {404, "not_found", what, "GET /openapi.json lists what there is"};
}

Problem overloaded(int retry_after_s) {
  return {429, "overloaded", "the server has as many requests as it can take",
          "send it again after the seconds that Retry-After says", retry_after_s};
}

Problem disk_is_full() {
  return {507, "insufficient_storage", "the server's disk is full; nothing was changed",
          "send it again when its operator has made room"};
}

Problem deadline_passed(double deadline_s) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", deadline_s);
  return {504, "deadline_passed",
          std::string("the answer was not ready within ") + seconds + " seconds",
          "send it again when the server is less busy, or a shorter clip"};
}

Problem stopping() {
  return {503, "stopping", "the server is stopping", "send it again in a moment", 2};
}

}  // namespace mmra::serving
