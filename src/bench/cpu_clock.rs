//! The processor time of this process.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// Time that this process has spent on processors, all threads together.
///
/// `getrusage` would be finer, but needs a native call or one more feature of `rustix`; a hundredth of a second, which the
/// system's process table has, is enough for turns of seconds.
#[derive(Debug)]
pub struct CpuClock {
    process: Option<(System, Pid)>,
}

impl Default for CpuClock {
    fn default() -> Self {
        let pid = get_current_pid().ok();
        Self { process: System::new().ok().zip(pid) }
    }
}

impl CpuClock {
    /// User and system time so far, in milliseconds; 0 where the system does not tell.
    pub fn now_ms(&mut self) -> u64 {
        let Some((system, pid)) = &mut self.process else { return 0 };
        let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), false, what);
        system.process(*pid).map_or(0, sysinfo::Process::accumulated_cpu_time)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_the_processor_goes_on_while_something_is_computed() {
        let mut clock = CpuClock::default();
        let before = clock.now_ms();
        let mut sum = 0_u64;
        // A hundredth of a second is the clock's grain; this bound is never reached.
        for round in 0..u64::from(u32::MAX) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(round));
            if round % (1 << 22) == 0 && clock.now_ms() > before {
                return;
            }
        }
        panic!("{} ms at first and after {sum}", before);
    }
}
