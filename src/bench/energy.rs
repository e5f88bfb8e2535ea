//! Energy that the processor takes, where Linux tells it.
//!
//! Source: the kernel's power capping framework (Documentation/power/powercap); the counters are those of Intel's RAPL, which AMD
//! has as well. Many systems let the administrator alone read them.

use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/sys/class/powercap";

/// Counters of all packages of processors.
#[derive(Debug)]
pub struct EnergyMeter {
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Package {
    folder: PathBuf,
    /// Microjoules at which the counter begins anew.
    range: u64,
    /// What it was when it was read last.
    last: u64,
}

impl EnergyMeter {
    /// Begins to count; none where the system does not tell.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::of(Path::new(FOLDER))
    }

    fn of(folder: &Path) -> Option<Self> {
        let entries = fs::read_dir(folder).ok()?;
        let packages: Vec<Package> = entries.flatten().filter_map(|entry| Package::at(entry.path())).collect();
        (!packages.is_empty()).then_some(Self { packages })
    }

    /// Joules since the start, or since this was asked last; to be asked every few minutes, before a counter begins anew twice.
    pub fn take(&mut self) -> f64 {
        self.packages.iter_mut().map(Package::take).sum()
    }
}

impl Package {
    /// The counter in a folder, where it is one of a whole package: others count parts of it, or the same by another way.
    fn at(folder: PathBuf) -> Option<Self> {
        let is_again = folder.file_name().is_some_and(|name| name.to_string_lossy().contains("mmio"));
        let is_package = !is_again && fs::read_to_string(folder.join("name")).ok()?.starts_with("package");
        let range = number(&folder.join("max_energy_range_uj"))?;
        let last = number(&folder.join("energy_uj"))?;
        is_package.then_some(Self { folder, range, last })
    }

    #[allow(clippy::cast_precision_loss)]
    fn take(&mut self) -> f64 {
        let Some(now) = number(&self.folder.join("energy_uj")) else { return 0.0 };
        let spent = if now >= self.last { now - self.last } else { now + self.range.saturating_sub(self.last) };
        self.last = now;
        spent as f64 / 1e6
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packages_take_is_counted_beyond_the_end_of_a_counter() {
        let folder = tempfile::tempdir().unwrap();
        let set = |name: &str, file: &str, text: &str| {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(file), text).unwrap();
        };
        for (name, kind, energy) in [
            ("rapl:0", "package-0\n", "5000000\n"),
            ("rapl:1", "package-1\n", "9000000\n"),
            ("rapl:0:0", "core\n", "1\n"),
            ("rapl-mmio:0", "package-0\n", "1\n"),
        ] {
            set(name, "name", kind);
            set(name, "max_energy_range_uj", "10000000\n");
            set(name, "energy_uj", energy);
        }
        let mut meter = EnergyMeter::of(folder.path()).unwrap();
        set("rapl:0", "energy_uj", "7500000\n");
        set("rapl:1", "energy_uj", "500000\n");
        set("rapl:0:0", "energy_uj", "9999999\n");
        set("rapl-mmio:0", "energy_uj", "9999999\n");
        assert!((meter.take() - 4.0).abs() < 1e-9);
        assert!(meter.take().abs() < 1e-9);
        assert!(EnergyMeter::of(&folder.path().join("rapl:0")).is_none());
    }
}
