#include "mmra/encoders/builtin/title_encoder.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "mmra/core/safetensors.h"
#include "mmra/encoders/builtin/fit_text.h"

namespace mmra::encoders {
namespace {

std::vector<std::string> lines_of(const std::string& name) {
  std::ifstream file(std::string(MMRA_GOLDEN_DIR) + "/text/" + name);
  EXPECT_TRUE(file) << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// Fitted once on the golden titles.
const FittedText& fitted() {
  static const FittedText kFitted = fit_text(lines_of("builtin_titles.txt"), 2);
  return kFitted;
}

std::array<float, kTitleVectorDim> vector_of(const std::string& title,
                                             const FittedText& text = fitted()) {
  return encode_title_vector(extract_terms(title), text.model());
}

TokenMatrix tokens_of(const std::string& title, const FittedText& text = fitted()) {
  return encode_title_tokens(extract_terms(title), text.model());
}

template <typename A, typename B>
double dot(const A& a, const B& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double similarity(const std::string& a, const std::string& b) {
  return dot(vector_of(a), vector_of(b));
}

// Against tools/golden_builtin_text.py: numpy, dense, written apart from this code.
TEST(TitleEncoder, EqualsTheReference) {
  const std::vector<std::string> queries = lines_of("builtin_queries.txt");
  const SafetensorsFile expected(std::string(MMRA_GOLDEN_DIR) +
                                 "/text/builtin_expected.safetensors");
  const auto num_queries = static_cast<std::int64_t>(queries.size());
  const std::int64_t vectors_shape[] = {num_queries, kTitleVectorDim};
  const std::vector<float> vectors = expected.floats("vectors", vectors_shape);
  const std::int64_t tokens_shape[] = {expected.tensor("tokens").shape.at(0), kTextDim};
  const std::vector<float> tokens = expected.floats("tokens", tokens_shape);
  std::size_t next_token = 0;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    const auto vector = vector_of(queries[q]);
    for (int i = 0; i < kTitleVectorDim; ++i) {
      ASSERT_NEAR(vector[i], vectors[q * kTitleVectorDim + i], 1e-5) << queries[q] << " " << i;
    }
    std::int64_t num_tokens = 0;
    std::memcpy(&num_tokens, expected.tensor("num_tokens").bytes.data() + 8 * q, 8);
    const TokenMatrix found = tokens_of(queries[q]);
    ASSERT_EQ(found.num_tokens, num_tokens) << queries[q];
    for (const float value : found.values) {
      // Tokens are unit vectors times a scale of some 24.
      ASSERT_NEAR(value, tokens.at(next_token), 24e-5)
          << queries[q] << " " << next_token % kTextDim;
      ++next_token;
    }
  }
  EXPECT_EQ(next_token, tokens.size());
}

TEST(TitleEncoder, VectorsHaveUnitLength) {
  for (const std::string& title : lines_of("builtin_queries.txt")) {
    const auto vector = vector_of(title);
    const double length = std::sqrt(dot(vector, vector));
    EXPECT_NEAR(length, tokens_of(title).num_tokens == 0 ? 0.0 : 1.0, 1e-6) << title;
  }
}

TEST(TitleEncoder, TitleTokensHaveASpreadOfOne) {
  double energy = 0.0;
  std::size_t count = 0;
  for (const std::string& title : lines_of("builtin_titles.txt")) {
    const TokenMatrix tokens = tokens_of(title);
    if (tokens.num_tokens > 0) energy += dot(tokens.token(0), tokens.token(0));
    count += kTextDim;
  }
  EXPECT_NEAR(energy / static_cast<double>(count), 1.0, 1e-4);
}

TEST(TitleEncoder, LikeTitlesAreCloser) {
  const std::string title = "The cat dances in the rain, so funny!";
  EXPECT_GT(similarity(title, "My cat dancing in the rain"), 0.5);
  EXPECT_LT(similarity(title, "A farmer repairs an old bike, part 2"), 0.3);
  EXPECT_GT(similarity("grandma cooks", "grandmas cooking"), 0.3);
  EXPECT_GT(similarity("猫跳舞", "我的猫跳舞"), similarity("猫跳舞", "The farmer"));
}

TEST(TitleEncoder, TheWholeVectorIsSimilarToItself) {
  EXPECT_NEAR(similarity("xylophone qwerty", "xylophone qwerty"), 1.0, 1e-6);
}

TEST(TitleEncoder, UnseenWordsAreHashedNotLost) {
  const TokenMatrix zebra = tokens_of("the zebra dances");
  const TokenMatrix quokka = tokens_of("the quokka dances");
  EXPECT_NE(zebra.values, quokka.values);
  // Titles of nothing but unseen words still find one another.
  EXPECT_GT(similarity("xylophone qwerty", "qwerty xylophone"), 0.7);
  EXPECT_LT(std::abs(similarity("xylophone qwerty", "bungalow zigzag")), 0.15);
}

TEST(TitleEncoder, KnowsEveryScript) {
  const std::string titles[] = {"مرحبا بالعالم",
                                "नमस्ते दुनिया",
                                "สวัสดีชาวโลก",
                                "你好世界",
                                "😂👍🏽",
                                "Ärger",
                                "\xFF"
                                "cat\xC0"};
  for (const std::string& title : titles) {
    const auto vector = vector_of(title);
    EXPECT_NEAR(dot(vector, vector), 1.0, 1e-5) << title;
    EXPECT_GE(tokens_of(title).num_tokens, 2) << title;
    EXPECT_LT(similarity(title, "The farmer opens the gift"), 0.5) << title;
  }
  EXPECT_NEAR(similarity("\xFF"
                         "cat\xC0",
                         "CAT"),
              1.0, 1e-6);
}

TEST(TitleEncoder, AnEmptyTitleHasNoTokens) {
  for (const char* title : {"", " ", "!?"}) {
    EXPECT_EQ(tokens_of(title).num_tokens, 0);
    EXPECT_EQ(tokens_of(title).dim, kTextDim);
    EXPECT_EQ(dot(vector_of(title), vector_of(title)), 0.0);
  }
}

TEST(TitleEncoder, AMegabyteHasAFewTokens) {
  std::string title;
  while (title.size() < 1'000'000) title += "cat" + std::to_string(title.size() % 977) + ", ";
  EXPECT_EQ(tokens_of(title).num_tokens, kMaxTextTokens);
  EXPECT_NEAR(dot(vector_of(title), vector_of(title)), 1.0, 1e-5);
}

TEST(FitText, WorksWithoutTitles) {
  const FittedText none = fit_text({}, 2);
  EXPECT_EQ(none.num_titles, 0);
  const auto a = vector_of("the cat dances", none);
  EXPECT_NEAR(dot(a, a), 1.0, 1e-6);
  EXPECT_GT(dot(a, vector_of("the cat sings", none)), 0.3);
  EXPECT_LT(std::abs(dot(a, vector_of("red bicycle", none))), 0.15);
  const TokenMatrix tokens = tokens_of("the cat dances", none);
  ASSERT_EQ(tokens.num_tokens, 2);
  EXPECT_NEAR(dot(tokens.token(0), tokens.token(0)) / kTextDim, 1.0, 0.5);
}

TEST(FitText, TakesEmptyBrokenAndEqualTitles) {
  const std::vector<std::string> titles{"", "same", "same", "same", "same", "same", "\xFF", "!!"};
  const FittedText text = fit_text(titles, 1);
  EXPECT_EQ(text.num_titles, 8);
  for (const float value : tokens_of("same but not", text).values)
    ASSERT_TRUE(std::isfinite(value));
  EXPECT_NEAR(dot(vector_of("same", text), vector_of("same", text)), 1.0, 1e-5);
}

TEST(FitText, DoesNotDependOnTheNumberOfThreads) {
  const FittedText again = fit_text(lines_of("builtin_titles.txt"), 5);
  EXPECT_EQ(again.hashes, fitted().hashes);
  EXPECT_EQ(again.title_counts, fitted().title_counts);
  EXPECT_EQ(again.token_rows, fitted().token_rows);
  EXPECT_EQ(again.retrieval_rows, fitted().retrieval_rows);
  EXPECT_EQ(again.token_basis, fitted().token_basis);
  EXPECT_EQ(again.retrieval_basis, fitted().retrieval_basis);
  EXPECT_EQ(again.hashed_basis, fitted().hashed_basis);
  EXPECT_EQ(again.token_scale, fitted().token_scale);
}

}  // namespace
}  // namespace mmra::encoders
