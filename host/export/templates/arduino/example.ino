// Classifies one picture. Made by `goldcrest export`; yours to change.

#include <{{ name }}.h>

static gc_engine engine;
static uint32_t arena[{{ NAME }}_ARENA_WORDS];

void setup() {
  Serial.begin(115200);
  while (!Serial) {
  }
  gc_status status = gc_open(&engine, &{{ name }}_model, arena, sizeof arena);
{%- if golden %}
  if (status == GC_OK) {
    status = gc_selftest(&engine);
  }
{%- endif %}
  Serial.println(gc_status_text(status));
}

void loop() {
  if (gc_load(&engine, {{ name }}_picture, {{ NAME }}_INPUT_BYTES) != GC_OK) {
    return;
  }
  while (gc_step(&engine)) {
    yield();
  }
  Serial.println({{ name }}_labels[gc_best(&engine)]);
  delay(1000);
}
