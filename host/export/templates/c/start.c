/* From reset to main, for the emulated {{ machine.board }}. In your firmware, your own start does this. */

#include <stdint.h>
#include <stdlib.h>

extern uint32_t __data_load, __data_start, __data_end, __bss_start, __bss_end, __stack_top;
extern void initialise_monitor_handles(void);
extern int main(void);

void start(void);
void start(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    /* The floating-point unit, which has the vectors too. */
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm volatile("dsb\n\tisb");
#endif
    uint32_t *from = &__data_load, *to;
    for (to = &__data_start; to < &__data_end;)
        *to++ = *from++;
    for (to = &__bss_start; to < &__bss_end;)
        *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}

/* A fault ends the emulation with an error. */
static void fault(void)
{
    _Exit(70);
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors = { &__stack_top,
              { start, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault,
                fault } };
