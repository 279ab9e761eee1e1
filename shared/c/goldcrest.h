/* Goldcrest's int8 inference engine for C and C++: https://github.com/goldcrest-ml/goldcrest
 *
 *     static gc_engine engine;
 *     static uint32_t arena[SIGNS_ARENA_WORDS];
 *
 *     gc_status status = gc_open(&engine, &signs_model, arena, sizeof arena);   // checks everything, once
 *     memcpy(gc_input(&engine), picture, SIGNS_INPUT_BYTES);                    // or DMA into it
 *     while (gc_step(&engine)) feed_the_watchdog();                             // or gc_run(&engine)
 *     int32_t best = gc_best(&engine);
 *
 * `goldcrest export` writes the model (signs_model, its sizes) as a C file, with this header and the library.
 *
 * Threads: the library has no state of its own. An engine and its arena belong to one thread, or interrupt
 * handler, at a time; different engines with different arenas may run at once, also of one model, which is only
 * read. Engines that share an arena run in turn: what one leaves there is lost when another takes its input.
 *
 * A null pointer, an address that is not aligned and an engine that is not open are answered by a status, NULL or 0;
 * any other pointer must lead to what its name says. Before its first gc_open an engine must be all zeros, as a static
 * one is, if it is used in any other call.
 *
 * The library allocates nothing, uses no floating point and no thread-local storage, and calls nothing but
 * memcpy, memmove, memset and memcmp of the C library and the compiler's own arithmetic functions.
 */

/* Generated from shared/c/src by cbindgen. */


#ifndef GOLDCREST_H
#define GOLDCREST_H

#include <stddef.h>
#include <stdint.h>

/** A kernel: one operator in one order of weights. A model names those that it needs; the linker drops the rest. */
typedef struct gc_kernel gc_kernel;

/**
 * What a call found: GC_OK, or the first thing wrong. `gc_status_text` says it in words.
 */
enum gc_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Done.
     */
    GC_OK = 0,
    /**
     * A pointer is null.
     */
    GC_NULL = 1,
    /**
     * The address of the engine, the device image or the arena is not a multiple of what it must be.
     */
    GC_MISALIGNED = 2,
    /**
     * The device image is shorter than it says.
     */
    GC_TRUNCATED = 3,
    /**
     * The bytes are not a device image.
     */
    GC_NO_IMAGE = 4,
    /**
     * The device image has another format version than this library reads.
     */
    GC_VERSION = 5,
    /**
     * The checksum of the device image is wrong: it is damaged.
     */
    GC_CHECKSUM = 6,
    /**
     * The device image is for instructions that this library's core does not have.
     */
    GC_FAMILY = 7,
    /**
     * The device image needs a kernel that the model does not name.
     */
    GC_KERNEL = 8,
    /**
     * The device image contradicts itself.
     */
    GC_INCONSISTENT = 9,
    /**
     * The arena is smaller than the model needs.
     */
    GC_ARENA = 10,
    /**
     * The input has another length than the model takes.
     */
    GC_INPUT = 11,
    /**
     * The engine is not open.
     */
    GC_CLOSED = 12,
    /**
     * The device image holds no golden vectors.
     */
    GC_NO_VECTORS = 13,
    /**
     * A golden vector gave other logits.
     */
    GC_DIFFERENT = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum gc_status gc_status;
#else
typedef int32_t gc_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A model: a device image, in flash, and the kernels that it needs. `goldcrest export` writes one as
 * constants. The device image stays where it is, and must stay as it is while an engine has it open.
 */
typedef struct gc_model {
    /**
     * The device image, at a multiple of 4.
     */
    const uint8_t *image;
    /**
     * Its bytes; what follows the image's own length is ignored.
     */
    size_t image_bytes;
    /**
     * The kernels that the program has for it.
     */
    const gc_kernel *const *kernels;
    /**
     * How many.
     */
    size_t kernel_count;
} gc_model;

/**
 * A model in an arena. Static memory, or the stack of a caller that outlives its use; no need to initialize
 * it before gc_open, nor to close it. What is in it is the library's business.
 */
typedef struct gc_engine {
    /**
     * Not for use.
     */
    size_t private_words[10];
} gc_engine;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

extern const gc_kernel gc_kernel_dsp_int4_fully_connected;

extern const gc_kernel gc_kernel_dsp_int4_conv;

extern const gc_kernel gc_kernel_int4_fully_connected;

