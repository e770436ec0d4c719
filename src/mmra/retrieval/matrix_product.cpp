#include "mmra/retrieval/matrix_product.h"

#include <dnnl.h>

#include <string>

#if __has_include( \
    <omp.h>)  // the fuzz targets' compiler has no OpenMP; nothing is multiplied there
#include <omp.h>
#define MMRA_HAS_OPENMP
#endif

#include "mmra/core/error.h"

namespace mmra::retrieval {
namespace {

void multiply_on_this_thread(MatrixView a, MatrixView b, char transpose_b, std::size_t columns,
                             float* to) {
#ifdef MMRA_HAS_OPENMP
  omp_set_num_threads(1);  // of the calling thread
#endif
  const auto n = static_cast<dnnl_dim_t>(columns);
  const auto inner = static_cast<dnnl_dim_t>(a.columns);
  const dnnl_status_t status =
      dnnl_sgemm('N', transpose_b, static_cast<dnnl_dim_t>(a.rows), n, inner, 1.0F, a.data, inner,
                 b.data, static_cast<dnnl_dim_t>(b.columns), 0.0F, to, n);
  if (status == dnnl_success) return;
  throw Error(ErrorKind::kInternal,
              "oneDNN's matrix product failed with status " + std::to_string(status));
}

}  // namespace

void multiply_by_transposed(MatrixView a, MatrixView b, float* to) {
  multiply_on_this_thread(a, b, 'T', b.rows, to);
}

void multiply(MatrixView a, MatrixView b, float* to) {
  multiply_on_this_thread(a, b, 'N', b.columns, to);
}

}  // namespace mmra::retrieval
