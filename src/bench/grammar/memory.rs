//! How much memory the bench's process has in use.
//!
//! In builds with the peers every allocation of Rust code is counted, which is exact: freed pages that the process
//! keeps would otherwise hide what an engine takes. llama.cpp's allocations are its own; for it, and in other builds,
//! the resident memory that Linux tells has to do.

#[cfg(feature = "bench-peers")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// How memory is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gauge {
    /// Bytes that Rust code has allocated and not freed.
    #[cfg(feature = "bench-peers")]
    Counted,
    /// Resident memory.
    Resident,
}

impl Gauge {
    /// The best gauge for an engine.
    pub(super) const fn for_engine(is_native: bool) -> Self {
        #[cfg(feature = "bench-peers")]
        if !is_native {
            return Self::Counted;
        }
        let _ = is_native;
        Self::Resident
    }

    /// Bytes in use now; `None` where the system does not tell.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            #[cfg(feature = "bench-peers")]
            Self::Counted => {
                let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
                u64::try_from(stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)).ok()
            }
            Self::Resident => status_bytes("VmRSS:"),
        }
    }
}

/// The most that was in use since [`Peak::begin`], as far as it was looked at; resident memory is watched by Linux.
pub(super) struct Peak {
    gauge: Gauge,
    begin: Option<u64>,
    most: Option<u64>,
}

impl Peak {
    pub(super) fn begin(gauge: Gauge) -> Self {
        if gauge == Gauge::Resident {
            // Lets the peak begin at what is in use now; where that is refused, it counts from the start.
            let _ = std::fs::write("/proc/self/clear_refs", "5");
        }
        let begin = gauge.bytes();
        Self { gauge, begin, most: begin }
    }

    /// Cheap enough to be asked between any two steps where allocations are counted.
    pub(super) fn look(&mut self) {
        if self.gauge != Gauge::Resident {
            self.most = self.most.max(self.gauge.bytes());
        }
    }

    /// Bytes above those at the beginning.
    pub(super) fn bytes(&self) -> Option<u64> {
        let most = if self.gauge == Gauge::Resident { status_bytes("VmHWM:") } else { self.most };
        Some(most?.saturating_sub(self.begin?))
    }
}

/// A figure of this process from Linux.
fn status_bytes(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
