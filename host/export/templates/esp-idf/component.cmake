idf_component_register(SRCS "{{ name }}.c" INCLUDE_DIRS ".")
add_prebuilt_library(goldcrest "lib{{ library }}.a")
target_link_libraries(${COMPONENT_LIB} PUBLIC goldcrest)
