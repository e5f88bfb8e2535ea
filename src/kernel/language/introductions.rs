//! Who somebody is, where a message says so beside telling something else: "my partner Yusuf reads a lot". Small models note what
//! is told and not of whom. English alone, as notes are. Pure.

use super::wishes::TITLES;
use super::words::without_quotations;

/// Whose they are.
const OWNERS: [&str; 2] = ["my", "our"];
/// What people and animals are to each other.
#[rustfmt::skip]
const RELATIONS: [&str; 69] = [
    "aunt", "auntie", "baby", "boss", "boyfriend", "brother", "cat", "classmate", "coach", "colleague", "cousin", "coworker", "dad", "daddy",
    "daughter", "dentist", "doctor", "dog", "ex", "father", "fiance", "fiancee", "fiancé", "fiancée", "flatmate", "friend", "girlfriend",
    "goat", "godfather", "godmother", "gran", "grandad", "granddaughter", "grandfather", "grandma", "grandmother", "grandpa", "grandson",
    "granny", "hamster", "horse", "housemate", "husband", "kitten", "landlady", "landlord", "manager", "mate", "mom", "mother", "mum",
    "nan", "neighbor", "neighbour", "nephew", "niece", "parrot", "partner", "pony", "puppy", "rabbit", "roommate", "sister", "son",
    "teacher", "tortoise", "twin", "uncle", "wife",
];
/// What begins with a capital letter behind them and is nobody's name.
#[rustfmt::skip]
const NO_NAMES: [&str; 22] = [
    "April", "August", "Christmas", "December", "Easter", "February", "Friday", "January", "July", "June", "March", "May", "Monday", "November",
    "October", "Saturday", "September", "Sunday", "Thursday", "Tuesday", "Wednesday", "Who",
];
/// What may stand between: "my older sister Ann".
const BETWEEN: [&str; 12] =
    ["best", "big", "dear", "elder", "eldest", "little", "new", "old", "older", "twin", "younger", "youngest"];

/// Somebody who is named in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kernel) struct Introduced {
    relation: String,
    name: String,
}

impl Introduced {
    /// Whether a fact tells who it is.
    pub(in crate::kernel) fn is_told_by(&self, fact: &str) -> bool {
        let has = |wanted: &str| {
            fact.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word.eq_ignore_ascii_case(wanted))
        };
        has(&self.relation) && has(&self.name)
    }

    /// As a fact.
    pub(in crate::kernel) fn fact(&self) -> String {
        // Beginning with the name: another friend is no news of the first.
        format!("{} is the user's {}.", self.name, self.relation)
    }
}

/// Everybody whom a message names in passing, in the order of the text.
pub(in crate::kernel) fn introduced(message: &str) -> Vec<Introduced> {
    let own = without_quotations(message);
    let is_between = |word: &&str| BETWEEN.contains(&&*word.to_lowercase());
    let words: Vec<&str> = own.split_whitespace().filter(|word| !is_between(word)).collect();
    // What is shouted is no name.
    let begins = |text: &str| {
        let mut letters = text.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.any(char::is_lowercase)
    };
    let named = words.windows(3).filter_map(|three| {
        let [owner, relation, name] = three else { return None };
        let owner = owner.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let relation = relation.to_lowercase();
        let kind = relation.split('-').next().unwrap_or_default();
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
        let is_name = begins(&name) && !NO_NAMES.contains(&&*name) && !TITLES.contains(&&*name);
        (OWNERS.contains(&&*owner) && RELATIONS.contains(&kind) && is_name).then_some(Introduced { relation, name })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::introduced;

    #[test]
    fn who_is_named_in_passing_is_known() {
        let facts = |message: &str| introduced(message).iter().map(|one| one.fact()).collect::<Vec<_>>();
        for (message, fact) in [
            ("my partner Yusuf gets through a novel a week", "Yusuf is the user's partner."),
            ("it's my older sister Ann's turn", "Ann is the user's sister."),
            ("Saw (our dog Rex's vet) again", "Rex is the user's dog."),
            ("My brother-in-law Tom, he sings", "Tom is the user's brother-in-law."),
        ] {
            assert_eq!(facts(message), [fact]);
        }
        for other in [
            "I see my mum Friday",
            "my boss Mr Lem",
            "My sister, Anna and I",
            "my new Bike",
            "my sister is Ana",
            "MY DAD IS ILL",
            "I wrote 'my friend Tom' there",
            "",
        ] {
            assert_eq!(facts(other), [""; 0], "{other}");
        }
        let [yusuf] = &introduced("My partner Yusuf")[..] else { panic!("one is named") };
        assert!(yusuf.is_told_by("Yusuf, the user's partner, reads."));
        assert!(!yusuf.is_told_by("Yusuf reads.") && !yusuf.is_told_by("The user's partner reads."));
    }
}
