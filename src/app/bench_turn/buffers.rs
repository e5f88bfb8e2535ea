//! What llama.cpp says that it keeps in memory: it tells the size of each buffer in its log, and nowhere else.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Bytes of a mebibyte.
const MEBIBYTE: f64 = 1_048_576.0;

/// Sizes of buffers by their kind, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Buffers {
    pub(super) weights: u64,
    pub(super) kv: u64,
    pub(super) compute: u64,
}

impl Buffers {
    /// Takes a line of the log, which may be about something else: `CPU compute buffer size =   299.75 MiB`.
    fn take(&mut self, line: &str) {
        let Some((before, after)) = line.split_once("buffer size =") else { return };
        let Some(mebibytes) = after.split_whitespace().next().and_then(|size| size.parse::<f64>().ok()) else { return };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bytes = (mebibytes * MEBIBYTE) as u64;
        let kind = before.split_whitespace().next_back().unwrap_or_default();
        match kind {
            "model" => self.weights += bytes,
            "KV" | "RS" => self.kv += bytes,
            "compute" | "output" => self.compute += bytes,
            _ => {}
        }
    }
}

/// The sum of what was told since it listens; clones look at the same sum.
#[derive(Debug, Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Buffers>>);

impl Listener {
    /// Listens to the log of llama.cpp from now on. A process has one log: another listener hears nothing.
    pub(super) fn start() -> Self {
        let listener = Self::default();
        let targets = Targets::new().with_target("llama-cpp-2", LevelFilter::INFO);
        let _ = tracing_subscriber::registry().with(listener.clone().with_filter(targets)).try_init();
        listener
    }

    /// What was told so far.
    pub(super) fn heard(&self) -> Buffers {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: tracing::Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(&line.0);
    }
}

/// The message of an event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_summed_by_their_kind() {
        let mut buffers = Buffers::default();
        for line in [
            "  CPU_Mapped model buffer size =  1059.89 MiB",
            "CPU_REPACK model buffer size =   900.00 MiB",
            "       CPU KV buffer size =   100.50 MiB",
            "CPU  output buffer size =     0.58 MiB",
            "CPU compute buffer size =   299.42 MiB",
            "graph nodes  = 1014",
            "CPU compute buffer size is  299.7500 MiB, matches expectation of  299.7500 MiB",
        ] {
            buffers.take(line);
        }
        let whole = |bytes: u64| (bytes as f64 / MEBIBYTE * 100.0).round() / 100.0;
        assert_eq!((whole(buffers.weights), whole(buffers.kv), whole(buffers.compute)), (1959.89, 100.5, 300.0));
    }
}
