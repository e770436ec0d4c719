#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/plus/similarity_index.h"

namespace mmra::plus {

/// f(x) = μ + Σ_i a_i k(x, x_i) over the train rows, where (K + λI) a = y − μ. Each a_i k(x, x_i)
/// is what row i adds to the prediction.
struct KernelRidge {
  double mean = 0.0;                ///< μ
  std::vector<float> coefficients;  ///< a, one a train row

  /// `similarities` of one query with every train row.
  [[nodiscard]] float predict(std::span<const float> similarities) const;
};

struct RidgeSettings {
  /// From the largest on; the first after which the out-of-fold error no longer falls ends the
  /// search.
  std::vector<double> lambdas = {2.0, 1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625};
  double tolerance = 1e-3;  ///< of a residual, relative to its right side
  int max_iterations = 60;
};

struct KernelRidgeFit {
  KernelRidge ridge;
  /// What each train row gets from the ridge fitted without its fold [n].
  std::vector<float> out_of_fold;
  double lambda = 0.0;     ///< with the least mean squared error of `out_of_fold`
  int num_iterations = 0;  ///< of all λ together
};

/// Fits on all rows and, for each fold, on the rows outside it, together: by conjugate gradients on
/// one kernel matrix (float32, n² · 4 bytes), where the rows of a fold are masked out,
/// A_f x = m_f ∘ K (m_f ∘ x) + λx, until every residual is below `tolerance` of its right side. The
/// next λ starts from the solution of the one before.
/// `folds` in [0, num_folds). Throws Error{kInvalidInput} where the matrix would not fit into
/// memory, Interrupted.
[[nodiscard]] KernelRidgeFit fit_kernel_ridge(const SimilarityIndex& index,
                                              std::span<const float> targets,
                                              std::span<const std::int32_t> folds, int num_folds,
                                              const RidgeSettings& settings, int num_threads,
                                              const std::stop_token& stop, ProgressSink& progress);

/// [num_folds] of each fold the mean target of the rows outside it; 0 where there are none. A fold
/// without rows has the mean of all.
[[nodiscard]] std::vector<double> means_outside(std::span<const float> targets,
                                                std::span<const std::int32_t> folds, int num_folds);

}  // namespace mmra::plus
