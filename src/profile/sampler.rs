//! The perf events: one for each thread of this process, and the loop that empties their rings.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use perf_event::events::{Hardware, Software};
use perf_event::{Builder, SampleFlag, Sampler, data};

use super::symbols;
use super::tally::{Chain, Tally};
use super::{Profile, ProfileError};

/// The name of the thread that samples; it is left out of the profile.
pub(super) const THREAD: &str = "profile";
/// How often the rings are emptied. At the highest rate and with the deepest stacks, 127 frames, half of one fills meanwhile.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// Bytes of a thread's ring. The kernel lets every user lock some (`kernel.perf_event_mlock_kb`, 516 KiB a core).
const RING_BYTES: usize = 64 << 10;
/// Threads that are sampled: as many shards as there may be, and the few threads beside them. Each takes a descriptor.
const THREADS_MAX: usize = 1024 + 64;

/// What is counted, by what is tried first.
const EVENTS: [Event; 2] = [Event::Cycles, Event::Clock];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The processor's cycles. They see code that runs with interrupts off. Most virtual machines have no counter for them.
    Cycles,
    /// The kernel's clock of the thread.
    Clock,
}

/// A thread that is sampled.
struct Sampled {
    name: String,
    ring: Sampler,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Cycles => "cycles",
            Event::Clock => "cpu-clock",
        }
    }
}

/// Samples all threads of this process but the one that calls, for `length` or until `is_over`.
///
/// # Errors
/// When the kernel does not let it, or there is no thread to be seen.
pub(super) fn sample(frequency: u32, length: Duration, is_over: &dyn Fn() -> bool) -> Result<Profile, ProfileError> {
    let threads = threads().map_err(|error| ProfileError::Failed(format!("the threads cannot be listed: {error}")))?;
    let (event, kernel) = allowed(&threads, frequency)?;
    let mut sampled = Vec::with_capacity(threads.len());
    for (id, name) in threads {
        match open(id, event, kernel, frequency) {
            Ok(ring) => sampled.push(Sampled { name, ring }),
            // A thread may have ended since it was listed.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(refusal(error)),
        }
    }
    let start = Instant::now();
    for thread in &mut sampled {
        thread.ring.enable().map_err(refusal)?;
    }
    let mut tally = Tally::new();
    while start.elapsed() < length && !is_over() {
        std::thread::sleep(LOOK.min(length.saturating_sub(start.elapsed())));
        empty(&mut sampled, &mut tally);
    }
    for thread in &mut sampled {
        // What fails to stop ends with its descriptor, below.
        let _ = thread.ring.disable();
    }
    empty(&mut sampled, &mut tally);
    let seconds = start.elapsed().as_secs_f64();
    let threads = sampled.len();
    drop(sampled);
    if is_over() {
        return Err(ProfileError::Failed("nobody waits for it any more".to_owned()));
    }
    let (samples, lost) = (tally.samples(), tally.lost());
    let folded = symbols::fold(&tally);
    Ok(Profile { seconds, frequency, event: event.name().to_owned(), kernel, threads, samples, lost, folded })
}

/// The ids and names of this process's threads, but for the calling one.
fn threads() -> io::Result<Vec<(i32, String)>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // It may have ended since.
        let (Some(id), Ok(name)) = (id, fs::read_to_string(entry.path().join("comm"))) else { continue };
        let name = name.trim_end().replace(';', ":");
        if name != THREAD {
            threads.push((id, name));
        }
    }
    threads.sort_unstable();
    threads.truncate(THREADS_MAX);
    Ok(threads)
}

/// The best of what the kernel lets this process sample: which event, and whether with its own stacks.
fn allowed(threads: &[(i32, String)], frequency: u32) -> Result<(Event, bool), ProfileError> {
    let (id, _) = threads.first().ok_or_else(|| ProfileError::Failed("there is no other thread".to_owned()))?;
    let mut last = None;
    for kernel in [true, false] {
        for event in EVENTS {
            match open(*id, event, kernel, frequency) {
                Ok(_) => return Ok((event, kernel)),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(refusal(last.unwrap_or_else(|| io::ErrorKind::Unsupported.into())))
}

fn open(thread: i32, event: Event, kernel: bool, frequency: u32) -> io::Result<Sampler> {
    let mut builder = match event {
        Event::Cycles => Builder::new(Hardware::CPU_CYCLES),
        Event::Clock => Builder::new(Software::CPU_CLOCK),
    };
    builder.observe_pid(thread).any_cpu().sample_frequency(frequency.into()).sample(SampleFlag::CALLCHAIN);
    // The hypervisor is not ours to see.
    builder.exclude_kernel(!kernel).exclude_callchain_kernel(!kernel).exclude_hv(true);
    builder.build()?.sampled(RING_BYTES)
}

fn refusal(error: io::Error) -> ProfileError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
            let paranoid = paranoid.map_or_else(|_| "unknown".to_owned(), |value| value.trim().to_owned());
            ProfileError::Forbidden { reason: error, paranoid }
        }
        Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => ProfileError::Unsupported(error),
        _ => ProfileError::Failed(error.to_string()),
    }
}

/// Counts what is in the rings.
fn empty(sampled: &mut [Sampled], tally: &mut Tally) {
    for (thread, Sampled { name, ring }) in sampled.iter_mut().enumerate() {
        while let Some(record) = ring.next_record() {
            match record.parse_record() {
                Ok(data::Record::Sample(sample)) => {
                    tally.count(thread, name, Chain::of(sample.callchain().unwrap_or_default()));
                }
                Ok(data::Record::Lost(lost)) => tally.lose(lost.lost),
                // The kernel says for instance that it lowers the rate.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
