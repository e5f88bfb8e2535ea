//! The naming rule for everything that becomes part of a path or of a command: agents, personas, sources, checkpoints.

/// Most characters of a name.
pub const MAX_NAME_CHARS: usize = 64;

/// A name breaks the naming rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a usable name: it takes 1 to {MAX_NAME_CHARS} of the characters A-Z a-z 0-9 . _ - and begins with \
     a letter or a digit"
)]
pub struct InvalidName {
    /// The name as given.
    pub name: String,
}

/// Checks a name against `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`; such a name cannot leave a folder.
///
/// # Errors
/// The name breaks the rule.
pub fn validate_name(name: &str) -> Result<(), InvalidName> {
    let first_is_fine = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest_is_fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if first_is_fine && rest_is_fine && name.len() <= MAX_NAME_CHARS {
        Ok(())
    } else {
        Err(InvalidName { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["a", "A1", "sam_pov", "v1.2-beta", &"x".repeat(64)] {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_or_confuse_a_shell_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "-rf", "_a", "a b", "é", "a\0", "a\n", &"x".repeat(65)] {
            assert!(validate_name(name).is_err(), "{name:?}");
        }
    }
}
