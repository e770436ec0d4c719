#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "mmra/core/error.h"

namespace mmra::serving {

/// What went wrong with a request, as RFC 9457 has it. It goes to strangers: no path, no stack,
/// nothing of the machine is ever in it.
struct Problem {
  int status = 500;    ///< HTTP
  std::string code;    ///< for programs: lower-case words joined by _, never changes its meaning
  std::string detail;  ///< for people: one line
  std::string hint;    ///< what to do about it
  std::optional<int> retry_after_s = std::nullopt;
};

/// The document of media type application/problem+json: type, title (the status in words), status,
/// detail, code, hint.
[[nodiscard]] std::string to_json_text(const Problem& problem);
inline constexpr char kProblemType[] = "application/problem+json";

/// The words of an HTTP status.
[[nodiscard]] std::string reason_of(int status);

/// A request that is refused, on its way to whoever answers it.
class Refusal : public Error {
 public:
  explicit Refusal(Problem problem);
  [[nodiscard]] const Problem& problem() const noexcept { return problem_; }

 private:
  Problem problem_;
};

/// Of whatever was thrown while a request was answered: a Refusal's own problem; for what is the
/// server's fault (a bank that cannot be read, a bug) one that says no more than that. `log`
/// receives the line for the server's own log, which is empty where there is nothing to know.
[[nodiscard]] Problem problem_of_current_exception(std::string& log);

// The common ones.
[[nodiscard]] Problem bad_request(const std::string& code, const std::string& detail,
                                  const std::string& hint);
[[nodiscard]] Problem not_found(const std::string& what);
[[nodiscard]] Problem overloaded(int retry_after_s);
[[nodiscard]] Problem disk_is_full();
[[nodiscard]] Problem deadline_passed(double deadline_s);
[[nodiscard]] Problem stopping();

}  // namespace mmra::serving
