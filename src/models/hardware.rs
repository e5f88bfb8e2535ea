//! What the machine has: cores, memory, room on the disk.

use std::path::Path;

use sysinfo::System;

/// Cores and memory that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// Threads for the model: physical cores, at most what the process is allowed.
    pub physical_cores: usize,
    /// Main memory, at most the limit of the control group, in bytes; 0 where the system does not tell.
    pub memory_bytes: u64,
}

impl Hardware {
    /// Asks the system.
    #[must_use]
    pub fn detect() -> Self {
        let allowed = std::thread::available_parallelism().map_or(1, usize::from);
        // Physical cores know nothing of affinity and quota, the allowed ones nothing of threads that share a core.
        let physical_cores = System::physical_core_count().map_or(allowed, |cores| cores.min(allowed)).max(1);
        let memory_bytes = System::new().map_or(0, |mut system| {
            system.refresh_memory();
            let total = system.total_memory();
            match system.cgroup_limits() {
                Some(limits) if limits.total_memory > 0 => total.min(limits.total_memory),
                _ => total,
            }
        });
        Self { physical_cores, memory_bytes }
    }
}

/// Main memory that can be had without swapping, at most what the control group leaves, in bytes; `None` where the
/// system does not tell.
#[must_use]
pub fn free_memory_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let free = system.available_memory();
    let free = match system.cgroup_limits() {
        Some(limits) if limits.total_memory > 0 => free.min(limits.free_memory),
        _ => free,
    };
    (free > 0).then_some(free)
}

/// Room for files of this user on the disk that holds `path` (or its nearest ancestor that exists), in bytes;
/// `None` where the system does not tell.
#[cfg(unix)]
#[must_use]
pub fn free_disk_bytes(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Room on the disk: this system is not asked.
#[cfg(not(unix))]
#[must_use]
pub fn free_disk_bytes(_path: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_disk() {
        let hardware = Hardware::detect();
        assert!(hardware.physical_cores >= 1);
        assert!(hardware.memory_bytes > 64 << 20, "{} bytes", hardware.memory_bytes);
        assert!(free_memory_bytes().is_some_and(|free| free < hardware.memory_bytes));
        #[cfg(unix)]
        assert!(free_disk_bytes(&std::env::temp_dir().join("does/not/exist")).is_some());
    }
}
