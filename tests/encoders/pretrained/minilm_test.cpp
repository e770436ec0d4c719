// Real weights: sentence vectors of all-MiniLM-L6-v2, where its folder is present.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "made_model.h"
#include "mmra/encoders/pretrained/bert.h"

namespace mmra::encoders {
namespace {

using testing::golden_folder;
using testing::read_text;
using testing::relative_error;

TEST(MiniLm, SentenceVectorsEqualTransformers) {
  const auto folder = std::filesystem::path(MMRA_REAL_ENCODERS_DIR) / "minilm" / "retrieval";
  if (!std::filesystem::exists(folder / "model.safetensors")) {
    GTEST_SKIP() << folder << " has no weights; scripts/fetch_encoders.sh brings them";
  }
  const auto golden = nlohmann::json::parse(read_text(golden_folder("minilm.json")));
  std::vector<TokenIds> texts;
  std::vector<float> expected;
  for (const auto& sentence : golden["sentences"]) {
    texts.push_back(sentence["ids"].get<TokenIds>());
    const auto vector = sentence["vector"].get<std::vector<float>>();
    expected.insert(expected.end(), vector.begin(), vector.end());
  }
  ASSERT_EQ(texts.size(), 10U);
  const auto error_in = [&](Precision precision) {
    return relative_error(
        Bert::open(folder, precision).embed(texts, Pooling::kMean, /*normalise=*/true), expected);
  };
  EXPECT_LT(error_in(Precision::kFloat32), 1e-5);
  EXPECT_LT(error_in(Precision::kBFloat16), 0.03);  // a cosine above 0.999
}

}  // namespace
}  // namespace mmra::encoders