extern const gc_kernel gc_kernel_int4_conv;

extern const gc_kernel gc_kernel_dsp_small_fully_connected;

extern const gc_kernel gc_kernel_dsp_fully_connected;

extern const gc_kernel gc_kernel_dsp_winograd;

extern const gc_kernel gc_kernel_dsp_conv;

extern const gc_kernel gc_kernel_dsp_depthwise;

extern const gc_kernel gc_kernel_dsp_depthwise_direct;

extern const gc_kernel gc_kernel_mve_fully_connected;

extern const gc_kernel gc_kernel_mve_conv;

extern const gc_kernel gc_kernel_fully_connected;

extern const gc_kernel gc_kernel_pixel_pair_conv;

extern const gc_kernel gc_kernel_depthwise;

extern const gc_kernel gc_kernel_conv;

extern const gc_kernel gc_kernel_max_pool;

extern const gc_kernel gc_kernel_average_pool;

extern const gc_kernel gc_kernel_add;

extern const gc_kernel gc_kernel_mul;

extern const gc_kernel gc_kernel_lookup;

extern const gc_kernel gc_kernel_concat;

extern const gc_kernel gc_kernel_pad;

extern const gc_kernel gc_kernel_upsample;

/**
 * A status in words, English, for logs; of any other number "unknown status".
 */
const char *gc_status_text(int32_t status);

/**
 * Bytes of arena that a model needs; 0 where it is not a model. It checks the device image each time: prefer
 * the constant that `goldcrest export` writes.
 */
size_t gc_arena_bytes(const struct gc_model *model);

/**
 * Checks a model, once for all its runs, and puts it into an arena: at least as many bytes as the model
 * needs, at a multiple of 4 (an array of uint32_t). Whatever is wrong with image or arena is found here; the
 * engine is then closed, and calls with it do nothing.
 *
 * Model, device image and arena must stay while the engine is used. To open another model, or the same anew,
 * needs no closing.
 */
gc_status gc_open(struct gc_engine *engine, const struct gc_model *model, void *arena, size_t arena_bytes);

/**
 * The place of the next picture: gc_input_bytes bytes, u8 pixels, row by row, channels side by side, of the
 * model's size. Begins a new run. NULL where the engine is not open.
 */
uint8_t *gc_input(struct gc_engine *engine);

/**
 * The same place for the network's own int8 values, for inputs that are not pictures. Begins a new run.
 */
int8_t *gc_input_i8(struct gc_engine *engine);

/**
 * Bytes of the input; 0 where the engine is not open.
 */
size_t gc_input_bytes(const struct gc_engine *engine);

/**
 * Copies a picture into gc_input, if it has the right number of bytes.
 */
gc_status gc_load(struct gc_engine *engine, const uint8_t *pixels, size_t bytes);

/**
 * Runs the next layer: 1 while layers are left, 0 when the logits are there or the engine is not open.
 * Between two calls the program may do what it likes, but write to the arena.
 */
int32_t gc_step(struct gc_engine *engine);

/**
 * Runs the layers that are left.
 */
gc_status gc_run(struct gc_engine *engine);

/**
 * The logits, gc_classes of them; NULL while layers are left. They stay until the next input is written.
 */
const int8_t *gc_logits(const struct gc_engine *engine);

/**
 * Number of classes; 0 where the engine is not open.
 */
size_t gc_classes(const struct gc_engine *engine);

/**
 * The class with the largest logit, the first of equal ones; -1 while layers are left.
 */
int32_t gc_best(const struct gc_engine *engine);

/**
 * Copies the name of a class, UTF-8, into a buffer of `size` bytes, cut where it does not fit, and ends it
 * with a zero. Returns the bytes of the whole name without the zero, as snprintf does; 0 for a class without
 * a name.
 */
size_t gc_label(const struct gc_engine *engine, int32_t class_index, char *buffer, size_t size);

/**
 * Writes the probability of each class, softmax of the logits, in 1/32768, by integer arithmetic; at most
 * `count` of them, zeros while layers are left.
 */
gc_status gc_probabilities(const struct gc_engine *engine, uint16_t *into, size_t count);

/**
 * Runs the golden vectors of the device image and compares every logit, bit for bit: the proof that this
 * program, on this core, computes what the model says.
 */
gc_status gc_selftest(struct gc_engine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* GOLDCREST_H */
