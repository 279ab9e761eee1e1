/* Answers every test picture as `goldcrest verify --stdin` reads it, through each way of the interface. */

#include <stdio.h>
#include <string.h>

#include "model.h"
#include "pictures.h"

static gc_engine engine;
static uint32_t arena[MODEL_ARENA_WORDS];

static int failed(const char *what, gc_status status)
{
    printf("%s: %s\n", what, gc_status_text(status));
    return 1;
}

int main(void)
{
    char label[40];
    uint16_t probabilities[MODEL_CLASSES];
    unsigned picture, class_index, steps;
    gc_status status = gc_open(&engine, &model_model, arena, MODEL_ARENA_BYTES);
    if (status != GC_OK)
        return failed("open", status);
    status = gc_selftest(&engine);
    if (status != GC_OK)
        return failed("self-test", status);
    if (gc_input_bytes(&engine) != MODEL_INPUT_BYTES || gc_classes(&engine) != MODEL_CLASSES)
        return failed("sizes", GC_INPUT);
    for (picture = 0; picture < PICTURES; picture++) {
        const int8_t *logits;
        unsigned long sum = 0;
        if (picture % 2) {
            status = gc_load(&engine, pictures[picture], MODEL_INPUT_BYTES);
            if (status == GC_OK)
                status = gc_run(&engine);
            if (status != GC_OK)
                return failed("run", status);
        } else {
            memcpy(gc_input(&engine), pictures[picture], MODEL_INPUT_BYTES);
            for (steps = 1; gc_step(&engine); steps++)
                if (gc_logits(&engine) || gc_best(&engine) != -1)
                    return failed("logits before the end", GC_OK);
            if (steps != LAYERS)
                return failed("steps", GC_OK);
        }
        logits = gc_logits(&engine);
        printf("logits %u:", picture);
        for (class_index = 0; class_index < MODEL_CLASSES; class_index++)
            printf(" %d", logits[class_index]);
        printf("\n");
        gc_label(&engine, gc_best(&engine), label, sizeof label);
        if (strcmp(label, model_labels[gc_best(&engine)]) != 0)
            return failed(label, GC_OK);
        status = gc_probabilities(&engine, probabilities, MODEL_CLASSES);
        for (class_index = 0; class_index < MODEL_CLASSES; class_index++)
            sum += probabilities[class_index];
        if (status != GC_OK || sum < 32768 - 2 * MODEL_CLASSES || sum > 32768 + 2 * MODEL_CLASSES)
            return failed("probabilities", status);
    }
    return 0;
}
