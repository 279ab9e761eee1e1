//! The processor time of this process: what the work cost, however busy the machine was.

/// Seconds that all threads of this process have run so far; 0 where the system does not tell.
pub fn seconds() -> f64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one `timespec`.
        if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } == 0 {
            return time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9;
        }
    }
    0.0
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn work_takes_time() {
        let before = super::seconds();
        let mut sum = 0u64;
        while super::seconds() - before < 0.01 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0 && before > 0.0);
    }
}
