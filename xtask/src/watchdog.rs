// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child process that cannot outlive its time or its owner.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// A running child whose standard output is read here; killed when dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    child: Child,
    output: Receiver<Vec<u8>>,
    deadline: Option<Instant>,
}

/// What the child did last.
#[derive(Debug)]
pub(crate) enum Event {
    Output(Vec<u8>),
    Ended(ExitStatus),
    /// The deadline passed; the child was killed.
    TimedOut,
}

impl Watched {
    /// Starts `command`; without a `limit` it may run for ever.
    pub(crate) fn start(command: &mut Command, limit: Option<Duration>) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, output) = sync_channel(64);

        thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, output, deadline: limit.map(|limit| Instant::now() + limit) })
    }

    /// Waits for the next event. After `Ended` or `TimedOut` there is none.
    pub(crate) fn next(&mut self) -> io::Result<Event> {
        let received = match self.remaining() {
            Some(time) => self.output.recv_timeout(time),
            None => self.output.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(bytes) => Ok(Event::Output(bytes)),
            Err(RecvTimeoutError::Disconnected) => self.ended(),
            Err(RecvTimeoutError::Timeout) => self.kill(),
        }
    }

    fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for a child that has closed its output.
    fn ended(&mut self) -> io::Result<Event> {
        while self.remaining() != Some(Duration::ZERO) {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Event::Ended(status));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    fn kill(&mut self) -> io::Result<Event> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(Event::TimedOut)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Fails only if the child has ended, which is what we want.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(script: &str, limit: Duration) -> (Vec<u8>, Event) {
        let mut child = Watched::start(Command::new("sh").args(["-c", script]), Some(limit)).unwrap();
        let mut output = Vec::new();
        loop {
            match child.next().unwrap() {
                Event::Output(bytes) => output.extend(bytes),
                end => return (output, end),
            }
        }
    }

    #[test]
    fn the_status_follows_the_output() {
        let (output, end) = events("printf abc; exit 33", Duration::from_secs(20));
        assert_eq!(output, b"abc");
        assert!(matches!(end, Event::Ended(status) if status.code() == Some(33)), "{end:?}");
    }

    #[test]
    fn a_hanging_child_is_killed() {
        for script in ["exec sleep 30", "exec sleep 30 >&-"] {
            let start = Instant::now();
            let (_, end) = events(script, Duration::from_millis(100));
            assert!(matches!(end, Event::TimedOut), "{end:?}");
            assert!(start.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn a_dropped_child_is_dead() {
        let child = Watched::start(Command::new("sleep").arg("30"), None).unwrap();
        let proc = format!("/proc/{}", child.child.id());
        drop(child);
        assert!(!std::path::Path::new(&proc).exists());
    }
}
