//! What the sampler sees of a grammar: the `Constraint` trait. The grammar engine implements it; `inference` only asks.

use super::TokenId;

/// A matcher's state broke or a limit was hit. Generation stops: an error never lifts the constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the grammar matcher stopped: {reason}")]
pub struct ConstraintError {
    /// What happened, with the numbers.
    pub reason: String,
}

impl ConstraintError {
    /// What to do about it where the grammar is the user's own.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        "use a grammar with fewer alternatives and counts within one another"
    }
}

/// Decides, token by token, what may be generated.
///
/// End-of-generation tokens are not asked about through [`Constraint::allows`]: they are legal exactly when
/// [`Constraint::may_end`] says so.
pub trait Constraint {
    /// Whether `token` may come next. False for every control token that the grammar does not name by id.
    ///
    /// # Errors
    /// A limit of the matcher was hit; every later call answers with the same error.
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError>;

    /// Takes `token` as generated.
    ///
    /// # Errors
    /// `token` was not allowed, or a limit was hit; every later call answers with the same error.
    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError>;

    /// Whether generation may end here.
    fn may_end(&self) -> bool;

    /// Whether generation must end here: it may end and nothing can follow.
    fn must_end(&self) -> bool;

    /// The bytes of text that must follow, as far as there is only one way to go on; empty where there is a choice,
    /// where generation may end, or where a control token is next.
    fn forced_bytes(&mut self) -> Vec<u8>;

    /// A control token that is the only thing that may come next.
    fn forced_token(&mut self) -> Option<TokenId>;

    /// Fills `allowed` with the ids of all tokens that may come next, ascending; used when a run of likely tokens
    /// was refused.
    ///
    /// # Errors
    /// A limit of the matcher was hit.
    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError>;
}

/// No grammar: any ordinary text, but no control token.
#[derive(Debug, Clone, Copy)]
pub struct Unconstrained<'a> {
    /// One flag a token: true where the token is ordinary text.
    pub is_text: &'a [bool],
}

impl Constraint for Unconstrained<'_> {
    fn allows(&mut self, token: TokenId) -> Result<bool, ConstraintError> {
        Ok(self.is_text.get(token.index()).copied().unwrap_or(false))
    }

    fn commit(&mut self, token: TokenId) -> Result<(), ConstraintError> {
        if self.allows(token)? {
            Ok(())
        } else {
            Err(ConstraintError { reason: format!("token {} is a control token", token.0) })
        }
    }

    fn may_end(&self) -> bool {
        true
    }

    fn must_end(&self) -> bool {
        false
    }

    fn forced_bytes(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn forced_token(&mut self) -> Option<TokenId> {
        None
    }

    fn allowed_tokens(&mut self, allowed: &mut Vec<TokenId>) -> Result<(), ConstraintError> {
        allowed.clear();
        allowed.extend((0_u32..).zip(self.is_text).filter(|(_, is_text)| **is_text).map(|(id, _)| TokenId(id)));
        Ok(())
    }
}
