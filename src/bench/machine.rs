//! Where something was measured, and what of its memory the process takes.

use serde::Serialize;
use sysinfo::System;

use crate::models::hardware::Hardware;

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// Name of the processor; empty where the system does not tell.
    pub cpu: String,
    /// Physical cores that the process may use.
    pub cores: usize,
    /// Main memory.
    pub memory_bytes: u64,
    /// Operating system.
    pub os: &'static str,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn detect() -> Self {
        let hardware = Hardware::detect();
        let cpu = System::new().map_or_else(
            |_| String::new(),
            |mut system| {
                system.refresh_cpu_all();
                system.cpus().first().map_or_else(String::new, |cpu| cpu.brand().trim().to_owned())
            },
        );
        Self { cpu, cores: hardware.physical_cores, memory_bytes: hardware.memory_bytes, os: std::env::consts::OS }
    }
}

/// Most memory that this process has had at once, in bytes (`VmHWM` of Linux); 0 where the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    of_status("VmHWM:")
}

/// Memory that this process has now, in bytes (`VmRSS` of Linux); 0 where the system does not tell.
#[must_use]
pub fn memory_bytes() -> u64 {
    of_status("VmRSS:")
}

fn of_status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

/// The middle value; the mean of the two middle ones of an even number; 0 of none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.saturating_sub(1)), at(middle)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_at_least_what_there_is_now() {
        let now = memory_bytes();
        assert!(now > 1 << 20 && peak_memory_bytes() >= now, "{now}");
    }
}
