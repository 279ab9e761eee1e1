//! One file per operator, each a unit struct that implements [`Rule`](super::rule::Rule).

pub(super) mod add;
pub(super) mod average_pool;
pub(super) mod batch_normalization;
pub(super) mod clip;
pub(super) mod concat;
pub(super) mod conv;
pub(super) mod div;
pub(super) mod dropout;
pub(super) mod fake_quantize;
pub(super) mod gemm;
pub(super) mod global_average_pool;
pub(super) mod hard_sigmoid;
pub(super) mod hard_swish;
pub(super) mod identity;
pub(super) mod leaky_relu;
pub(super) mod mat_mul;
pub(super) mod max_pool;
pub(super) mod mul;
pub(super) mod pad;
pub(super) mod reduce_mean;
pub(super) mod relu;
pub(super) mod reshape;
pub(super) mod round;
pub(super) mod sigmoid;
pub(super) mod tanh;
pub(super) mod transpose;
