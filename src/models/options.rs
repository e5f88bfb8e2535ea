//! What a pull needs to know about the world: hub, pip, limits. Read from the environment once, passed in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::Progress;
use crate::types::Cancel;

/// Where the hub is and who asks.
#[derive(Clone)]
pub struct HubSettings {
    /// Address without a trailing slash.
    pub endpoint: String,
    /// Token of the user; goes to the endpoint only, never to a host that it redirects to.
    pub token: Option<String>,
    /// The hub's own cache of files, looked into before anything is fetched.
    pub cache_dir: Option<PathBuf>,
    /// Certificates to trust instead of the built-in roots, PEM.
    pub ca_file: Option<PathBuf>,
}

/// A token is a secret: it is left out.
impl std::fmt::Debug for HubSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("cache_dir", &self.cache_dir)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

impl HubSettings {
    /// From `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME` and `SSL_CERT_FILE`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name), dirs::home_dir())
    }

    /// From the variables that `variable` knows; empty ones count as absent.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, user_home: Option<PathBuf>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| {
            let value = variable(name)?.into_string().ok()?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let hub_home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| user_home.map(|home| home.join(".cache").join("huggingface")));
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: text("HF_TOKEN"),
            cache_dir: variable("HF_HUB_CACHE").map(PathBuf::from).or_else(|| hub_home.map(|home| home.join("hub"))),
            ca_file: variable("SSL_CERT_FILE").map(PathBuf::from),
        }
    }
}

/// How pip is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipSettings {
    /// Program and first arguments.
    pub command: Vec<OsString>,
}

impl PipSettings {
    /// `MNEME_PIP` (one program), else `python3 -m pip`.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var_os("MNEME_PIP").filter(|program| !program.is_empty()) {
            Some(program) => Self { command: vec![program] },
            None => Self { command: vec!["python3".into(), "-m".into(), "pip".into()] },
        }
    }
}

/// Time-outs and counts of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until the next byte arrives.
    pub stall_timeout: Duration,
    /// For one look whether the hub can be reached.
    pub probe_timeout: Duration,
    /// Tries in a row that bring no further byte before the hub is given up.
    pub attempts: u32,
    /// Pause before the second try; doubles with every further one.
    pub retry_pause: Duration,
    /// Disk that is left free, in bytes: a full disk harms every program.
    pub disk_reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(3),
            attempts: 4,
            retry_pause: Duration::from_secs(1),
            disk_reserve_bytes: 64 << 20,
        }
    }
}

/// Everything that a pull is given.
pub struct PullOptions<'a> {
    /// The hub.
    pub hub: HubSettings,
    /// pip.
    pub pip: PipSettings,
    /// Time-outs and counts.
    pub limits: Limits,
    /// Raised by Ctrl-C: the pull stops within a tenth of a second and keeps what has arrived.
    pub cancel: &'a Cancel,
    /// Who is told how far it is.
    pub progress: &'a mut dyn Progress,
}

impl<'a> PullOptions<'a> {
    /// Hub and pip from the environment, default limits.
    pub fn from_env(cancel: &'a Cancel, progress: &'a mut dyn Progress) -> Self {
        Self { hub: HubSettings::from_env(), pip: PipSettings::from_env(), limits: Limits::default(), cancel, progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        HubSettings::from_variables(lookup, Some("/home/u".into()))
    }

    #[test]
    fn the_hub_comes_from_its_own_variables() {
        let plain = settings(&[]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.token, None);
        assert_eq!(plain.cache_dir, Some("/home/u/.cache/huggingface/hub".into()));

        let home = settings(&[("HF_HOME", "/data/hf"), ("HF_ENDPOINT", "https://mirror.example/"), ("HF_TOKEN", "")]);
        assert_eq!(home.endpoint, "https://mirror.example");
        assert_eq!(home.token, None);
        assert_eq!(home.cache_dir, Some("/data/hf/hub".into()));

        let cache = settings(&[("HF_HOME", "/data/hf"), ("HF_HUB_CACHE", "/cache"), ("HF_TOKEN", "secret\n")]);
        assert_eq!(cache.cache_dir, Some("/cache".into()));
        assert_eq!(cache.token.as_deref(), Some("secret"));
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
