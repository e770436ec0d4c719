#include "mmra/serving/tokens.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace mmra::serving {
namespace {

TEST(Tokens, AMadeOneIsKnownByItsLine) {
  const NewToken read = make_token(Access::kRead);
  const NewToken write = make_token(Access::kWrite);
  EXPECT_NE(read.token, write.token);
  EXPECT_GE(read.token.size(), 64U);
  EXPECT_EQ(read.line.find(read.token), std::string::npos) << "the file has the hash alone";
  const TokenList list =
      TokenList::parse("# ours\n\n" + read.line + " for the page\n" + write.line + "\n", "f");
  EXPECT_EQ(list.access_of("Bearer " + read.token), Access::kRead);
  EXPECT_EQ(list.access_of("Bearer " + write.token), Access::kWrite);
  for (const std::string& other :
       {std::string(), std::string("Bearer "), std::string("Bearer x"), read.token,
        "bearer " + read.token, "Basic " + read.token, "Bearer " + read.token + " ",
        "Bearer " + std::string(100000, 'a')}) {
    EXPECT_FALSE(list.access_of(other)) << other.substr(0, 90);
  }
}

TEST(Tokens, TheHashIsSha256) {
  // sha256("abc"), FIPS 180-4.
  const TokenList list = TokenList::parse(
      "write BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", "f");
  EXPECT_EQ(list.access_of("Bearer abc"), Access::kWrite);
}

TEST(Tokens, AFileThatIsWrongIsRefusedByLine) {
  const std::string hash(64, 'a');
  for (const std::string& text :
       {"read " + hash + "\nadmin " + hash, "read " + hash + "\nread abc",
        "read " + hash + "\nread " + std::string(64, 'x'), "read " + hash + "\nread"}) {
    mmra::testing::expect_error(ErrorKind::kInvalidInput, "f, line 2",
                                [&] { (void)TokenList::parse(text, "f"); });
  }
  mmra::testing::expect_error(ErrorKind::kInvalidInput, "no tokens",
                              [] { (void)TokenList::parse("# none\n", "f"); });
  EXPECT_TRUE(TokenList().empty());
}

}  // namespace
}  // namespace mmra::serving
