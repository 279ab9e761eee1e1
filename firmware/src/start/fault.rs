//! What ends the program: it says why over defmt, and ends the emulator, whose exit the host sees, or starts
//! the real board anew, which then tells over the link. The program of inference alone is silent: it carries
//! no logger and formats nothing.

use core::panic::PanicInfo;

#[cfg(not(feature = "emulated"))]
use defmt_rtt as _;
#[cfg(all(feature = "emulated", not(feature = "inference")))]
use defmt_semihosting as _;

use crate::last_words::LastWords;

/// Ends the program with a message.
#[cfg(not(feature = "inference"))]
macro_rules! end {
    ($($argument:tt)*) => { end(format_args!($($argument)*)) };
}
#[cfg(feature = "inference")]
macro_rules! end {
    ($format:literal $(, $argument:expr)*) => {{
        $( let _ = &$argument; )*
        semihosting::process::exit(1)
    }};
}

#[cfg(all(feature = "emulated", not(feature = "inference")))]
fn end(why: core::fmt::Arguments) -> ! {
    defmt::error!("{}", defmt::Display2Format(&why));
    semihosting::process::exit(1)
}

#[cfg(not(feature = "emulated"))]
fn end(why: core::fmt::Arguments) -> ! {
    defmt::error!("{}", defmt::Display2Format(&why));
    // SAFETY: the program ends here, so whoever else had the place does not look at it again.
    unsafe { last_words() }.keep(why);
    start_anew()
}

#[cfg(all(not(feature = "emulated"), target_arch = "arm"))]
fn start_anew() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[cfg(all(not(feature = "emulated"), feature = "esp32c3"))]
fn start_anew() -> ! {
    esp_hal::system::software_reset()
}

#[cfg(all(not(feature = "emulated"), not(feature = "esp32c3"), target_arch = "riscv32"))]
fn start_anew() -> ! {
    loop {
        ::riscv::asm::wfi();
    }
}

/// The message of the program before this one, or for the next.
///
/// # Safety
/// Nobody else uses it while the result is in use.
pub unsafe fn last_words() -> &'static mut LastWords {
    #[unsafe(link_section = ".uninit.last_words")]
    static mut PLACE: core::mem::MaybeUninit<LastWords> = core::mem::MaybeUninit::uninit();
    // SAFETY: RAM that no startup code writes holds some value, and every value of these integers is one; the
    // caller promises that there is no other reference.
    unsafe { &mut *(&raw mut PLACE).cast::<LastWords>() }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    end!("{}", info)
}

#[cfg(target_arch = "arm")]
mod arm {
    #[cfg(not(feature = "inference"))]
    use super::end;
    use cortex_m as _;
    use cortex_m_rt::{ExceptionFrame, exception};

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        end!("hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr())
    }

    #[exception]
    unsafe fn DefaultHandler(number: i16) {
        // The program of inference alone has no line, and some HALs bring their own handlers.
        #[cfg(not(any(feature = "inference", feature = "nrf52", feature = "rp")))]
        if u16::try_from(number).is_ok_and(crate::driver::reception::handle) {
            return;
        }
        end!("unexpected exception {}", number)
    }
}

#[cfg(target_arch = "riscv32")]
mod riscv {
    #[cfg(not(feature = "inference"))]
    use super::end;

    /// Called by riscv-rt for every exception without a handler of its own.
    #[unsafe(no_mangle)]
    extern "C" fn ExceptionHandler(_frame: &riscv_rt::TrapFrame) -> ! {
        let (cause, pc) = (::riscv::register::mcause::read().bits(), ::riscv::register::mepc::read());
        end!("exception {} at {:#010x}", cause, pc)
    }
}
