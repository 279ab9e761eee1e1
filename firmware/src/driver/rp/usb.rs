//! The USB port as a serial port (CDC-ACM). It is served from a software interrupt, so it goes on while the
//! application computes: what comes waits in a queue, and when that is full the host waits.

use embassy_executor::task;
use embassy_futures::join::join3;
use embassy_rp::executor::InterruptExecutor;
use embassy_rp::interrupt::SWI_IRQ_1;
use embassy_rp::peripherals::USB;
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{Peri, bind_interrupts, interrupt};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_time::{Duration, Instant};
use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::{Builder, Config};

/// Vendor and product of pid.codes' number for private tests.
const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;
/// Bytes per packet: the most at full speed.
const PACKET: usize = 64;
/// How long a host may take nothing of an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that wait while nobody reads.
pub const AHEAD_BYTES: usize = 4096;

static RECEIVED: Pipe<CriticalSectionRawMutex, AHEAD_BYTES> = Pipe::new();
static SENT: Pipe<CriticalSectionRawMutex, 512> = Pipe::new();
static EXECUTOR: InterruptExecutor = InterruptExecutor::new();

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => InterruptHandler<USB>;
});

#[interrupt]
unsafe fn SWI_IRQ_1() {
    // SAFETY: this is the interrupt that the executor was started with.
    unsafe { EXECUTOR.on_interrupt() }
}

/// The board's end of the queues.
pub struct Port(());

/// The host took nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Port {
    /// Begins to serve the port.
    ///
    /// # Panics
    /// When called twice.
    pub fn start(usb: Peri<'static, USB>) -> Self {
        EXECUTOR.start(SWI_IRQ_1).spawn(serve(usb).expect("one port"));
        Self(())
    }

    /// Takes what has come, which may be nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        RECEIVED.try_read(buffer).unwrap_or(0)
    }

    /// Gives some of the bytes to the host: how many.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Gone> {
        let start = Instant::now();
        loop {
            match SENT.try_write(bytes) {
                Ok(count) => return Ok(count),
                Err(_) if start.elapsed() > PATIENCE => return Err(Gone),
                Err(_) => {}
            }
        }
    }
}

#[task]
async fn serve(usb: Peri<'static, USB>) {
    let mut config = Config::new(VENDOR, PRODUCT);
    config.manufacturer = Some("Goldcrest");
    config.product = Some("Goldcrest image classifier");
    let (mut descriptor, mut capabilities, mut control) = ([0; 128], [0; 16], [0; PACKET]);
    let mut state = State::new();
    let driver = Driver::new(usb, Interrupts);
    let mut builder = Builder::new(driver, config, &mut descriptor, &mut capabilities, &mut [], &mut control);
    let class = CdcAcmClass::new(&mut builder, &mut state, PACKET as u16);
    let mut device = builder.build();
    let (mut sender, mut receiver) = class.split();
    let receive = async {
        let mut packet = [0; PACKET];
        loop {
            receiver.wait_connection().await;
            while let Ok(count) = receiver.read_packet(&mut packet).await {
                RECEIVED.write_all(packet.get(..count).unwrap_or_default()).await;
            }
        }
    };
    let send = async {
        let mut packet = [0; PACKET];
        loop {
            sender.wait_connection().await;
            loop {
                let count = SENT.read(&mut packet).await;
                if sender.write_packet(packet.get(..count).unwrap_or_default()).await.is_err() {
                    break;
                }
                // A full packet says that more follows; an empty one behind it that nothing does.
                if count == PACKET && SENT.is_empty() && sender.write_packet(&[]).await.is_err() {
                    break;
                }
            }
        }
    };
    join3(device.run(), receive, send).await;
}
