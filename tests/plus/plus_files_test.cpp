#include "mmra/plus/plus_files.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "made_clips.h"
#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"
#include "test_files.h"

namespace mmra::plus::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;

class PlusFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    saved = new TemporaryDirectory;
    std::vector<MadeClip> clips = made_titles(160, true, 1);
    for (MadeClip& clip : clips) clip.context["creator"] = std::string(clip.title, 0, 2);
    const MadeBank bank(clips, 120, 20);
    PlusConfig config = made_config();
    config.columns = {{"creator", bank::ColumnType::kCategory}};
    PlusPredictor predictor(config, 1);
    fit(predictor, bank);
    predictor.save(saved->path());
  }
  static void TearDownTestSuite() { delete saved; }

  void SetUp() override {
    config_ = load_config(*saved / "config.json");
    for (const char* name : {"config.json", "model.safetensors", "model.ubj"}) {
      write_file_atomically(copy_ / name, read_file(*saved / name));
    }
  }
  [[nodiscard]] std::filesystem::path file() const { return copy_ / "model.safetensors"; }
  void load() const { (void)load_first_stage(config_, file()); }

  /// Writes the file again with a tensor changed; none: without it.
  void rewrite(const std::string& name, const std::optional<NamedTensor>& replacement) const {
    std::vector<NamedTensor> tensors;
    const std::string bytes = read_file(file());
    const auto content = parse_safetensors(std::as_bytes(std::span(bytes)), "f");
    for (const auto& [key, view] : content.tensors) {
      if (key != name) tensors.push_back({key, view.type, view.shape, view.bytes});
    }
    if (replacement) tensors.push_back(*replacement);
    write_safetensors(file(), tensors, content.metadata);
  }

  static TemporaryDirectory* saved;
  TemporaryDirectory copy_;
  PlusConfig config_;
};

TemporaryDirectory* PlusFiles::saved = nullptr;

TEST_F(PlusFiles, EveryMissingTensorIsNamed) {
  const std::string bytes = read_file(file());
  const auto content = parse_safetensors(std::as_bytes(std::span(bytes)), "f");
  EXPECT_EQ(content.tensors.size(), 29U);
  for (const auto& [name, view] : content.tensors) {
    write_file_atomically(file(), bytes);
    rewrite(name, std::nullopt);
    expect_error(ErrorKind::kCorruptData, name, [&] { load(); });
  }
}

TEST_F(PlusFiles, WhatCannotBeIsRefused) {
  const std::vector<float> one = {1.0F};
  const std::vector<float> nan = {std::numeric_limits<float>::quiet_NaN()};
  const std::vector<std::uint64_t> far = {0, 5, 1};
  const auto floats = [](const char* name, const std::vector<float>& values) {
    return NamedTensor{name, DataType::kFloat32, {1}, std::as_bytes(std::span(values))};
  };
  rewrite("ridge.coefficients", floats("ridge.coefficients", one));
  expect_error(ErrorKind::kCorruptData, "train.lexical.begin", [&] { load(); });
  SetUp();
  rewrite("ridge.coefficients", floats("ridge.coefficients", nan));
  expect_error(ErrorKind::kCorruptData, "not finite", [&] { load(); });
  SetUp();
  rewrite("lexical.words.idf", floats("lexical.words.idf", one));
  expect_error(ErrorKind::kCorruptData, "lexical.words.idf has 1 values", [&] { load(); });
  SetUp();
  rewrite("lexical.words.terms",
          NamedTensor{"lexical.words.terms", DataType::kInt64, {3}, std::as_bytes(std::span(far))});
  expect_error(ErrorKind::kCorruptData, "lexical.words", [&] { load(); });
  SetUp();
  rewrite("extra", floats("extra", one));
  expect_error(ErrorKind::kCorruptData, "30 tensors, expected 29", [&] { load(); });
  SetUp();
  config_.retrieval_dim = 4;
  expect_error(ErrorKind::kCorruptData, "train.retrieval", [&] { load(); });
}

TEST_F(PlusFiles, CutAnywhereItIsDamaged) {
  const std::string bytes = read_file(file());
  for (std::size_t part = 0; part < 20; ++part) {
    write_file_atomically(file(), bytes.substr(0, bytes.size() * part / 20));
    expect_error(ErrorKind::kCorruptData, "model.safetensors", [&] { load(); });
  }
}

TEST_F(PlusFiles, TreesOfAnotherModelAreRefused) {
  const auto open = [&] { const PlusPredictor predictor(config_, copy_.path(), 1); };
  std::string bytes = read_file(copy_ / "model.ubj");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  write_file_atomically(copy_ / "model.ubj", bytes);
  expect_error(ErrorKind::kCorruptData, "fingerprint", open);
  for (const char* name : {"model.ubj", "model.safetensors"}) {
    std::filesystem::remove(copy_ / name);
    expect_error(ErrorKind::kNotFound, name, open);
    SetUp();
  }
}

}  // namespace
}  // namespace mmra::plus::testing
