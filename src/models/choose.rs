//! Which model a machine gets when the user names none, and the advice for common memory sizes.

use super::{Catalogue, Error, Kind, ModelEntry};

/// The part of the memory that a model may fill is 1 to this number: the rest is left to the user's programs.
const MEMORY_SHARE: u64 = 2;

/// Memory sizes that the advice covers, GiB.
const ADVICE_GIB: [u64; 4] = [4, 8, 16, 32];

/// Which sources can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The hub answers.
    pub hub: bool,
    /// pip can be run; whether an index answers is told by the pull.
    pub wheels: bool,
}

/// The model that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice<'a> {
    /// Its entry.
    pub entry: &'a ModelEntry,
    /// Whether it is on the machine already.
    pub installed: bool,
}

/// Whether a model leaves the user's programs their share of the memory.
#[must_use]
pub fn fits(entry: &ModelEntry, memory_bytes: u64) -> bool {
    entry.memory_need_bytes() <= memory_bytes / MEMORY_SHARE
}

/// The chat model of the lowest rank among those that are installed, or can be reached and may be fetched unasked,
/// and fit the memory.
///
/// # Errors
/// [`Error::NothingFits`].
pub fn choose(
    catalogue: &Catalogue,
    memory_bytes: u64,
    installed: impl Fn(&ModelEntry) -> bool,
    reach: Reach,
) -> Result<Choice<'_>, Error> {
    catalogue
        .entries()
        .iter()
        .filter(|entry| entry.kind == Kind::Chat && fits(entry, memory_bytes))
        .map(|entry| Choice { entry, installed: installed(entry) })
        .find(|choice| choice.installed || (choice.entry.open_licence && can_reach(choice.entry, reach)))
        .ok_or(Error::NothingFits { memory_bytes })
}

fn can_reach(entry: &ModelEntry, reach: Reach) -> bool {
    (reach.hub && entry.has_hub()) || (reach.wheels && entry.has_wheels())
}

/// A line of the advice: what to take with so much memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice<'a> {
    /// Memory of the machine, GiB.
    pub memory_gib: u64,
    /// The automatic choice where the hub can be reached.
    pub with_hub: Option<&'a ModelEntry>,
    /// The automatic choice where only a package index can be reached.
    pub with_wheels: Option<&'a ModelEntry>,
    /// A model that ranks better and fits, but has a licence to read first.
    pub restricted: Option<&'a ModelEntry>,
}

/// The advice for 4, 8, 16 and 32 GiB. A machine shows a little less than it is sold with; a sixteenth is taken off.
#[must_use]
pub fn advice(catalogue: &Catalogue) -> Vec<Advice<'_>> {
    let line = |memory_gib: u64| {
        let memory_bytes = (memory_gib << 30) / 16 * 15;
        let pick = |hub, wheels| {
            choose(catalogue, memory_bytes, |_| false, Reach { hub, wheels }).ok().map(|choice| choice.entry)
        };
        let with_hub = pick(true, true);
        let better = |entry: &&ModelEntry| {
            entry.rank.is_some() && (with_hub.is_none() || entry.rank < with_hub.and_then(|chosen| chosen.rank))
        };
        let restricted = catalogue.entries().iter().filter(|entry| !entry.open_licence && fits(entry, memory_bytes));
        Advice { memory_gib, with_hub, with_wheels: pick(false, true), restricted: restricted.clone().find(better) }
    };
    ADVICE_GIB.map(line).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const EVERYTHING: Reach = Reach { hub: true, wheels: true };
    const ONLY_WHEELS: Reach = Reach { hub: false, wheels: true };
    const NOTHING: Reach = Reach { hub: false, wheels: false };

    fn chosen(memory_bytes: u64, installed: &[&str], reach: Reach) -> Result<(String, bool), Error> {
        let catalogue = Catalogue::shipped().unwrap();
        let choice = choose(&catalogue, memory_bytes, |entry| installed.contains(&entry.name.as_str()), reach)?;
        Ok((choice.entry.name.clone(), choice.installed))
    }

    #[test]
    fn where_only_wheels_are_reached_the_coder_1_5b_is_chosen_from_4_gib_up() {
        for gib in [4, 8, 16, 64] {
            let (name, installed) = chosen(gib * GIB, &[], ONLY_WHEELS).unwrap();
            assert_eq!(name, "qwen2.5-coder-1.5b-instruct-q4_k_m", "{gib} GiB");
            assert!(!installed);
        }
        assert_eq!(chosen(2 * GIB, &[], ONLY_WHEELS).unwrap().0, "qwen2.5-coder-0.5b-instruct-q4_k_m");
    }

    #[test]
    fn where_the_hub_is_reached_the_best_that_fits_is_chosen() {
        assert_eq!(chosen(16 * GIB, &[], EVERYTHING).unwrap().0, "qwen3-4b-instruct-2507-q4_k_m");
        assert_eq!(chosen(32 * GIB, &[], EVERYTHING).unwrap().0, "qwen3-4b-instruct-2507-q4_k_m");
        assert_eq!(chosen(8 * GIB, &[], EVERYTHING).unwrap().0, "qwen2.5-coder-1.5b-instruct-q4_k_m");
    }

    #[test]
    fn a_restricted_licence_is_never_chosen_unless_the_user_installed_it() {
        let restricted = "qwen2.5-3b-instruct-q4_k_m";
        assert_ne!(chosen(8 * GIB, &[], EVERYTHING).unwrap().0, restricted);
        assert_eq!(chosen(8 * GIB, &[restricted], EVERYTHING).unwrap(), (restricted.to_owned(), true));
    }

    #[test]
    fn without_any_network_only_what_is_installed_counts() {
        assert!(matches!(chosen(16 * GIB, &[], NOTHING), Err(Error::NothingFits { .. })));
        let small = "smollm2-135m-instruct-q4_1";
        assert_eq!(chosen(16 * GIB, &[small], NOTHING).unwrap(), (small.to_owned(), true));
        assert!(matches!(chosen(GIB / 4, &[small], EVERYTHING), Err(Error::NothingFits { .. })));
        assert!(matches!(chosen(16 * GIB, &["all-minilm-l6-v2"], NOTHING), Err(Error::NothingFits { .. })));
    }

    #[test]
    fn advice_names_a_model_for_each_size_and_the_restricted_ones_apart() {
        let catalogue = Catalogue::shipped().unwrap();
        let lines = advice(&catalogue);
        let name = |entry: Option<&ModelEntry>| entry.map_or("", |entry| entry.name.as_str()).to_owned();
        let table: Vec<(u64, String, String, String)> = lines
            .iter()
            .map(|line| (line.memory_gib, name(line.with_hub), name(line.with_wheels), name(line.restricted)))
            .collect();
        let coder = "qwen2.5-coder-1.5b-instruct-q4_k_m";
        let four = "qwen3-4b-instruct-2507-q4_k_m";
        let row = |gib, hub: &str, restricted: &str| (gib, hub.to_owned(), coder.to_owned(), restricted.to_owned());
        assert_eq!(
            table,
            [row(4, coder, ""), row(8, coder, "qwen2.5-3b-instruct-q4_k_m"), row(16, four, ""), row(32, four, "")]
        );
    }
}
