//! Choice of the dialect for a loaded model: its own format where template and vocabulary carry it, else the next
//! plainer one, with a notice that says why.

use crate::inference::{ModelIdentity, Vocab};

use super::chat::ChatTemplate;
use super::chatml_json::ChatmlJson;
use super::classic::Classic;
use super::hermes::{self, Hermes};
use super::{Dialect, Error, Profile, chatml};

/// The dialect to speak with a model.
pub struct Chosen {
    /// The dialect.
    pub dialect: Box<dyn Dialect>,
    /// What the user should know: something of the model file could not be used.
    pub notice: Option<String>,
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.dialect.name();
        formatter.debug_struct("Chosen").field("dialect", &name).field("notice", &self.notice).finish()
    }
}

/// Tries the model's own template with sample conversations and takes the best dialect that it carries.
///
/// # Errors
/// [`Error::NoTemplate`] or [`Error::Template`] where there is no sound template and the vocabulary does not have
/// ChatML's tokens either.
pub fn choose(identity: &ModelIdentity, vocab: &Vocab, profile: Profile) -> Result<Chosen, Error> {
    let (chat, notice) = chat_template(identity, vocab)?;
    if profile == Profile::Classic {
        return Ok(Chosen { dialect: Box::new(Classic::new(chat)), notice });
    }
    if notice.is_none() && hermes::has_tags(vocab) && chat.mentions("tools") {
        return Ok(match Hermes::new(chat.clone(), vocab) {
            Ok(dialect) => Chosen { dialect: Box::new(dialect), notice: None },
            Err(error) => Chosen {
                dialect: Box::new(ChatmlJson::new(chat)),
                notice: Some(format!("{error}; calls of {} are written as plain JSON", identity.name)),
            },
        });
    }
    Ok(Chosen { dialect: Box::new(ChatmlJson::new(chat)), notice })
}

/// The model's template, or the built-in one with a notice.
fn chat_template(identity: &ModelIdentity, vocab: &Vocab) -> Result<(ChatTemplate, Option<String>), Error> {
    let problem = match &identity.chat_template {
        Some(source) => match ChatTemplate::new(source, identity, vocab) {
            Ok(chat) => return Ok((chat, None)),
            Err(error) => error,
        },
        None => Error::NoTemplate { model: identity.name.clone() },
    };
    if !chatml::knows_chatml(vocab) {
        return Err(problem);
    }
    let cause = match &problem {
        Error::NoTemplate { model } => format!("the model {model} has no chat template"),
        other => other.to_string(),
    };
    let chat = ChatTemplate::new(chatml::TEMPLATE, identity, vocab)?;
    Ok((chat, Some(format!("{cause}; the built-in ChatML template is used"))))
}
