#include "mmra/plus/kernel_ridge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/threads.h"
#include "mmra/retrieval/matrix_product.h"

namespace mmra::plus {
namespace {

constexpr std::size_t kRowsAtATime = 16;    // of the kernel, while it is made
constexpr std::size_t kProductRows = 1024;  // of the kernel, in a matrix product

/// A matrix [n × width], row-major: a column for each fold and the last for all rows.
using Columns = std::vector<float>;

class Solver {
 public:
  Solver(const SimilarityIndex& index, std::span<const float> targets,
         std::span<const std::int32_t> folds, int num_folds, const RidgeSettings& settings,
         int num_threads, const std::stop_token& stop)
      : n_(index.num_rows()),
        width_(static_cast<std::size_t>(num_folds) + 1),
        settings_(settings),
        targets_(targets),
        folds_(folds),
        num_threads_(num_threads),
        stop_(stop) {
    make_kernel(index);
    set_right_side();
    x_.assign(n_ * width_, 0.0F);
  }

  KernelRidgeFit run(ProgressSink& progress) {
    KernelRidgeFit best;
    double least = std::numeric_limits<double>::infinity();
    int num_iterations = 0;
    progress.begin("fitting the kernel ridge", std::nullopt);
    for (const double lambda : settings_.lambdas) {
      lambda_ = static_cast<float>(lambda);
      num_iterations += solve(progress);
      KernelRidgeFit fit = current_fit();
      const double error = squared_error(fit.out_of_fold);
      if (error >= least) break;
      least = error;
      best = std::move(fit);
      best.lambda = lambda;
    }
    progress.end();
    best.num_iterations = num_iterations;
    return best;
  }

 private:
  [[nodiscard]] KernelRidgeFit current_fit() const {
    KernelRidgeFit fit;
    const Columns values = multiply(x_);
    for (std::size_t i = 0; i < n_; ++i) {
      const auto fold = static_cast<std::size_t>(folds_[i]);
      fit.out_of_fold.push_back(static_cast<float>(values[i * width_ + fold] + means_[fold]));
      fit.ridge.coefficients.push_back(x_[i * width_ + width_ - 1]);
    }
    fit.ridge.mean = means_.back();
    return fit;
  }

  [[nodiscard]] double squared_error(const std::vector<float>& predictions) const {
    double sum = 0.0;
    for (std::size_t i = 0; i < n_; ++i) {
      const double error = static_cast<double>(predictions[i]) - targets_[i];
      sum += error * error;
    }
    return sum;
  }

  /// 0 where row i does not belong to the rows of column j.
  [[nodiscard]] float mask(std::size_t i, std::size_t j) const {
    return static_cast<std::size_t>(folds_[i]) == j ? 0.0F : 1.0F;
  }

  void make_kernel(const SimilarityIndex& index) {
    kernel_.reset(new (std::nothrow) float[n_ * n_]);
    if (!kernel_) {
      throw Error(ErrorKind::kInvalidInput,
                  "the kernel of " + std::to_string(n_) + " train rows needs " +
                      std::to_string(n_ * n_ * sizeof(float) >> 20U) +
                      " MiB of memory, which there is not; train on fewer rows, or another model");
    }
    parallel_for(n_, kRowsAtATime, num_threads_, [&](std::size_t begin, std::size_t end) {
      if (stop_.stop_requested()) throw Interrupted();
      std::vector<float> similarities;
      index.compare(index.rows(), begin, end - begin, similarities);
      std::copy(similarities.begin(), similarities.end(), kernel_.get() + begin * n_);
    });
  }

  void set_right_side() {
    // The last column is of no fold: all rows are outside it.
    means_ = means_outside(targets_, folds_, static_cast<int>(width_));
    right_.resize(n_ * width_);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < width_; ++j) {
        right_[i * width_ + j] = mask(i, j) * static_cast<float>(targets_[i] - means_[j]);
      }
    }
  }

  /// K · columns.
  [[nodiscard]] Columns multiply(const Columns& columns) const {
    Columns product(columns.size());
    parallel_for(n_, kProductRows, num_threads_, [&](std::size_t begin, std::size_t end) {
      if (stop_.stop_requested()) throw Interrupted();
      retrieval::multiply({kernel_.get() + begin * n_, end - begin, n_},
                          {columns.data(), n_, width_}, product.data() + begin * width_);
    });
    return product;
  }

