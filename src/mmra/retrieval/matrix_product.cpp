#include "mmra/retrieval/matrix_product.h"

#include <dnnl.h>

#include <string>

#include "mmra/core/error.h"
#include "mmra/retrieval/openmp_threads.h"

namespace mmra::retrieval {
namespace {

void check(dnnl_status_t status) {
  if (status == dnnl_success) return;
  throw Error(ErrorKind::kInternal,
              "oneDNN's matrix product failed with status " + std::to_string(status));
}

void multiply_on_this_thread(MatrixView a, MatrixView b, char transpose_b, std::size_t columns,
                             float* to) {
  const OpenMpThreads alone(1);
  const auto n = static_cast<dnnl_dim_t>(columns);
  const auto inner = static_cast<dnnl_dim_t>(a.columns);
  check(dnnl_sgemm('N', transpose_b, static_cast<dnnl_dim_t>(a.rows), n, inner, 1.0F, a.data, inner,
                   b.data, static_cast<dnnl_dim_t>(b.columns), 0.0F, to, n));
}

}  // namespace

void multiply_by_transposed(MatrixView a, MatrixView b, float* to) {
  multiply_on_this_thread(a, b, 'T', b.rows, to);
}

void multiply(MatrixView a, MatrixView b, float* to) {
  multiply_on_this_thread(a, b, 'N', b.columns, to);
}

void multiply_bytes_by_transposed(const std::uint8_t* a, std::size_t a_rows, const std::int8_t* b,
                                  std::size_t b_rows, std::size_t columns, std::int32_t* to) {
  const OpenMpThreads alone(1);
  const auto n = static_cast<dnnl_dim_t>(b_rows);
  const auto inner = static_cast<dnnl_dim_t>(columns);
  const std::int32_t offset = 0;
  check(dnnl_gemm_u8s8s32('N', 'T', 'F', static_cast<dnnl_dim_t>(a_rows), n, inner, 1.0F, a, inner,
                          0, b, inner, 0, 0.0F, to, n, &offset));
}

}  // namespace mmra::retrieval
