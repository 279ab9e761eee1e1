/* Two libraries of Rust, each with the standard library, and ours in one program. */

#include <stdio.h>

#include "model.h"

extern int first_length(int value);
extern int second_length(int value);

static gc_engine engine;
static uint32_t arena[MODEL_ARENA_WORDS];

int main(void)
{
    gc_status status = gc_open(&engine, &model_model, arena, sizeof arena);
    if (status == GC_OK)
        status = gc_selftest(&engine);
    printf("%d %d %s\n", first_length(12345), second_length(678), gc_status_text(status));
    return 0;
}
