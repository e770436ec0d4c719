#include "mmra/encoders/pretrained/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "made_model.h"
#include "resident_bytes.h"
#include "test_files.h"

namespace mmra::encoders {
namespace {

namespace fs = std::filesystem;
using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using testing::golden_folder;
using testing::MadeTensors;
using testing::read_text;
using testing::write_model;
using testing::write_text;

const MadeTensors kTwo = {{"bert.a.weight", {{2, 3}, {1, 2, 3, 4, 5, 6}}},
                          {"bert.b", {{2}, {7, 8}}}};

void open(const fs::path& folder) { const ModelFiles files(folder); }

TEST(ModelFiles, OpensOneFile) {
  const TemporaryDirectory folder;
  write_model(folder.path(), R"({"model_type": "bert"})", kTwo);
  const ModelFiles files(folder.path());
  EXPECT_EQ(files.config().text("model_type"), "bert");
  EXPECT_THAT(files.names(), ::testing::ElementsAre("bert.a.weight", "bert.b"));
  EXPECT_NE(files.find("bert.b"), nullptr);
  EXPECT_EQ(files.find("b"), nullptr);
}

TEST(ModelFiles, OpensShards) {
  const ModelFiles whole(golden_folder("bert"));
  const ModelFiles sharded(golden_folder("bert/sharded_f16"));
  EXPECT_EQ(whole.names(), sharded.names());
}

TEST(ModelFiles, SaysWhatIsNotThere) {
  const TemporaryDirectory folder;
  expect_error(ErrorKind::kNotFound, "is not a folder", [&] { open(folder / "absent"); });
  expect_error(ErrorKind::kNotFound, "config.json", [&] { open(folder.path()); });
  write_text(folder / "config.json", "{}");
  expect_error(ErrorKind::kNotFound, "has no model.safetensors", [&] { open(folder.path()); });
  write_text(folder / "pytorch_model.bin", "pickle");
  expect_error(ErrorKind::kUnsupported, "pytorch_model.bin only, which may run code when read",
               [&] { open(folder.path()); });
}

TEST(ModelFiles, RefusesTruncatedAndLyingFiles) {
  const TemporaryDirectory folder;
  write_model(folder.path(), "{}", kTwo);
  const std::string whole = read_text(folder / "model.safetensors");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_text(folder / "model.safetensors", whole.substr(0, size));
    expect_error(ErrorKind::kCorruptData, "is not a valid safetensors file",
                 [&] { open(folder.path()); });
  }
  std::string lying = whole;  // the first shape claims more than its bytes
  lying.replace(lying.find("[2,3]"), 5, "[9,9]");
  write_text(folder / "model.safetensors", lying);
  expect_error(ErrorKind::kCorruptData, "tensor \"bert.a.weight\" has the shape [9, 9]",
               [&] { open(folder.path()); });
}

/// A copy of the golden shards, its index changed.
class ShardIndex : public ::testing::Test {
 protected:
  ShardIndex() {
    for (const auto& entry : fs::directory_iterator(golden_folder("vit/sharded_f16"))) {
      fs::copy(entry.path(), folder_ / entry.path().filename().string());
    }
  }
  nlohmann::json index() const { return nlohmann::json::parse(read_text(index_path())); }
  fs::path index_path() const { return folder_ / "model.safetensors.index.json"; }
  void expect(ErrorKind kind, const std::string& part, const nlohmann::json& changed) const {
    write_text(index_path(), changed.dump());
    expect_error(kind, part, [&] { open(folder_.path()); });
  }

