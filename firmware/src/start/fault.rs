//! What ends the program: it says why over defmt and ends the emulator, whose exit the host sees.

use core::panic::PanicInfo;

use defmt_semihosting as _;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    semihosting::process::exit(1)
}

#[cfg(target_arch = "arm")]
mod arm {
    use cortex_m as _;
    use cortex_m_rt::{ExceptionFrame, exception};

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        defmt::error!("hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr());
        semihosting::process::exit(1)
    }

    #[exception]
    unsafe fn DefaultHandler(number: i16) {
        defmt::error!("unexpected exception {}", number);
        semihosting::process::exit(1)
    }
}
