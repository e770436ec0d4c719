#include "mmra/model/neural/tensor_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "expect_error.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::model::neural {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;

NamedTensors made_tensors() {
  return {{"a", at::arange(6, at::kFloat).view({2, 3})},
          {"b.double", at::tensor({0.1, -2.5}, at::kDouble)},
          {"count", at::tensor({std::int64_t{1} << 40}, at::kLong)},
          {"bytes", at::arange(5, at::kByte)},
          {"empty", at::empty({0, 4}, at::kFloat)}};
}

NamedTensors zeros_like(const NamedTensors& tensors) {
  NamedTensors zeros;
  for (const auto& [name, tensor] : tensors) zeros.emplace_back(name, at::zeros_like(tensor));
  return zeros;
}

class TensorFiles : public ::testing::Test {
 protected:
  void expect_refused(const NamedTensors& into, const std::string& part) {
    for (const auto& [name, tensor] : into) tensor.fill_(7);
    expect_error(ErrorKind::kCorruptData, part, [&] { load_tensors(file_, into, "test-1"); });
    expect_error(ErrorKind::kCorruptData, file_.string(),
                 [&] { load_tensors(file_, into, "test-1"); });
    for (const auto& [name, tensor] : into) {
      EXPECT_TRUE(tensor.eq(7).all().item<bool>()) << name << " was changed";
    }
  }

  TemporaryDirectory directory_;
  std::filesystem::path file_ = directory_ / "t.safetensors";
};

TEST_F(TensorFiles, GiveBackWhatWasSaved) {
  save_tensors(file_, made_tensors(), {{"format", "test-1"}});
  const NamedTensors into = zeros_like(made_tensors());
  load_tensors(file_, into, "test-1");
  for (std::size_t i = 0; i < into.size(); ++i) {
    EXPECT_TRUE(into[i].second.equal(made_tensors()[i].second)) << into[i].first;
  }
}

TEST_F(TensorFiles, SaveViewsAsTheyLook) {
  const at::Tensor a = at::arange(6, at::kFloat).view({2, 3});
  save_tensors(file_, {{"turned", a.t()}, {"row", a[1]}}, {{"format", "test-1"}});
  const NamedTensors into{{"turned", at::zeros({3, 2})}, {"row", at::zeros({3})}};
  load_tensors(file_, into, "test-1");
  EXPECT_TRUE(into[0].second.equal(a.t()));
  EXPECT_TRUE(into[1].second.equal(a[1]));
}

TEST_F(TensorFiles, RefuseAMissingTensor) {
  NamedTensors less = made_tensors();
  less.erase(less.begin() + 1);
  save_tensors(file_, less, {{"format", "test-1"}});
  expect_refused(zeros_like(made_tensors()), "no tensor \"b.double\"");
}

TEST_F(TensorFiles, RefuseAnUnknownTensor) {
  save_tensors(file_, made_tensors(), {{"format", "test-1"}});
  NamedTensors less = zeros_like(made_tensors());
  less.pop_back();
  expect_refused(less, "unknown tensor \"empty\"");
}

TEST_F(TensorFiles, RefuseAnotherShape) {
  save_tensors(file_, made_tensors(), {{"format", "test-1"}});
  NamedTensors into = zeros_like(made_tensors());
  into[0].second = at::zeros({3, 2});
  expect_refused(into, "tensor \"a\" has the shape [2, 3], expected [3, 2]");
  into[0].second = at::zeros({6});
  expect_refused(into, "expected [6]");
}

TEST_F(TensorFiles, RefuseAnotherType) {
  save_tensors(file_, made_tensors(), {{"format", "test-1"}});
  NamedTensors into = zeros_like(made_tensors());
  into[0].second = at::zeros({2, 3}, at::kDouble);
  expect_refused(into, "tensor \"a\" is F32, expected F64");
}

TEST_F(TensorFiles, RefuseAnotherFormat) {
  save_tensors(file_, made_tensors(), {{"format", "test-2"}});
  expect_refused(zeros_like(made_tensors()), "format is \"test-2\", expected \"test-1\"");
  save_tensors(file_, made_tensors(), {});
  expect_refused(zeros_like(made_tensors()), "format is \"\", expected \"test-1\"");
}

TEST_F(TensorFiles, RefuseATruncatedFileWhereverItIsCut) {
  save_tensors(file_, made_tensors(), {{"format", "test-1"}});
  const std::string bytes = read_file(file_);
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    write_file_atomically(file_, std::string_view(bytes).substr(0, size));
    expect_refused(zeros_like(made_tensors()), "t.safetensors");
  }
}

TEST_F(TensorFiles, RefuseAMissingFileAndATypeThatIsNotSaved) {
  expect_error(ErrorKind::kNotFound, "t.safetensors",
               [&] { load_tensors(file_, made_tensors(), "test-1"); });
  expect_error(ErrorKind::kInternal, "type", [&] {
    save_tensors(file_, {{"half", at::zeros({2}, at::kHalf)}}, {});
  });
  EXPECT_FALSE(std::filesystem::exists(file_));
}

}  // namespace
}  // namespace mmra::model::neural
