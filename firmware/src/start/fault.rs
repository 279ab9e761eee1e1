//! What ends the program: it says why over defmt, and ends the emulator, whose exit the host sees, or starts
//! the real board anew. The program of inference alone is silent: it carries no logger.

use core::panic::PanicInfo;

#[cfg(not(feature = "emulated"))]
use defmt_rtt as _;
#[cfg(all(feature = "emulated", not(feature = "inference")))]
use defmt_semihosting as _;

/// Logs an error where there is a logger.
#[cfg(not(feature = "inference"))]
macro_rules! error {
    ($($argument:tt)*) => { defmt::error!($($argument)*) };
}
#[cfg(feature = "inference")]
macro_rules! error {
    ($format:literal $(, $argument:expr)*) => {{ $( let _ = &$argument; )* }};
}

#[cfg(feature = "emulated")]
fn end() -> ! {
    semihosting::process::exit(1)
}

#[cfg(all(not(feature = "emulated"), target_arch = "arm"))]
fn end() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[cfg(all(not(feature = "emulated"), feature = "esp32c3"))]
fn end() -> ! {
    esp_hal::system::software_reset()
}

#[cfg(all(not(feature = "emulated"), not(feature = "esp32c3"), target_arch = "riscv32"))]
fn end() -> ! {
    loop {
        ::riscv::asm::wfi();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    error!("{}", defmt::Display2Format(info));
    end()
}

#[cfg(target_arch = "arm")]
mod arm {
    use super::end;
    use cortex_m as _;
    use cortex_m_rt::{ExceptionFrame, exception};

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        error!("hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr());
        end()
    }

    #[exception]
    unsafe fn DefaultHandler(number: i16) {
        // The program of inference alone has no line, and some HALs bring their own handlers.
        #[cfg(not(any(feature = "inference", feature = "nrf52", feature = "rp")))]
        if u16::try_from(number).is_ok_and(crate::driver::reception::handle) {
            return;
        }
        error!("unexpected exception {}", number);
        end()
    }
}

#[cfg(target_arch = "riscv32")]
mod riscv {
    use super::end;

    /// Called by riscv-rt for every exception without a handler of its own.
    #[unsafe(no_mangle)]
    extern "C" fn ExceptionHandler(_frame: &riscv_rt::TrapFrame) -> ! {
        let (cause, pc) = (::riscv::register::mcause::read().bits(), ::riscv::register::mepc::read());
        error!("exception {} at {:#010x}", cause, pc);
        end()
    }
}
