#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "made_model.h"
#include "mmra/pipeline/predict.h"
#include "test_files.h"

namespace mmra::pipeline::testing {

/// A fixture whose cases share one directory, with a bank in it and models beside it: both take too
/// long to be made for each. A suite that fills it hides SetUpTestSuite and calls this one first.
template <typename Base = ::testing::Test>
class SharedDirectory : public Base {
 protected:
  static void SetUpTestSuite() { shared_ = std::make_unique<mmra::testing::TemporaryDirectory>(); }
  static void TearDownTestSuite() { shared_.reset(); }

  [[nodiscard]] static const std::filesystem::path& directory() { return shared_->path(); }
  [[nodiscard]] static std::unique_ptr<PredictionEngine> open_engine(const std::string& model) {
    return std::make_unique<PredictionEngine>(directory() / "bank", directory() / model, 1);
  }

 private:
  inline static std::unique_ptr<mmra::testing::TemporaryDirectory> shared_;
};

/// With the bank of ingest_mixed_rows.
template <typename Base = ::testing::Test>
class SharedMixedBank : public SharedDirectory<Base> {
 protected:
  static void SetUpTestSuite() {
    SharedDirectory<Base>::SetUpTestSuite();
    ingest_mixed_rows(SharedMixedBank::directory());
  }
};

}  // namespace mmra::pipeline::testing
