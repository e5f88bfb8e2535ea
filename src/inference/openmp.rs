//! How the threads of llama.cpp wait for each other.
//!
//! They meet at a barrier some hundred times a token, and GNU's OpenMP lets those that come first spin there for
//! milliseconds. Where another program has one of the cores, the spinning thread uses up the time that the missing one
//! needs, at every barrier. Those that never spin are woken late where the cores are free. The library reads its settings
//! once, before `main`, so the program has to be started anew with them in its environment.
//!
//! Measured on 2 shared cores of an AVX-512 virtual machine, 2026-11-29, SmolLM2-135M Q4_1, decoded tokens/s with the
//! library's own 300,000 turns of the loop, with 1,000, and with none. Nothing else known to run: 35, 30 to 32, 18. Beside
//! compilers at a load of 5 to 6: no end within 100 s (0.9 in a test), 13, 16. The rates swing by half between runs.
//!
//! Not responsible for the number of threads.

use std::ffi::OsString;

/// What GNU's OpenMP reads when it is loaded; whoever has set one of them knows better.
const SETTINGS: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// Turns of the loop in which a thread waits before it sleeps.
const SPIN_COUNT: &str = "1000";

/// The variable that the program must be started with, so that its threads spin but briefly; none where the environment
/// says already how they wait, or another library or none does the waiting.
#[must_use]
pub fn patient_threads(variable: impl Fn(&str) -> Option<OsString>) -> Option<(&'static str, &'static str)> {
    let is_gnu = cfg!(all(feature = "llama-cpp", target_os = "linux", target_env = "gnu"));
    let is_set = SETTINGS.iter().any(|name| variable(name).is_some());
    (is_gnu && !is_set).then_some(("GOMP_SPINCOUNT", SPIN_COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "llama-cpp", target_os = "linux", target_env = "gnu"))]
    fn threads_are_patient_unless_the_environment_says_how_they_wait() {
        assert_eq!(patient_threads(|_| None), Some(("GOMP_SPINCOUNT", SPIN_COUNT)));
        for name in SETTINGS {
            assert_eq!(patient_threads(|asked| (asked == name).then(OsString::new)), None, "{name}");
        }
    }
}
