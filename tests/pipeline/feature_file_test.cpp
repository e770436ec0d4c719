#include "mmra/pipeline/feature_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "expect_error.h"
#include "made_features.h"
#include "test_files.h"

namespace mmra::pipeline::testing {
namespace {

using mmra::testing::expect_error;
using mmra::testing::TemporaryDirectory;
using ::testing::ElementsAre;

TensorView parse(const std::string& bytes) {
  return parse_npy(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.npy");
}

std::vector<float> floats_of(const HalfTokenMatrix& tokens) {
  std::vector<float> values(tokens.values.size());
  halves_to_floats(tokens.values, values);
  return values;
}

const char* const kEightBytes = "01234567";

TEST(ParseNpy, ReadsAllThreeVersionsOfTheFormat) {
  for (const int version : {1, 2, 3}) {
    const std::string file = npy_file(version, npy_dictionary("<f4", "(2, 3)"),
                                      bytes_of(std::vector<float>{1, 2, 3, 4, 5, 6}));
    const TensorView view = parse(file);
    EXPECT_EQ(view.type, DataType::kFloat32) << version;
    EXPECT_THAT(view.shape, ElementsAre(2, 3)) << version;
    float last = 0.0F;
    std::memcpy(&last, view.bytes.data() + 20, sizeof last);
    EXPECT_EQ(last, 6.0F) << version;
  }
}

TEST(ParseNpy, ReadsShapesOfOneAndOfNoDimension) {
  EXPECT_THAT(parse(npy_file(1, npy_dictionary("<f4", "(2,)"), kEightBytes)).shape, ElementsAre(2));
  EXPECT_TRUE(parse(npy_file(1, npy_dictionary("<f8", "()"), kEightBytes)).shape.empty());
}

TEST(ParseNpy, RefusesFortranOrder) {
  expect_error(ErrorKind::kUnsupported, "Fortran order", [] {
    (void)parse(npy_file(1, npy_dictionary("<f4", "(1, 2)", "True"), kEightBytes));
  });
}

TEST(ParseNpy, RefusesOtherTypesByName) {
  for (const char* type : {">f4", "<i8", "|b1", "<c8", "|O"}) {
    expect_error(ErrorKind::kUnsupported, type,
                 [&] { (void)parse(npy_file(1, npy_dictionary(type, "(1, 2)"), kEightBytes)); });
  }
  expect_error(ErrorKind::kUnsupported, "float32", [] {
    (void)parse(npy_file(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
                         kEightBytes));
  });
}

TEST(ParseNpy, RefusesSizesThatDoNotFitTheBytes) {
  const std::string dictionary = npy_dictionary("<f4", "(2, 3)");
  expect_error(ErrorKind::kCorruptData, "needs 24 bytes, there are 8",
               [&] { (void)parse(npy_file(1, dictionary, kEightBytes)); });
  expect_error(ErrorKind::kCorruptData, "needs 24 bytes, there are 32",
               [&] { (void)parse(npy_file(1, dictionary, std::string(32, 'x'))); });
  // 4 · 2^62 wraps to 0: without a check of the product any file would fit.
  expect_error(ErrorKind::kCorruptData, "too large", [] {
    (void)parse(npy_file(1, npy_dictionary("<f4", "(4611686018427387904, 1)"), ""));
  });
}

TEST(ParseNpy, RefusesHeadersThatAreCutOrNoHeaders) {
  const std::string dictionary = npy_dictionary("<f4", "(1, 2)");
  const std::string whole = npy_file(1, dictionary, kEightBytes);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    expect_error(ErrorKind::kCorruptData, "x.npy", [&] { (void)parse(whole.substr(0, size)); });
  }
  for (const int version : {0, 4, 0x93}) {
    expect_error(ErrorKind::kCorruptData, "header claims",
                 [&] { (void)parse(npy_file(version, dictionary, kEightBytes)); });
  }
  for (const char* broken :
       {"{}", "{'descr': '<f4', 'fortran_order': False, 'shape':",
        "{'descr': '<f4', 'fortran_order': False, 'shape':   ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 12, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, two), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 99999999999999999999), }",
        "{'descr': '<f4', 'shape': (1, 2), }", "{'fortran_order': False, 'shape': (1, 2), }"}) {
    expect_error(ErrorKind::kCorruptData, "x.npy",
                 [&] { (void)parse(npy_file(1, broken, kEightBytes)); });
  }
}

class FeatureFiles : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return directory_ / name;
  }
  TemporaryDirectory directory_;
};

