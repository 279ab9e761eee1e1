/* What is wrong is a status: each line is what a call returned and what it had to. Built with the sanitizers for
   addresses and undefined behaviour. */

#include <stdio.h>
#include <string.h>

#include "model.h"

static gc_engine engine;
static uint32_t arena[MODEL_ARENA_WORDS + 1];
static uint32_t copy[COPY_WORDS + 1];
static int wrong;

static void expect(const char *what, long found, long expected)
{
    printf("%s: %ld\n", what, found);
    if (found != expected) {
        printf("  expected %ld\n", expected);
        wrong = 1;
    }
}

static void closed(void)
{
    char label[4] = "xxx";
    uint16_t probability;
    expect("closed: input", gc_input(&engine) != NULL, 0);
    expect("closed: int8 input", gc_input_i8(&engine) != NULL, 0);
    expect("closed: input bytes", (long)gc_input_bytes(&engine), 0);
    expect("closed: load", gc_load(&engine, model_picture, MODEL_INPUT_BYTES), GC_CLOSED);
    expect("closed: step", gc_step(&engine), 0);
    expect("closed: run", gc_run(&engine), GC_CLOSED);
    expect("closed: logits", gc_logits(&engine) != NULL, 0);
    expect("closed: classes", (long)gc_classes(&engine), 0);
    expect("closed: best", gc_best(&engine), -1);
    expect("closed: label", (long)gc_label(&engine, 0, label, sizeof label), 0);
    expect("closed: label is empty", label[0], 0);
    expect("closed: probabilities", gc_probabilities(&engine, &probability, 1), GC_CLOSED);
    expect("closed: self-test", gc_selftest(&engine), GC_CLOSED);
}

static gc_model changed(size_t at, uint8_t value)
{
    gc_model model = model_model;
    uint32_t crc = 0xffffffff;
    size_t index;
    int bit;
    uint8_t *bytes = (uint8_t *)copy;
    memcpy(bytes, model.image, model.image_bytes);
    bytes[at] = value;
    for (index = 8; index < model.image_bytes; index++)
        for (crc ^= bytes[index], bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    crc = ~crc;
    memcpy(bytes + 4, &crc, 4);
    model.image = bytes;
    return model;
}

int main(void)
{
    gc_model model = model_model;
    const gc_kernel *kernels[1] = { NULL };
    char label[4];
    size_t bytes;

    closed();
    expect("no engine", gc_open(NULL, &model, arena, MODEL_ARENA_BYTES), GC_NULL);
    expect("engine not aligned", gc_open((gc_engine *)((char *)&engine + 1), &model, arena, MODEL_ARENA_BYTES),
           GC_MISALIGNED);
    expect("no model", gc_open(&engine, NULL, arena, MODEL_ARENA_BYTES), GC_NULL);
    expect("no arena", gc_open(&engine, &model, NULL, MODEL_ARENA_BYTES), GC_NULL);
    expect("arena not aligned", gc_open(&engine, &model, (char *)arena + 1, MODEL_ARENA_BYTES), GC_MISALIGNED);
    expect("arena too small", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES - 4), GC_ARENA);
    model.image = NULL;
    expect("no image", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_NULL);
    memcpy((uint8_t *)copy + 1, model_model.image, model_model.image_bytes);
    model.image = (const uint8_t *)copy + 1;
    expect("image not aligned", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_MISALIGNED);
    model = model_model;
    model.kernels = NULL;
    expect("no kernels", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_NULL);
    model.kernels = kernels;
    model.kernel_count = 1;
    expect("a kernel is null", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_NULL);
    model.kernel_count = 0;
    expect("a kernel is missing", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_KERNEL);
    for (bytes = 0; bytes < model_model.image_bytes; bytes = bytes * 2 + 1) {
        model = model_model;
        model.image_bytes = bytes;
        expect("truncated", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_TRUNCATED);
    }
    model = changed(0, 'X');
    expect("other bytes", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_NO_IMAGE);
    model = changed(8, 99);
    expect("other version", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_VERSION);
    model = changed(29, 9);
    expect("other family", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_FAMILY);
    model = changed(20, 99);
    expect("other channels", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_INCONSISTENT);
    ((uint8_t *)copy)[100] ^= 1;
    expect("damaged", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_CHECKSUM);
    expect("arena of what is no model", (long)gc_arena_bytes(&model), 0);
    expect("arena of no model", (long)gc_arena_bytes(NULL), 0);
    closed();

    expect("null: input", gc_input(NULL) != NULL, 0);
    expect("null: step", gc_step(NULL), 0);
    expect("null: run", gc_run(NULL), GC_NULL);
    expect("null: logits", gc_logits(NULL) != NULL, 0);
    expect("null: best", gc_best(NULL), -1);
    expect("null: label", (long)gc_label(NULL, 0, label, sizeof label), 0);
    expect("null: self-test", gc_selftest(NULL), GC_NULL);

    expect("arena of the model", (long)gc_arena_bytes(&model_model), MODEL_ARENA_BYTES);
    expect("right", gc_open(&engine, &model_model, arena, MODEL_ARENA_BYTES), GC_OK);
    expect("input too short", gc_load(&engine, model_picture, MODEL_INPUT_BYTES - 1), GC_INPUT);
    expect("no input", gc_load(&engine, NULL, MODEL_INPUT_BYTES), GC_NULL);
    expect("no probabilities", gc_probabilities(&engine, NULL, 1), GC_NULL);
    expect("self-test", gc_selftest(&engine), GC_OK);
    expect("label of no class", (long)gc_label(&engine, MODEL_CLASSES, label, sizeof label), 0);
    expect("label of class -1", (long)gc_label(&engine, -1, label, sizeof label), 0);
    expect("a label that is cut", (long)gc_label(&engine, 0, label, 2), (long)strlen(model_labels[0]));
    expect("ends there", label[1], 0);
    expect("a label into nothing", (long)gc_label(&engine, 0, NULL, 9), (long)strlen(model_labels[0]));
    expect("text of no status", strcmp(gc_status_text(99), "unknown status"), 0);
    expect("text of a status", strcmp(gc_status_text(GC_OK), "done"), 0);
    /* A golden vector that the model does not give. */
    model = changed(CHANGED_LOGIT, (uint8_t)(model_model.image[CHANGED_LOGIT] ^ 1));
    expect("opens", gc_open(&engine, &model, arena, MODEL_ARENA_BYTES), GC_OK);
    expect("self-test differs", gc_selftest(&engine), GC_DIFFERENT);
    return wrong;
}
