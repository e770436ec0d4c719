#include "mmra/model/neural/prediction_network.h"

namespace mmra::model::neural {

at::Tensor PredictionNetwork::operator()(const at::Tensor& x, double dropout_rate,
                                         const Draws& draws) const {
  at::Tensor hidden = dropout(x, dropout_rate, draws);
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
    hidden = dropout(layers_[i](hidden, Activation::kRelu), dropout_rate, draws);
  }
  return layers_.back()(hidden).squeeze(1);
}

}  // namespace mmra::model::neural
