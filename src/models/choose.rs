//! Which model a machine gets when the user names none.

use super::{Catalogue, Error, Kind, ModelEntry};

/// The part of the memory that a model may fill is 1 to this number: the rest is left to the user's programs.
const MEMORY_SHARE: u64 = 2;

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
}
