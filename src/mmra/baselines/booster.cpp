#include "mmra/baselines/booster.h"

#include <xgboost/c_api.h>

#include <limits>

#include "mmra/core/error.h"

namespace mmra::baselines {
namespace {

void free_rows(void* handle) { XGDMatrixFree(handle); }
void free_booster(void* handle) { XGBoosterFree(handle); }

/// XGBoost's message has a backtrace after its first line, and a time and a place before it.
std::string last_error() {
  const std::string text = XGBGetLastError();
  const std::string line = text.substr(0, text.find('\n'));
  const std::size_t place = line.find(": ");
  return place == std::string::npos ? line : line.substr(place + 2);
}

void require(int status, const char* action) {
  if (status == 0) return;
  throw Error(ErrorKind::kInternal, std::string("XGBoost cannot ") + action + ": " + last_error());
}

void* make_rows(const FeatureMatrix& rows, int num_threads) {
  DMatrixHandle handle = nullptr;
  require(XGDMatrixCreateFromMat_omp(rows.values.data(), rows.num_rows, rows.width,
                                     std::numeric_limits<float>::quiet_NaN(), &handle, num_threads),
          "take the rows");
  return handle;
}

void* make_booster(const std::vector<const TreeRows*>& known) {
  std::vector<DMatrixHandle> handles;
  handles.reserve(known.size());
  for (const TreeRows* rows : known) handles.push_back(rows->handle());
  BoosterHandle handle = nullptr;
  require(XGBoosterCreate(handles.data(), handles.size(), &handle), "make its trees");
  return handle;
}

void set_parameter(void* handle, const char* name, const std::string& value) {
  require(XGBoosterSetParam(handle, name, value.c_str()), name);
}

}  // namespace

TreeRows::TreeRows(const FeatureMatrix& rows, const std::vector<float>& targets, int num_threads)
    : handle_(make_rows(rows, num_threads), free_rows), size_(rows.num_rows) {
  if (targets.empty()) return;
  require(XGDMatrixSetFloatInfo(handle_.get(), "label", targets.data(), targets.size()),
          "take the labels");
}

Booster::Booster(void* handle) : handle_(handle, free_booster) {}

Booster::Booster(const std::vector<Parameter>& parameters,
                 const std::vector<const TreeRows*>& known)
    : Booster(make_booster(known)) {
  set_parameter(handle_.get(), "verbosity", "0");
  for (const auto& [name, value] : parameters) set_parameter(handle_.get(), name, value);
}

Booster::Booster(std::string_view bytes, const std::string& origin, int num_threads)
    : Booster(make_booster({})) {
  set_parameter(handle_.get(), "verbosity", "0");
  set_parameter(handle_.get(), "nthread", std::to_string(num_threads));
  if (XGBoosterLoadModelFromBuffer(handle_.get(), bytes.data(), bytes.size()) != 0) {
    throw Error(ErrorKind::kCorruptData, origin + " is not a model of XGBoost (" + last_error() +
                                             "); train the model again");
  }
}

void Booster::update(int round, const TreeRows& train) {
  require(XGBoosterUpdateOneIter(handle_.get(), round, train.handle()), "grow a tree");
}

std::vector<float> Booster::predict(const TreeRows& rows) const {
  constexpr char kConfig[] =
      R"({"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false})";
  const bst_ulong* shape = nullptr;
  bst_ulong num_dimensions = 0;
  const float* values = nullptr;
  require(XGBoosterPredictFromDMatrix(handle_.get(), rows.handle(), kConfig, &shape,
                                      &num_dimensions, &values),
          "predict");
  if (num_dimensions < 1 || shape[0] != rows.size()) {
    throw Error(ErrorKind::kInternal, "XGBoost's predictions are not one a row");
  }
  return {values, values + rows.size()};
}

Booster Booster::first_rounds(int num_rounds) const {
  BoosterHandle handle = nullptr;
  require(XGBoosterSlice(handle_.get(), 0, num_rounds, 1, &handle), "keep its best trees");
  return Booster(handle);
}

std::string Booster::save_to_bytes() const {
  bst_ulong size = 0;
  const char* bytes = nullptr;
  require(XGBoosterSaveModelToBuffer(handle_.get(), R"({"format":"ubj"})", &size, &bytes),
          "write its trees");
  return {bytes, bytes + size};
}

}  // namespace mmra::baselines
