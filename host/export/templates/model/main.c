/* Classifies one picture. Made by `goldcrest export`; yours to change. */

#include <stdio.h>
#include <string.h>

#include "{{ name }}.h"

static gc_engine engine;
static uint32_t arena[{{ NAME }}_ARENA_WORDS];

{{ entry }}
{
    gc_status status = gc_open(&engine, &{{ name }}_model, arena, sizeof arena);
{%- if golden %}
    if (status == GC_OK)
        status = gc_selftest(&engine);
{%- endif %}
    if (status != GC_OK) {
        printf("goldcrest: %s\n", gc_status_text(status));
        return{{ failed }};
    }
    memcpy(gc_input(&engine), {{ name }}_picture, {{ NAME }}_INPUT_BYTES);
    while (gc_step(&engine)) {
        /* Between two layers: feed a watchdog, let other tasks run. */
    }
    printf("%s\n", {{ name }}_labels[gc_best(&engine)]);
    return{{ done }};
}
