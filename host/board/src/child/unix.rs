//! Where a child inherits descriptors.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};

/// The host's end of an emulated board's serial line.
pub type Line = UnixStream;

/// An open file or socket that a child gets.
pub(crate) type Handed = OwnedFd;

/// A serial line: the host's end, and the child's.
pub(crate) fn line() -> io::Result<(Line, Handed)> {
    let (line, end) = UnixStream::pair()?;
    Ok((line, end.into()))
}

/// What QEMU's `-chardev` takes for its end of a serial line.
pub(crate) fn socket(end: &Handed) -> String {
    format!("socket,id=serial,fd={}", end.as_raw_fd())
}

/// A file without a name that holds `bytes`, for a child to read as [`path`] says.
pub(crate) fn nameless(bytes: &[u8]) -> io::Result<Handed> {
    let mut file: File = tempfile::tempfile()?;
    file.write_all(bytes)?;
    // Where opening the descriptor's path shares its position, the reader begins at the front.
    file.rewind()?;
    Ok(file.into())
}

/// A file for a child to read or write.
pub(crate) fn hand(file: File) -> io::Result<Handed> {
    Ok(file.into())
}

/// What a child that [`spawn`] hands the file to opens it by.
pub(crate) fn path(file: &Handed) -> String {
    format!("/dev/fd/{}", file.as_raw_fd())
}

/// Starts a process with these open files under their numbers.
///
/// On Linux the kernel ends it when this process ends, even by SIGKILL. Elsewhere it hears the terminal's
/// signals, as this process does.
pub(crate) fn spawn(mut command: Command, files: Vec<Handed>) -> io::Result<Child> {
    inherit(&mut command, &files);
    let child = lasting::spawn(command);
    // Open in the child by now.
    drop(files);
    child
}

/// Runs a process that ends when this one does, as [`spawn`] says, and collects what it writes.
pub(crate) fn output(mut command: Command) -> io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command, Vec::new())?.wait_with_output()
}

#[allow(unsafe_code)]
fn inherit(command: &mut Command, files: &[Handed]) {
    use std::os::unix::process::CommandExt;
    let numbers: Vec<i32> = files.iter().map(AsRawFd::as_raw_fd).collect();
    #[cfg(target_os = "linux")]
    let parent = std::process::id() as libc::pid_t;
    let prepare = move || {
        for &number in &numbers {
            // SAFETY: fcntl takes any number; these are open descriptors of this process, copied by the fork.
            if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        #[cfg(target_os = "linux")]
        {
            // SAFETY: this option of prctl takes a signal's number and touches no memory.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: getppid takes nothing and cannot fail. The parent may have ended before the call above.
            if unsafe { libc::getppid() } != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes only system calls that are async-signal-safe, and
    // allocates nothing: an `io::Error` of a number holds no memory.
    unsafe { command.pre_exec(prepare) };
}

#[cfg(target_os = "linux")]
mod lasting {
    use std::io;
    use std::process::{Child, Command};
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::thread;

    type Order = (Command, Sender<io::Result<Child>>);

    /// Starts a process from a thread that lasts as long as this process: the kernel takes the end of the
    /// thread that forked for the parent's.
    pub(super) fn spawn(command: Command) -> io::Result<Child> {
        static THREAD: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
        let orders = THREAD.get_or_init(|| {
            let (sender, orders) = channel::<Order>();
            thread::spawn(move || {
                for (mut command, answer) in orders {
                    // Whoever asked waits for it.
                    let _ = answer.send(command.spawn());
                }
            });
            Mutex::new(sender)
        });
        let (answer, child) = channel();
        let ended = || io::Error::other("the thread that starts processes has ended");
        let orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send((command, answer)).map_err(|_| ended())?;
        drop(orders);
        child.recv().map_err(|_| ended())?
    }
}

#[cfg(not(target_os = "linux"))]
mod lasting {
    use std::io;
    use std::process::{Child, Command};

    pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
        command.spawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_what_has_no_name_and_outlives_the_thread_that_asked() {
        let file = nameless(b"one\ntwo\n").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 0.3; cat \"$0\""]).arg(path(&file)).stdout(Stdio::piped());
        let child = std::thread::spawn(|| spawn(command, vec![file]).unwrap()).join().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        assert_eq!(output.stdout, b"one\ntwo\n");
    }

    #[test]
    fn a_missing_program_is_an_error_as_ever() {
        let error = spawn(Command::new("goldcrest-no-such-program"), Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
