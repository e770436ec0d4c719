#include "mmra/baselines/baseline.h"

#include "mmra/baselines/hyfea.h"
#include "mmra/baselines/knn.h"
#include "mmra/baselines/mean.h"
#include "mmra/baselines/ridge.h"
#include "mmra/baselines/svr.h"
#include "mmra/core/error.h"

namespace mmra::baselines {

std::unique_ptr<model::FittedPredictor> make_baseline(const BaselineConfig& config,
                                                      int num_threads) {
  validate_config(config);
  switch (config.kind) {
    case Kind::kMean:
      return std::make_unique<Mean>(config);
    case Kind::kKnn:
      return std::make_unique<Knn>(config);
    case Kind::kRidge:
      return std::make_unique<Ridge>(config);
    case Kind::kSvr:
      return std::make_unique<Svr>(config, num_threads);
    case Kind::kHyfea:
      return std::make_unique<Hyfea>(config, num_threads);
  }
  throw Error(ErrorKind::kInternal, "there is no such baseline");
}

std::unique_ptr<model::Predictor> load_baseline(const std::filesystem::path& directory,
                                                int num_threads) {
  const BaselineConfig config = load_config(directory / "config.json");
  switch (config.kind) {
    case Kind::kMean:
      return std::make_unique<Mean>(config);
    case Kind::kKnn:
      return std::make_unique<Knn>(config);
    case Kind::kRidge:
      return std::make_unique<Ridge>(config, directory);
    case Kind::kSvr:
      return std::make_unique<Svr>(config, directory, num_threads);
    case Kind::kHyfea:
      return std::make_unique<Hyfea>(config, directory, num_threads);
  }
  throw Error(ErrorKind::kInternal, "there is no such baseline");
}

}  // namespace mmra::baselines
