#include "mmra/pipeline/training_defaults.h"

namespace mmra::pipeline {

TrainRequest default_train_request() {
  TrainRequest request;
  request.config.width = 128;
  request.config.mlp_hidden = {128};
  request.config.dropout_input = 0.2;
  request.config.token_dropout = 0.2;
  request.config.dropout_hidden = 0.3;
  request.config.learning_rate = 5e-4;
  request.config.weight_decay = 0.6;  // a weight shrinks by 3e-4 a step
  request.config.gradient_clip = 1.0;
  request.config.ema_decay = 0.999;
  request.max_epochs = 12;
  request.batch_size = 64;
  request.patience = 3;
  return request;
}

}  // namespace mmra::pipeline