  TemporaryDirectory folder_;
};

TEST_F(ShardIndex, NamesAShardThatIsMissing) {
  fs::remove(folder_ / "model-00002-of-00002.safetensors");
  expect_error(ErrorKind::kNotFound, "model-00002-of-00002.safetensors is not there",
               [&] { open(folder_.path()); });
}

TEST_F(ShardIndex, NamesATensorThatItsShardMisses) {
  auto changed = index();
  changed["weight_map"]["made.up"] = "model-00001-of-00002.safetensors";
  expect(ErrorKind::kCorruptData, "has no tensor \"made.up\"", changed);
}

TEST_F(ShardIndex, StaysInItsFolder) {
  for (const char* name : {"../model.safetensors", "/etc/passwd", "..", "", "a\\b"}) {
    auto changed = index();
    changed["weight_map"]["layernorm.bias"] = name;
    expect(ErrorKind::kCorruptData, "names a file outside of its folder", changed);
  }
}

TEST_F(ShardIndex, RefusesWhatIsNoMap) {
  expect(ErrorKind::kCorruptData, "has no object \"weight_map\"", nlohmann::json::array());
  expect(ErrorKind::kCorruptData, "has no object \"weight_map\"", {{"weight_map", 3}});
  expect(ErrorKind::kCorruptData, "names no tensors", {{"weight_map", nlohmann::json::object()}});
  expect(ErrorKind::kCorruptData, "names no file for the tensor \"x\"",
         {{"weight_map", {{"x", 1}}}});
}

/// kTwo as weights below "bert.".
class WeightsOfTwo : public ::testing::Test {
 protected:
  Weights weights(const MadeTensors& tensors, const std::string& anchor) const {
    write_model(folder_.path(), "{}", tensors);
    return Weights::rooted_at(std::make_shared<const ModelFiles>(folder_.path()), anchor);
  }
  TemporaryDirectory folder_;
};

TEST_F(WeightsOfTwo, FindThePrefix) {
  const Weights with = weights(kTwo, "a.weight");
  EXPECT_THAT(with.floats("b", {2}).values(), ::testing::ElementsAre(7, 8));
  EXPECT_THAT(with.below("a").floats("weight", {2, 3}).values(),
              ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
  const Weights without = weights({{"a.weight", {{1}, {5}}}}, "a.weight");
  EXPECT_THAT(without.floats("a.weight", {1}).values(), ::testing::ElementsAre(5));
}

TEST_F(WeightsOfTwo, RefuseNoneOrTwoPrefixes) {
  expect_error(ErrorKind::kCorruptData, "has 0 tensors \"c\"", [&] { weights(kTwo, "c"); });
  MadeTensors two = kTwo;
  two["other.b"] = {{1}, {1}};
  expect_error(ErrorKind::kCorruptData, "has 2 tensors \"b\"", [&] { weights(two, "b"); });
}

TEST_F(WeightsOfTwo, NameTensorExpectedAndFound) {
  const Weights w = weights(kTwo, "b");
  expect_error(ErrorKind::kCorruptData, "has no tensor \"bert.c\"; expected one of shape [2, 3]",
               [&] {
                 static_cast<void>(w.floats("c", {2, 3}));
               });
  expect_error(ErrorKind::kCorruptData,
               "tensor \"bert.a.weight\" has the shape [2, 3], expected [3, 2]", [&] {
                 static_cast<void>(w.floats("a.weight", {3, 2}));
               });
}

TEST(Weights, RefuseIntegers) {
  const TemporaryDirectory folder;
  write_text(folder / "config.json", "{}");
  const std::array<std::int64_t, 2> values{1, 2};
  const NamedTensor tensor{"ids", DataType::kInt64, {2}, std::as_bytes(std::span(values))};
  write_safetensors(folder / "model.safetensors", std::span(&tensor, 1));
  const Weights w(std::make_shared<const ModelFiles>(folder.path()), "");
  expect_error(ErrorKind::kCorruptData, "tensor \"ids\" is I64; expected F32, F16 or BF16",
               [&] { static_cast<void>(w.floats("ids", {2})); });
}

TEST(Weights, Float32StaysInTheFileAndOutlivesIt) {
  FloatTensor norm;
  FloatTensor converted;
  {
    const auto files = std::make_shared<const ModelFiles>(golden_folder("vit"));
    norm = Weights(files, "").floats("layernorm.bias", {36});
    EXPECT_EQ(static_cast<const void*>(norm.data),
              static_cast<const void*>(files->find("layernorm.bias")->bytes.data()));
    converted = Weights(std::make_shared<const ModelFiles>(golden_folder("vit/sharded_f16")), "")
                    .floats("layernorm.bias", {36});
  }
  for (std::size_t i = 0; i < 36; ++i) {
    EXPECT_NEAR(converted.values()[i], norm.values()[i], 1e-3 * std::abs(norm.values()[i]) + 1e-6);
  }
}

TEST(Weights, AsBFloat16GivesTheFilesMemoryBack) {
  constexpr std::int64_t kSize = 1 << 18;
  const TemporaryDirectory folder;
  write_model(folder.path(), "{}", {{"w", {{kSize}, std::vector<float>(kSize, 1.5F)}}});
  const auto files = std::make_shared<const ModelFiles>(folder.path());
  const Weights weights(files, "");
  const std::array shape{kSize};
  const auto bits = weights.bfloat16s("w", shape);
  EXPECT_EQ(bits->size(), static_cast<std::size_t>(kSize));
  EXPECT_EQ(bits->front(), 0x3FC0);
  EXPECT_EQ(bits->back(), 0x3FC0);
  // The file has 1 MiB; what stays are its header and the pages at the tensor's ends.
  EXPECT_LT(mmra::testing::resident_bytes(folder / "model.safetensors"), 1U << 16);
}

TEST(Weights, BFloat16FromEachType) {
  const ModelFiles f32(golden_folder("vit"));
  const ModelFiles f16(golden_folder("vit/sharded_f16"));
  const ModelFiles bf16(golden_folder("vit/bf16"));
  const auto bits = [](const ModelFiles& files) {
    std::vector<std::uint16_t> values(36);
    convert_to_bfloat16(*files.find("layernorm.bias"), values);
    return values;
  };
  EXPECT_EQ(bits(f32), bits(bf16));
  std::vector<float> rounded(36);
  std::vector<float> exact(36);
  convert_to_floats(*bf16.find("layernorm.bias"), rounded);
  convert_to_floats(*f16.find("layernorm.bias"), exact);
  for (std::size_t i = 0; i < 36; ++i) {
    EXPECT_NEAR(rounded[i], exact[i], 5e-3 * std::abs(exact[i]) + 1e-6);
  }
}

}  // namespace
}  // namespace mmra::encoders
