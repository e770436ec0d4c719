#include "mmra/core/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "expect_error.h"
#include "mmra/core/float16.h"
#include "test_files.h"

namespace mmra {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

std::string with_header(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + data;
}

SafetensorsContent parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "x.safetensors");
}

TEST(Safetensors, RoundTrip) {
  const TemporaryDirectory directory;
  const std::vector<float> weights{1.5F, -2.0F, 3.25F, 0.0F, 1e-30F, 7.0F};
  const std::vector<Float16Bits> halves{0x3C00, 0xC000};
  const std::vector<NamedTensor> tensors{
      {"w", DataType::kFloat32, {2, 3}, std::as_bytes(std::span(weights))},
      {"h", DataType::kFloat16, {2}, std::as_bytes(std::span(halves))},
      {"empty", DataType::kFloat32, {0, 5}, {}}};
  write_safetensors(directory / "m.safetensors", tensors, {{"variant", "paper"}});
  const SafetensorsFile file(directory / "m.safetensors");
  EXPECT_EQ(file.tensors().size(), 3U);
  EXPECT_EQ(file.metadata().at("variant"), "paper");
  const std::int64_t shape[] = {2, 3};
  EXPECT_EQ(file.floats("w", shape), weights);
  const std::int64_t half_shape[] = {2};
  EXPECT_EQ(file.floats("h", half_shape), (std::vector<float>{1.0F, -2.0F}));
}

TEST(Safetensors, ReadsBfloat16) {
  const TemporaryDirectory directory;
  const std::vector<std::uint16_t> bits{0x3F80, 0xC000, 0x4049};
  const std::vector<NamedTensor> tensors{
      {"b", DataType::kBFloat16, {3}, std::as_bytes(std::span(bits))}};
  write_safetensors(directory / "b.safetensors", tensors);
  const std::int64_t shape[] = {3};
  EXPECT_EQ(SafetensorsFile(directory / "b.safetensors").floats("b", shape),
            (std::vector<float>{1.0F, -2.0F, 3.140625F}));
}

TEST(Safetensors, NamesTensorExpectedAndFound) {
  const TemporaryDirectory directory;
  const std::vector<float> values{1, 2};
  const std::vector<NamedTensor> tensors{
      {"layer.weight", DataType::kFloat32, {2}, std::as_bytes(std::span(values))}};
  write_safetensors(directory / "m.safetensors", tensors);
  const SafetensorsFile file(directory / "m.safetensors");
  const std::int64_t shape[] = {3};
  expect_error(ErrorKind::kCorruptData, "\"layer.weight\" has the shape [2], expected [3]",
               [&] { (void)file.floats("layer.weight", shape); });
  expect_error(ErrorKind::kCorruptData, "no tensor \"bias\"",
               [&] { (void)file.floats("bias", shape); });
}

TEST(Safetensors, ShowsANameWithALineBreakOnOneLine) {
  const std::string header = R"({"a\nb":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})";
  expect_error(ErrorKind::kCorruptData, "\"a\\x0Ab\"",
               [&] { (void)parse(with_header(header, "")); });
}

TEST(Safetensors, RefusesHeadersThatLie) {
  expect_error(ErrorKind::kCorruptData, "at least 8", [] { (void)parse("abc"); });
  expect_error(ErrorKind::kCorruptData, "header claims",
               [] { (void)parse(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)); });
  expect_error(ErrorKind::kCorruptData, "not a JSON object",
               [] { (void)parse(with_header("[1]", "")); });
  const auto one = [](const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  const std::string data(8, 'x');
  EXPECT_EQ(parse(with_header(one("F32", "[2]", "[0,8]"), data)).tensors.size(), 1U);
  const std::string bad[] = {
      one("F32", "[3]", "[0,8]"),
      one("F32", "[2]", "[0,9]"),
      one("F32", "[2]", "[4,0]"),
      one("F32", "[1]", "[0,4]"),
      one("F32", "[-2]", "[0,8]"),
      one("F32", "[2.5]", "[0,8]"),
      one("F32", "2", "[0,8]"),
      one("F32", "[2]", "[0]"),
      one("F32", "[4611686018427387904,8]", "[0,8]"),
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"};
  for (const std::string& header : bad) {
    expect_error(ErrorKind::kCorruptData, "x.safetensors",
                 [&] { (void)parse(with_header(header, data)); });
  }
  expect_error(ErrorKind::kUnsupported, "F8_E4M3",
               [&] { (void)parse(with_header(one("F8_E4M3", "[8]", "[0,8]"), data)); });
}

TEST(Safetensors, NoByteFlipCrashesTheReader) {
  const std::string good = with_header(
      R"({"__metadata__":{"k":"v"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
      std::string(8, 'x'));
  std::mt19937 random(7);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(random());
    try {
      for (const auto& [name, view] : parse(bytes).tensors) EXPECT_LE(view.bytes.size(), 8U);
    } catch (const Error&) {
    }
    try {
      (void)parse(good.substr(0, at));
      ADD_FAILURE() << "a file cut at byte " << at << " was accepted";
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace mmra
