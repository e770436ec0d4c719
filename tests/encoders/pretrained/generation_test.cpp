#include "mmra/encoders/pretrained/generation.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "expect_error.h"

namespace mmra::encoders {
namespace {

using mmra::testing::expect_error;
using Sentences = std::vector<std::vector<std::int32_t>>;

constexpr int kVocabularySize = 23;
constexpr int kNumItems = 8;

std::uint64_t splitmix(std::uint64_t value) {
  std::uint64_t z = value * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// The table that tools/golden/generation.py gave to transformers: logits by item and the last two
/// tokens. Counts the rows that it was asked for.
class TableModel : public NextTokenModel {
 public:
  explicit TableModel(int first_item = 0) : first_item_(first_item) {}
  TableModel(std::vector<std::int32_t> ends, float end_bias)
      : ends_(std::move(ends)), end_bias_(end_bias) {}

  [[nodiscard]] int vocabulary_size() const override { return kVocabularySize; }

  void advance(std::span<const std::int32_t> tokens, std::span<const int> parents,
               std::span<float> logits) override {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (rows_.empty()) {
        rows.push_back({first_item_ + parents[i], kVocabularySize, tokens[i]});
      } else {
        const Row& parent = rows_.at(static_cast<std::size_t>(parents[i]));
        rows.push_back({parent.item, parent.last, tokens[i]});
      }
      const Row& row = rows.back();
      const std::uint64_t state =
          splitmix(splitmix(splitmix(static_cast<std::uint64_t>(row.item) + 1) +
                            static_cast<std::uint64_t>(row.before)) +
                   static_cast<std::uint64_t>(row.last));
      for (std::uint64_t token = 0; token < kVocabularySize; ++token) {
        logits[i * kVocabularySize + token] =
            static_cast<float>(splitmix(state + token) >> 41) * 0x1p-20F - 4.0F;
      }
      for (const std::int32_t end : ends_) {
        logits[i * kVocabularySize + static_cast<std::size_t>(end)] += end_bias_;
      }
    }
    rows_ = std::move(rows);
    rows_asked.push_back(static_cast<int>(tokens.size()));
  }

  std::vector<int> rows_asked;

 private:
  struct Row {
    int item;
    std::int32_t before;
    std::int32_t last;
  };
  int first_item_ = 0;
  std::vector<std::int32_t> ends_;
  float end_bias_ = 0.0F;
  std::vector<Row> rows_;
};

nlohmann::json golden() {
  std::ifstream file(MMRA_GOLDEN_DIR "/pretrained/generation/generation.json");
  return nlohmann::json::parse(file);
}

GenerationOptions options_of(const nlohmann::json& test_case, std::int32_t start) {
  GenerationOptions options;
  options.start_id = start;
  options.end_ids = test_case["ends"].get<std::vector<std::int32_t>>();
  const nlohmann::json& given = test_case["options"];
  options.max_length = given.value("max_length", options.max_length);
  if (given.contains("max_new_tokens")) options.max_length = 1 + int{given["max_new_tokens"]};
  options.min_length = given.value("min_length", options.min_length);
  if (given.contains("min_new_tokens")) options.min_length = 1 + int{given["min_new_tokens"]};
  options.num_beams = given.value("num_beams", options.num_beams);
  options.length_penalty = given.value("length_penalty", options.length_penalty);
  options.repetition_penalty = given.value("repetition_penalty", options.repetition_penalty);
  options.no_repeat_ngram_size = given.value("no_repeat_ngram_size", options.no_repeat_ngram_size);
  if (given.contains("early_stopping")) {
    options.early_stopping =
        given["early_stopping"] == "never" ? EarlyStopping::kNever : EarlyStopping::kFirst;
  }
  return options;
}

GenerationOptions simple_options(int num_beams = 1) {
  GenerationOptions options;
  options.start_id = 5;
  options.end_ids = {2};
  options.num_beams = num_beams;
  return options;
}

TEST(Generation, EqualsTransformersIdForId) {
  const nlohmann::json file = golden();
  ASSERT_EQ(file["vocabulary"], kVocabularySize);
  ASSERT_GE(file["cases"].size(), 80U);
  for (const nlohmann::json& test_case : file["cases"]) {
    TableModel model(test_case["ends"].get<std::vector<std::int32_t>>(), test_case["bias"]);
    EXPECT_EQ(generate(model, kNumItems, options_of(test_case, file["start"])),
              test_case["ids"].get<Sentences>())
        << test_case["options"] << " ends " << test_case["ends"] << " + " << test_case["bias"];
  }
}

TEST(Generation, AnItemAloneGivesWhatItGivesAmongOthers) {
  for (const int num_beams : {1, 4}) {
    TableModel together;
    const Sentences sentences = generate(together, kNumItems, simple_options(num_beams));
    for (int item = 0; item < kNumItems; ++item) {
      TableModel alone(item);
      EXPECT_EQ(generate(alone, 1, simple_options(num_beams)).front(),
                sentences[static_cast<std::size_t>(item)])
          << num_beams << " beams, item " << item;
    }
  }
}

TEST(Generation, FinishedItemsAreNoLongerAskedFor) {
  TableModel greedy;
  const Sentences sentences = generate(greedy, kNumItems, simple_options());
  std::size_t tokens = 0;
  for (const auto& sentence : sentences) tokens += sentence.size() - 1;
  EXPECT_EQ(std::accumulate(greedy.rows_asked.begin(), greedy.rows_asked.end(), std::size_t{0}),
            tokens);
  EXPECT_EQ(greedy.rows_asked.front(), kNumItems);
  EXPECT_LT(greedy.rows_asked.back(), kNumItems);

  GenerationOptions options = simple_options(3);
  options.early_stopping = EarlyStopping::kFirst;
  TableModel beams;
  (void)generate(beams, kNumItems, options);
  EXPECT_EQ(beams.rows_asked.at(0), kNumItems);
  EXPECT_EQ(beams.rows_asked.at(1), 3 * kNumItems);
  EXPECT_LT(beams.rows_asked.back(), 3 * kNumItems);
}

TEST(Generation, NoItemsGiveNoSentences) {
  TableModel model;
  EXPECT_TRUE(generate(model, 0, simple_options()).empty());
  EXPECT_TRUE(generate(model, 0, simple_options(3)).empty());
  EXPECT_TRUE(model.rows_asked.empty());
}

TEST(Generation, LogitsThatAreNoNumbersAreAnError) {
  class Damaged : public NextTokenModel {
   public:
    [[nodiscard]] int vocabulary_size() const override { return kVocabularySize; }
    void advance(std::span<const std::int32_t>, std::span<const int>,
                 std::span<float> logits) override {
      std::fill(logits.begin(), logits.end(), std::numeric_limits<float>::quiet_NaN());
    }
  };
  for (const int num_beams : {1, 2}) {
    Damaged model;
    expect_error(ErrorKind::kCorruptData, "not finite",
                 [&] { (void)generate(model, 1, simple_options(num_beams)); });
  }
}

TEST(Generation, NamesTheOptionThatCannotBe) {
  const auto refuse = [](const std::string& part, auto&& change) {
    GenerationOptions options = simple_options();
    change(options);
    expect_error(ErrorKind::kInvalidInput, part, [&] { check(options, kVocabularySize); });
  };
  check(simple_options(), kVocabularySize);
  refuse("start id must be in [0, 23)", [](auto& o) { o.start_id = 23; });
  refuse("end id must be in [0, 23)", [](auto& o) { o.end_ids = {2, -1}; });
  refuse("at least one end id", [](auto& o) { o.end_ids.clear(); });
  refuse("max_length must be at least 2", [](auto& o) { o.max_length = 1; });
  refuse("min_length must not be negative", [](auto& o) { o.min_length = -3; });
  refuse("num_beams must be at least 1, not 0", [](auto& o) { o.num_beams = 0; });
  refuse("12 beams need a vocabulary of 24", [](auto& o) { o.num_beams = 12; });
  refuse("repetition_penalty must be above 0", [](auto& o) { o.repetition_penalty = 0.0F; });
  refuse("no_repeat_ngram_size must not", [](auto& o) { o.no_repeat_ngram_size = -1; });
  refuse("length_penalty is not a number",
         [](auto& o) { o.length_penalty = std::numeric_limits<double>::infinity(); });
}

}  // namespace
}  // namespace mmra::encoders
