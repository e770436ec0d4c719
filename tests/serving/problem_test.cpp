#include "mmra/serving/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "mmra/core/resource_error.h"

namespace mmra::serving {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename Exception>
Problem problem_of(const Exception& exception, std::string& log) {
  try {
    throw exception;
  } catch (...) {
    return problem_of_current_exception(log);
  }
}

TEST(Problem, IsADocumentOfRfc9457) {
  const auto document =
      nlohmann::json::parse(to_json_text({404, "no_record", "none \"a\"\xFF", "look", {}}));
  EXPECT_EQ(document["type"], "about:blank");
  EXPECT_EQ(document["title"], "Not Found");
  EXPECT_EQ(document["status"], 404);
  EXPECT_EQ(document["code"], "no_record");
  EXPECT_EQ(document["hint"], "look");
  EXPECT_EQ(document["detail"], "none \"a\"\xEF\xBF\xBD");
}

TEST(Problem, OfAFaultOfOursSaysNothingOfIt) {
  std::string log;
  for (const auto& problem :
       {problem_of(Error(ErrorKind::kIo, "cannot write /var/secret: disk full"), log),
        problem_of(Error(ErrorKind::kCorruptData, "/var/secret is damaged"), log),
        problem_of(std::runtime_error("/var/secret"), log)}) {
    EXPECT_EQ(problem.status, 500);
    EXPECT_THAT(to_json_text(problem), Not(HasSubstr("secret")));
    EXPECT_THAT(log, HasSubstr("/var/secret"));
  }
  EXPECT_EQ(problem_of(7, log).status, 500);
  EXPECT_EQ(problem_of(std::bad_alloc(), log).status, 503);
}

TEST(Problem, OfWhatHasRunOutSaysThatItCanBeTriedAgain) {
  std::string log;
  const auto problem_of_errno = [&](int error_number) {
    try {
      throw_system_error("write", "/var/secret", error_number);
    } catch (...) {
      return problem_of_current_exception(log);
    }
  };
  for (const int full : {ENOSPC, EDQUOT, EFBIG}) {
    const Problem problem = problem_of_errno(full);
    EXPECT_EQ(problem.status, 507);
    EXPECT_EQ(problem.code, "insufficient_storage");
    EXPECT_THAT(to_json_text(problem), Not(HasSubstr("secret")));
    EXPECT_THAT(log, HasSubstr("/var/secret"));
  }
  for (const int busy : {EMFILE, ENFILE, EAGAIN, ENOMEM}) {
    const Problem problem = problem_of_errno(busy);
    EXPECT_EQ(problem.status, 503);
    EXPECT_TRUE(problem.retry_after_s);
  }
  EXPECT_EQ(problem_of_errno(EACCES).status, 500);
}

TEST(Problem, OfARefusalIsItsOwn) {
  std::string log = "old";
  const Problem problem = problem_of(Refusal(overloaded(3)), log);
  EXPECT_EQ(problem.status, 429);
  EXPECT_EQ(problem.retry_after_s, 3);
  EXPECT_EQ(log, "");
  EXPECT_EQ(problem_of(Interrupted(), log).status, 503);
}

}  // namespace
}  // namespace mmra::serving