TEST_F(FeatureFiles, RowIOfTheFileIsRowI) {
  write_npy(path("f.npy"), rising_rows(5, 3), "(5, 3)");
  write_one_tensor(path("f.safetensors"), DataType::kFloat32, {5, 3}, bytes_of(rising_rows(5, 3)));
  for (const char* name : {"f.npy", "f.safetensors"}) {
    const FeatureFile file(path(name), 5);
    EXPECT_EQ(file.dim(), 3);
    EXPECT_EQ(file.num_tokens(), 1);
    for (int row = 0; row < 5; ++row) {
      const float value = static_cast<float>(row) + 0.25F;
      EXPECT_THAT(floats_of(file.tokens(row)), ElementsAre(value, value, value)) << name;
    }
  }
}

TEST_F(FeatureFiles, ReadsTokensRowByRow) {
  write_npy(path("f.npy"), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, "(2, 3, 2)");
  const FeatureFile file(path("f.npy"), 2);
  EXPECT_EQ(file.num_tokens(), 3);
  EXPECT_EQ(file.dim(), 2);
  const HalfTokenMatrix tokens = file.tokens(1);
  EXPECT_EQ(tokens.num_tokens, 3);
  EXPECT_EQ(tokens.dim, 2);
  EXPECT_THAT(floats_of(tokens), ElementsAre(6, 7, 8, 9, 10, 11));
}

TEST_F(FeatureFiles, ReadsHalvesFloatsAndDoubles) {
  const std::vector<float> values{1.5F, -2.0F, 0.25F, 8.0F};
  std::vector<Float16Bits> halves(values.size());
  floats_to_halves(values, halves);
  const std::string bytes[] = {bytes_of(halves), bytes_of(values),
                               bytes_of(std::vector<double>(values.begin(), values.end()))};
  const char* const names[] = {"<f2", "<f4", "<f8"};
  const DataType types[] = {DataType::kFloat16, DataType::kFloat32, DataType::kFloat64};
  for (std::size_t i = 0; i < 3; ++i) {
    write_file_atomically(path("f.npy"), npy_file(1, npy_dictionary(names[i], "(2, 2)"), bytes[i]));
    write_one_tensor(path("f.safetensors"), types[i], {2, 2}, bytes[i]);
    for (const char* name : {"f.npy", "f.safetensors"}) {
      const FeatureFile file(path(name), 2);
      EXPECT_THAT(floats_of(file.tokens(0)), ElementsAre(1.5F, -2.0F)) << names[i] << name;
      EXPECT_THAT(floats_of(file.tokens(1)), ElementsAre(0.25F, 8.0F)) << names[i] << name;
    }
  }
}

TEST_F(FeatureFiles, RefusesAnotherNumberOfRowsThanTheManifestHas) {
  write_npy(path("f.npy"), rising_rows(5, 3), "(5, 3)");
  write_one_tensor(path("f.safetensors"), DataType::kFloat32, {5, 3}, bytes_of(rising_rows(5, 3)));
  for (const char* name : {"f.npy", "f.safetensors"}) {
    expect_error(ErrorKind::kInvalidInput, "has 5 rows, the manifest has 6",
                 [&] { const FeatureFile file(path(name), 6); });
  }
}

