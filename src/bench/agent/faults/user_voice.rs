//! The agent speaks as the user: it begins as the user's label, or goes on with the dialogue by itself.

/// Names before a colon that stand for a role.
const ROLES_WITH_COLON: [&str; 5] = ["user", "human", "assistant", "ai", "system"];
/// Names before `>` that stand for a role: the prompt of this program's own terminal among them.
const ROLES_WITH_PROMPT: [&str; 3] = ["you", "user", "mneme"];
/// What may stand around a label: Markdown and quotes.
const ORNAMENT: [char; 7] = ['*', '_', '#', '"', '\'', '`', '['];

/// Whether a line begins with the label of a role.
pub(super) fn speaks_as_user(reply: &str) -> bool {
    reply.lines().any(begins_with_label)
}

fn begins_with_label(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || ORNAMENT.contains(&c)).to_lowercase();
    let is_label = |role: &str, mark: char| {
        let rest = line.strip_prefix(role).map(|rest| rest.trim_start_matches(['*', '_', ']', ' ']));
        rest.is_some_and(|rest| rest.starts_with(mark))
    };
    ROLES_WITH_COLON.iter().any(|role| is_label(role, ':')) || ROLES_WITH_PROMPT.iter().any(|role| is_label(role, '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_roles_at_the_beginning_of_a_line_are_found() {
        for reply in [
            "User: What is my name?",
            "user:hi",
            "you> hello",
            "Your cat is Pudding.\nUser: And my dog?\nAssistant: Rex.",
            "Fine.\n\n**Human:** and you?",
            "**User**: hi",
            "[user]: hi",
        ] {
            assert!(speaks_as_user(reply), "{reply}");
        }
        for reply in [
            "You: are you sure?",
            "Users: there are many.",
            "The user: that is you.",
            "I am human: I err.",
            "you are > me",
            "",
        ] {
            assert!(!speaks_as_user(reply), "{reply}");
        }
    }
}
