//! How the threads of llama.cpp wait for each other.
//!
//! They meet at a barrier some hundred times a token, and GNU's OpenMP lets those that come first spin there for
//! milliseconds. Where another program has one of the cores, the spinning thread uses up the time that the missing one
//! needs, at every barrier. Told to sleep instead, it is woken in microseconds. The library reads its settings once,
//! before `main`, so the program has to be started anew with them in its environment.
//!
//! Not responsible for the number of threads.

use std::ffi::OsString;

/// What GNU's OpenMP reads when it is loaded; whoever has set one of them knows better.
const SETTINGS: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// The variable that the program must be started with, so that its threads do not spin; none where the environment
/// says already how they wait, or another library or none does the waiting.
#[must_use]
pub fn patient_threads(variable: impl Fn(&str) -> Option<OsString>) -> Option<(&'static str, &'static str)> {
    let is_gnu = cfg!(all(feature = "llama-cpp", target_os = "linux", target_env = "gnu"));
    let is_set = SETTINGS.iter().any(|name| variable(name).is_some());
    (is_gnu && !is_set).then_some((SETTINGS[0], "passive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "llama-cpp", target_os = "linux", target_env = "gnu"))]
    fn threads_are_patient_unless_the_environment_says_how_they_wait() {
        assert_eq!(patient_threads(|_| None), Some(("OMP_WAIT_POLICY", "passive")));
        for name in SETTINGS {
            assert_eq!(patient_threads(|asked| (asked == name).then(OsString::new)), None, "{name}");
        }
    }
}