  /// m ∘ K columns + λ columns; the columns are masked already.
  [[nodiscard]] Columns apply(const Columns& columns) const {
    Columns result = multiply(columns);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < width_; ++j) {
        const std::size_t at = i * width_ + j;
        result[at] = mask(i, j) * result[at] + lambda_ * columns[at];
      }
    }
    return result;
  }

  [[nodiscard]] std::vector<double> dots(const Columns& a, const Columns& b) const {
    std::vector<double> sums(width_);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < width_; ++j) {
        sums[j] += static_cast<double>(a[i * width_ + j]) * b[i * width_ + j];
      }
    }
    return sums;
  }

  /// to += factor_j · from, column by column.
  void add(const Columns& from, const std::vector<double>& factors, double sign,
           Columns& to) const {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < width_; ++j) {
        to[i * width_ + j] += static_cast<float>(sign * factors[j] * from[i * width_ + j]);
      }
    }
  }

  [[nodiscard]] std::vector<double> ratios(const std::vector<double>& above,
                                           const std::vector<double>& below) const {
    std::vector<double> result(width_);
    for (std::size_t j = 0; j < width_; ++j) {
      result[j] = below[j] > 0.0 ? above[j] / below[j] : 0.0;
    }
    return result;
  }

  /// Each column stops by itself, so that what a fold's column becomes depends on its rows alone.
  int solve(ProgressSink& progress) {
    Columns residual = apply(x_);
    for (std::size_t at = 0; at < residual.size(); ++at) residual[at] = right_[at] - residual[at];
    Columns direction = residual;
    const std::vector<double> start = dots(right_, right_);
    std::vector<double> squares = dots(residual, residual);
    int iteration = 0;
    while (iteration < settings_.max_iterations && !all_solved(squares, start)) {
      ++iteration;
      const Columns image = apply(direction);
      std::vector<double> step = ratios(squares, dots(direction, image));
      for (std::size_t j = 0; j < width_; ++j) {
        if (is_solved(squares[j], start[j])) step[j] = 0.0;
      }
      add(direction, step, 1.0, x_);
      add(image, step, -1.0, residual);
      const std::vector<double> next = dots(residual, residual);
      const std::vector<double> keep = ratios(next, squares);
      for (std::size_t i = 0; i < n_; ++i) {
        for (std::size_t j = 0; j < width_; ++j) {
          const std::size_t at = i * width_ + j;
          direction[at] = residual[at] + static_cast<float>(keep[j]) * direction[at];
        }
      }
      squares = next;
      progress.advance(1);
    }
    return iteration;
  }

  [[nodiscard]] bool is_solved(double squares, double start) const {
    return squares <= settings_.tolerance * settings_.tolerance * start;
  }
  [[nodiscard]] bool all_solved(const std::vector<double>& squares,
                                const std::vector<double>& start) const {
    for (std::size_t j = 0; j < width_; ++j) {
      if (!is_solved(squares[j], start[j])) return false;
    }
    return true;
  }

  std::size_t n_;
  std::size_t width_;
  RidgeSettings settings_;
  std::span<const float> targets_;
  std::span<const std::int32_t> folds_;
  int num_threads_;
  std::stop_token stop_;
  float lambda_ = 0.0F;
  std::unique_ptr<float[]> kernel_;
  std::vector<double> means_;
  Columns right_;
  Columns x_;
};

}  // namespace

std::vector<double> means_outside(std::span<const float> targets,
                                  std::span<const std::int32_t> folds, int num_folds) {
  std::vector<double> means;
  for (int fold = 0; fold < num_folds; ++fold) {
    double sum = 0.0;
    double count = 0.0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (folds[i] == fold) continue;
      sum += targets[i];
      count += 1.0;
    }
    means.push_back(count > 0.0 ? sum / count : 0.0);
  }
  return means;
}

float KernelRidge::predict(std::span<const float> similarities) const {
  double sum = mean;
  for (std::size_t i = 0; i < similarities.size(); ++i) {
    sum += static_cast<double>(coefficients[i]) * similarities[i];
  }
  return static_cast<float>(sum);
}

KernelRidgeFit fit_kernel_ridge(const SimilarityIndex& index, std::span<const float> targets,
                                std::span<const std::int32_t> folds, int num_folds,
                                const RidgeSettings& settings, int num_threads,
                                const std::stop_token& stop, ProgressSink& progress) {
  return Solver(index, targets, folds, num_folds, settings, num_threads, stop).run(progress);
}

}  // namespace mmra::plus
