//! One file per operator, each a unit struct that implements [`Rule`](super::rule::Rule).

pub(super) mod conv;
pub(super) mod gemm;
pub(super) mod max_pool;
pub(super) mod relu;
pub(super) mod reshape;
