/* {{ title }}: the model for {{ core.title }}. Made by `goldcrest export` {{ version }}. */

#ifndef {{ NAME }}_H
#define {{ NAME }}_H

#include "goldcrest.h"

#define {{ NAME }}_ARENA_BYTES {{ arena_bytes }}
#define {{ NAME }}_ARENA_WORDS {{ arena_words }}
#define {{ NAME }}_HEIGHT {{ height }}
#define {{ NAME }}_WIDTH {{ width }}
#define {{ NAME }}_CHANNELS {{ channels }}
#define {{ NAME }}_INPUT_BYTES {{ input_bytes }}
#define {{ NAME }}_CLASSES {{ labels | length }}

#ifdef __cplusplus
extern "C" {
#endif

/** The device image, in flash, and the kernels that it needs. */
extern const gc_model {{ name }}_model;

/** Names of the classes, UTF-8. */
extern const char *const {{ name }}_labels[{{ NAME }}_CLASSES];

/** A picture to try the model with: {{ picture_is }}. */
extern const uint8_t {{ name }}_picture[{{ NAME }}_INPUT_BYTES];

/** The logits that it must give. */
extern const int8_t {{ name }}_picture_logits[{{ NAME }}_CLASSES];

#ifdef __cplusplus
}
#endif

#endif
