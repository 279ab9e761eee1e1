//! A classifier beside other tasks: it lets them run between layers, and a task of higher priority that
//! wants to run every millisecond is late by no more than the longest layer takes. One that must never be
//! late belongs in an executor that an interrupt runs.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use critical_section::Mutex;
use embassy_executor::Executor;
use embassy_futures::yield_now;
use embassy_time::{Duration, Instant, Ticker};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use goldcrest_engine::{Engine, Model, model};
use goldcrest_firmware_examples::{capture, exit, say, say_answer, say_number};
use static_cell::StaticCell;

static LENET5: Model =
    model!("../../lenet5.gci", [DSP_CONV, DSP_FULLY_CONNECTED, DSP_SMALL_FULLY_CONNECTED, MAX_POOL]);

/// Microseconds by which the periodic task was late at most, how often it ran, and what the longest layer
/// took.
static LATE: AtomicU32 = AtomicU32::new(0);
static RUNS: AtomicU32 = AtomicU32::new(0);
static LONGEST: AtomicU32 = AtomicU32::new(0);

#[embassy_executor::task]
async fn classify(mut engine: Engine<'static>) {
    for number in 0..20 {
        capture(number, engine.input_u8());
        engine.prepare();
        yield_now().await;
        loop {
            let before = Instant::now();
            let more = engine.step();
            LONGEST.fetch_max(before.elapsed().as_micros() as u32, Ordering::Relaxed);
            yield_now().await;
            if !more {
                break;
            }
        }
        let (_, label) = engine.best().unwrap_or_default();
        say_answer("lenet5", label, engine.logits());
    }
    for (name, value) in [("late ", &LATE), ("runs ", &RUNS), ("longest ", &LONGEST)] {
        say(name);
        say_number(value.load(Ordering::Relaxed) as i32);
        say("\n");
    }
    exit(0)
}

#[embassy_executor::task]
async fn every_millisecond() {
    let mut ticker = Ticker::every(Duration::from_millis(1));
    let mut due = Instant::now();
    loop {
        ticker.next().await;
        due += Duration::from_millis(1);
        LATE.fetch_max(due.elapsed().as_micros() as u32, Ordering::Relaxed);
        RUNS.fetch_add(1, Ordering::Relaxed);
    }
}

#[entry]
fn main() -> ! {
    static ARENA: StaticCell<[u32; LENET5.arena_words()]> = StaticCell::new();
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();

    Clock::start(cortex_m::Peripherals::take().unwrap().SYST);
    let Ok(engine) = LENET5.engine(ARENA.init([0; _])) else { exit(1) };
    EXECUTOR.init(Executor::new()).run(|spawner| {
        let urgent = every_millisecond().unwrap();
        urgent.metadata().set_priority(1);
        spawner.spawn(urgent);
        spawner.spawn(classify(engine).unwrap());
    })
}

/// Embassy's clock: the processor's timer, with an interrupt every millisecond. Any HAL of embassy brings
/// its own.
struct Clock {
    /// Periods that are over.
    periods: AtomicU32,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    periods: AtomicU32::new(0),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Clock {
    const MICROSECONDS: u64 = 1000;
    /// At 25 MHz.
    const TICKS: u32 = 25_000;

    fn start(mut timer: SYST) {
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(Self::TICKS - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        loop {
            // Read again where a period ended between the two.
            let (before, left, after) = (
                self.periods.load(Ordering::Relaxed),
                SYST::get_current(),
                self.periods.load(Ordering::Relaxed),
            );
            if before == after {
                let in_period =
                    (Self::TICKS - 1).saturating_sub(left) / (Self::TICKS / Self::MICROSECONDS as u32);
                return u64::from(before) * Self::MICROSECONDS + u64::from(in_period);
            }
        }
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker);
        });
    }
}

#[exception]
fn SysTick() {
    CLOCK.periods.store(CLOCK.periods.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    critical_section::with(|cs| {
        CLOCK.queue.borrow(cs).borrow_mut().next_expiration(CLOCK.now());
    });
}