TEST_F(FeatureFiles, RefusesShapesAndTypesThatAreNoFeatures) {
  const std::pair<const char*, std::vector<std::int64_t>> shapes[] = {
      {"(4,)", {4}}, {"(1, 1, 2, 2)", {1, 1, 2, 2}}, {"(4, 0)", {4, 0}}};
  for (const auto& [text, shape] : shapes) {
    const std::string bytes(shape.back() == 0 ? 0 : 16, '\0');
    write_file_atomically(path("f.npy"), npy_file(1, npy_dictionary("<f4", text), bytes));
    write_one_tensor(path("f.safetensors"), DataType::kFloat32, shape, bytes);
    for (const char* name : {"f.npy", "f.safetensors"}) {
      expect_error(ErrorKind::kInvalidInput, "[rows x dim]",
                   [&] { const FeatureFile file(path(name), 4); });
    }
  }
  write_one_tensor(path("i.safetensors"), DataType::kInt32, {2, 2}, std::string(16, '\0'));
  expect_error(ErrorKind::kInvalidInput, "I32 [2 x 2]",
               [&] { const FeatureFile file(path("i.safetensors"), 2); });
}

TEST_F(FeatureFiles, NeedsExactlyOneTensor) {
  const std::vector<float> values(4);
  const auto bytes = std::as_bytes(std::span(values));
  const std::vector<NamedTensor> two{{"a", DataType::kFloat32, {2, 2}, bytes},
                                     {"b", DataType::kFloat32, {2, 2}, bytes}};
  write_safetensors(path("two.safetensors"), two);
  expect_error(ErrorKind::kInvalidInput, "holds 2 tensors",
               [&] { const FeatureFile file(path("two.safetensors"), 2); });
}

TEST_F(FeatureFiles, NamesFilesThatAreMissingCutOrEmpty) {
  expect_error(ErrorKind::kNotFound, "none.npy",
               [&] { const FeatureFile file(path("none.npy"), 1); });
  expect_error(ErrorKind::kInvalidInput, "directory",
               [&] { const FeatureFile file(directory_.path(), 1); });
  write_file_atomically(path("empty.npy"), "");
  write_file_atomically(path("empty.safetensors"), "");
  write_one_tensor(path("f.safetensors"), DataType::kFloat32, {2, 2}, std::string(16, '\0'));
  const std::string whole = read_file(path("f.safetensors"));
  write_file_atomically(path("cut.safetensors"), whole.substr(0, whole.size() - 1));
  for (const char* name : {"empty.npy", "empty.safetensors", "cut.safetensors"}) {
    expect_error(ErrorKind::kCorruptData, name, [&] { const FeatureFile file(path(name), 2); });
  }
}

TEST_F(FeatureFiles, RefusesValuesThatABankCannotKeep) {
  const float infinite = std::numeric_limits<float>::infinity();
  write_npy(path("f.npy"), {1, 2, std::nanf(""), 0, infinite, 0, 65504, -65504, 70000, 1},
            "(5, 2)");
  const FeatureFile file(path("f.npy"), 5);
  EXPECT_NO_THROW((void)file.tokens(0));
  for (const std::int64_t row : {1, 2}) {
    const std::string where = "f.npy, row " + std::to_string(row);
    expect_error(ErrorKind::kInvalidInput, where, [&] { (void)file.tokens(row); });
    expect_error(ErrorKind::kInvalidInput, where, [&] { (void)file.unit_vector(row); });
  }
  EXPECT_THAT(floats_of(file.tokens(3)), ElementsAre(65504, -65504));
  expect_error(ErrorKind::kInvalidInput, "row 4", [&] { (void)file.tokens(4); });
  EXPECT_NO_THROW((void)file.unit_vector(4)) << "vectors are kept as float32";
}

TEST_F(FeatureFiles, VectorsAreOfUnitLengthAndZerosStay) {
  write_npy(path("f.npy"), {3, 4, 0, 0, 1e-42F, 0, 1e30F, 1e30F}, "(4, 2)");
  const FeatureFile file(path("f.npy"), 4);
  EXPECT_THAT(file.unit_vector(0), ElementsAre(::testing::FloatEq(0.6F), ::testing::FloatEq(0.8F)));
  EXPECT_THAT(file.unit_vector(1), ElementsAre(0, 0));
  EXPECT_THAT(file.unit_vector(2), ElementsAre(1, 0)) << "denormal numbers have a direction too";
  const float half = std::sqrt(0.5F);
  EXPECT_THAT(file.unit_vector(3), ElementsAre(::testing::FloatEq(half), ::testing::FloatEq(half)));
}

}  // namespace
}  // namespace mmra::pipeline::testing
