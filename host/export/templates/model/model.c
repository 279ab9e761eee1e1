/* {{ title }}: the model for {{ core.title }}. Made by `goldcrest export` {{ version }}. */

#include "{{ name }}.h"

/* Words, so that the image is aligned; their bytes are in the order of a little-endian core. */
static const uint32_t image[{{ image_words }}] = {
{{ image }}};

static const gc_kernel *const kernels[] = {
{%- for kernel in kernels %}
    &{{ kernel }},
{%- endfor %}
};

const gc_model {{ name }}_model = {
    (const uint8_t *)image,
    {{ image_bytes }},
    kernels,
    sizeof kernels / sizeof kernels[0],
};

const char *const {{ name }}_labels[{{ NAME }}_CLASSES] = {
{%- for label in labels %}
    "{{ label }}",
{%- endfor %}
};

const uint8_t {{ name }}_picture[{{ NAME }}_INPUT_BYTES] = {
{{ picture }}};

const int8_t {{ name }}_picture_logits[{{ NAME }}_CLASSES] = { {{ picture_logits }} };
