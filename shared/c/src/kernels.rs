//! The kernels by their names in C. They are written out because the header is generated from this file.
#![allow(unsafe_code, missing_docs)]

use goldcrest_engine::kernels::{self, Kernel};

#[unsafe(no_mangle)]
pub static gc_kernel_dsp_int4_fully_connected: Kernel = kernels::DSP_INT4_FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_int4_conv: Kernel = kernels::DSP_INT4_CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_int4_fully_connected: Kernel = kernels::INT4_FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_int4_conv: Kernel = kernels::INT4_CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_small_fully_connected: Kernel = kernels::DSP_SMALL_FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_fully_connected: Kernel = kernels::DSP_FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_winograd: Kernel = kernels::DSP_WINOGRAD;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_conv: Kernel = kernels::DSP_CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_depthwise: Kernel = kernels::DSP_DEPTHWISE;
#[unsafe(no_mangle)]
pub static gc_kernel_dsp_depthwise_direct: Kernel = kernels::DSP_DEPTHWISE_DIRECT;
#[unsafe(no_mangle)]
pub static gc_kernel_mve_fully_connected: Kernel = kernels::MVE_FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_mve_conv: Kernel = kernels::MVE_CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_fully_connected: Kernel = kernels::FULLY_CONNECTED;
#[unsafe(no_mangle)]
pub static gc_kernel_pixel_pair_conv: Kernel = kernels::PIXEL_PAIR_CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_depthwise: Kernel = kernels::DEPTHWISE;
#[unsafe(no_mangle)]
pub static gc_kernel_conv: Kernel = kernels::CONV;
#[unsafe(no_mangle)]
pub static gc_kernel_max_pool: Kernel = kernels::MAX_POOL;
#[unsafe(no_mangle)]
pub static gc_kernel_average_pool: Kernel = kernels::AVERAGE_POOL;
#[unsafe(no_mangle)]
pub static gc_kernel_add: Kernel = kernels::ADD;
#[unsafe(no_mangle)]
pub static gc_kernel_mul: Kernel = kernels::MUL;
#[unsafe(no_mangle)]
pub static gc_kernel_lookup: Kernel = kernels::LOOKUP;
#[unsafe(no_mangle)]
pub static gc_kernel_concat: Kernel = kernels::CONCAT;
#[unsafe(no_mangle)]
pub static gc_kernel_pad: Kernel = kernels::PAD;
#[unsafe(no_mangle)]
pub static gc_kernel_upsample: Kernel = kernels::UPSAMPLE;
