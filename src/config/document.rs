//! Changing `config.toml` as a text: what the user has written around a setting stays.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table};

use super::{Config, ConfigFile, Error, Overrides};

/// The model, and the note that the program itself has chosen it: whoever sets the first takes the second back.
const MODEL: &str = "model";
const STOPGAP_MODEL: &str = "stopgap_model";

/// The text of a configuration file.
#[derive(Debug)]
pub struct Document {
    home: PathBuf,
    document: DocumentMut,
}

impl Document {
    /// Reads the file of `home`; an empty one where there is none.
    ///
    /// # Errors
    /// It cannot be read or is no TOML.
    pub fn read(home: &Path) -> Result<Self, Error> {
        let path = home.join(ConfigFile::NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::File { path, source }),
        };
        Self::parse(home, &text)
    }

    /// A file of `home` with this text.
    ///
    /// # Errors
    /// It is no TOML.
    pub fn parse(home: &Path, text: &str) -> Result<Self, Error> {
        let document = text.parse().map_err(|error: toml_edit::TomlError| invalid(home, &error.to_string()))?;
        Ok(Self { home: home.to_owned(), document })
    }

    /// Whether the file itself says what `key` (`temperature`, `queue.warn_fraction`) is.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        let mut item = Some(self.document.as_item());
        for part in key.split('.') {
            item = item.and_then(|item| item.get(part));
        }
        item.is_some()
    }

    /// Sets `key` to what `text` says: a TOML value where that is valid for it, else the text itself.
    ///
    /// # Errors
    /// Neither is valid; the document is as it was.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), Error> {
        let candidates = [text.parse::<toml_edit::Value>().ok(), Some(toml_edit::Value::from(text))];
        let mut first_error = None;
        for value in candidates.into_iter().flatten() {
            let mut changed = self.document.clone();
            insert(&mut changed, key, value);
            forget_stopgap(&mut changed, key);
            match check(&self.home, &changed.to_string()) {
                Ok(()) => {
                    self.document = changed;
                    return Ok(());
                }
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or_else(|| invalid(&self.home, "no value was given")))
    }

    /// Takes `key` out.
    ///
    /// # Errors
    /// What is left is not valid; the document is as it was.
    pub fn unset(&mut self, key: &str) -> Result<(), Error> {
        let mut changed = self.document.clone();
        match key.split_once('.') {
            None => _ = changed.remove(key),
            Some((table, key)) => {
                _ = changed.get_mut(table).and_then(Item::as_table_like_mut).and_then(|table| table.remove(key));
            }
        }
        forget_stopgap(&mut changed, key);
        check(&self.home, &changed.to_string())?;
        self.document = changed;
        Ok(())
    }

    /// Refuses a text that is no valid configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        check(&self.home, &self.document.to_string())
    }

    /// Where `model` is another one than in `before`, or none any more, the user has chosen: it is no stopgap.
    pub fn settle_model(&mut self, before: &Self) {
        let model = |document: &Self| document.document.get(MODEL).and_then(Item::as_str).map(str::to_owned);
        if model(self) != model(before) {
            forget_stopgap(&mut self.document, MODEL);
        }
    }

    /// Makes the document say what `file` says; what it says already stays as it is written, and what it leaves to the
    /// defaults stays out of it.
    pub(super) fn become_like(&mut self, file: &ConfigFile) -> Result<(), Error> {
        let wanted = table_of(&self.home, file)?;
        let present = table_of(&self.home, &parsed(&self.home, &self.document.to_string())?)?;
        let surplus: Vec<String> =
            self.document.iter().map(|(key, _)| key.to_owned()).filter(|key| !wanted.contains_key(key)).collect();
        for key in surplus {
            self.document.remove(&key);
        }
        for (key, value) in wanted.into_iter().filter(|(key, value)| present.get(key) != Some(value)) {
            match value {
                toml::Value::Table(values) => {
                    let present = |inner: &str| present.get(&key).and_then(|table| table.get(inner));
                    for (inner, value) in values.into_iter().filter(|(inner, value)| present(inner) != Some(value)) {
                        insert_text(&mut self.document, &format!("{key}.{inner}"), &value.to_string(), &self.home)?;
                    }
                }
                value => insert_text(&mut self.document, &key, &value.to_string(), &self.home)?,
            }
        }
        Ok(())
    }

    /// Writes the file in one step: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self) -> Result<(), Error> {
        let path = self.home.join(ConfigFile::NAME);
        let fail = |source| Error::File { path: path.clone(), source };
        let mut file = tempfile::NamedTempFile::new_in(&self.home).map_err(fail)?;
        std::io::Write::write_all(&mut file, self.document.to_string().as_bytes()).map_err(fail)?;
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|error| fail(error.error))?;
        Ok(())
    }
}

/// The settings of a file by key.
fn table_of(home: &Path, file: &ConfigFile) -> Result<toml::Table, Error> {
    // By way of the text: a number of 32 bits is then spelled as short as it was given.
    let text = toml::to_string(file).map_err(|error| invalid(home, &error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| invalid(home, &error.to_string()))
}

fn invalid(home: &Path, reason: &str) -> Error {
    Error::Invalid { path: home.join(ConfigFile::NAME), reason: reason.trim_end().to_owned() }
}

fn check(home: &Path, text: &str) -> Result<(), Error> {
    Config::new(home.to_owned(), parsed(home, text)?, Overrides::default()).map(drop)
}

fn parsed(home: &Path, text: &str) -> Result<ConfigFile, Error> {
    toml::from_str(text).map_err(|error| invalid(home, &error.to_string()))
}

/// Setting `key` or taking it out is a choice of the user's: where it is that of the model, no stopgap stands any more.
fn forget_stopgap(document: &mut DocumentMut, key: &str) {
    if key == MODEL {
        document.remove(STOPGAP_MODEL);
    }
}

fn insert_text(document: &mut DocumentMut, key: &str, text: &str, home: &Path) -> Result<(), Error> {
    let value = text.parse().map_err(|error: toml_edit::TomlError| invalid(home, &error.to_string()))?;
    insert(document, key, value);
    Ok(())
}

/// Puts a value into the place of an old one; a comment behind the old one stays.
fn insert(document: &mut DocumentMut, key: &str, mut value: toml_edit::Value) {
    let (table, key) = match key.split_once('.') {
        None => (document.as_table_mut() as &mut dyn toml_edit::TableLike, key),
        Some((name, key)) => {
            let item = document.entry(name).or_insert_with(|| Item::Table(Table::new()));
            if !item.is_table_like() {
                *item = Item::Table(Table::new());
            }
            match item.as_table_like_mut() {
                Some(table) => (table, key),
                None => return,
            }
        }
    };
    value.decor_mut().clear();
    match table.get_mut(key) {
        Some(item) => {
            if let Some(old) = item.as_value() {
                *value.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(value);
        }
        None => _ = table.insert(key, Item::Value(value)),
    }
}

/// Every setting by its dotted key, with the value that holds; none where the program chooses it when it starts.
///
/// # Errors
/// The file of `home` is not valid.
pub fn effective(home: &Path) -> Result<Vec<(String, Option<toml::Value>)>, Error> {
    settings_of(home, ConfigFile::read(home)?)
}

/// The same without any file: what there is to set, whether or not the file is valid.
///
/// # Errors
/// The defaults contradict each other.
pub fn defaults() -> Result<Vec<(String, Option<toml::Value>)>, Error> {
    settings_of(Path::new(""), ConfigFile::default())
}

fn settings_of(home: &Path, file: ConfigFile) -> Result<Vec<(String, Option<toml::Value>)>, Error> {
    let config = Config::new(home.to_owned(), file, Overrides::default())?;
    let mut settings: Vec<(String, Option<toml::Value>)> = Vec::new();
    let full = table_of(home, &config.as_file())?;
    for key in ["model", "context_window"] {
        if !full.contains_key(key) {
            settings.push((key.to_owned(), None));
        }
    }
    for (key, value) in full {
        match value {
            toml::Value::Table(inner) => {
                settings.extend(inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), Some(value))));
            }
            value => settings.push((key, Some(value))),
        }
    }
    settings.sort_by(|(left, _), (right, _)| (left.contains('.'), left).cmp(&(right.contains('.'), right)));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# mine\nseed = 3 # lucky\n\n[queue]\n# early\nwarn_fraction = 0.6\n";

    fn document_of(home: &Path) -> Document {
        Document::parse(home, TEXT).unwrap()
    }

    #[test]
    fn a_setting_is_changed_and_the_comments_stay() {
        let home = tempfile::tempdir().unwrap();
        let mut document = document_of(home.path());
        document.set("seed", "4").unwrap();
        document.set("temperature", "0.5").unwrap();
        document.set("profile", "classic").unwrap();
        document.set("model", "7").unwrap();
        document.set("queue.keep_last_messages", "5").unwrap();
        document.write().unwrap();
        let text = std::fs::read_to_string(home.path().join(ConfigFile::NAME)).unwrap();
        for part in ["# mine\nseed = 4 # lucky\n", "# early\nwarn_fraction = 0.6\n", "model = \"7\"\n"] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let file = ConfigFile::read(home.path()).unwrap();
        assert_eq!((file.temperature, file.seed), (Some(0.5), Some(4)));
        assert_eq!(file.queue.unwrap().keep_last_messages, 5);
        assert!(document.has("queue.keep_last_messages") && !document.has("queue.stub_chars"));
        document.unset("queue.warn_fraction").unwrap();
        document.unset("seed").unwrap();
        assert!(!document.has("seed") && !document.has("queue.warn_fraction"));
    }

    #[test]
    fn what_is_not_valid_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut document = document_of(home.path());
        for (key, value) in [("temperature", "9"), ("temperature", "warm"), ("sed", "4"), ("queue.warn_fraction", "7")]
        {
            assert!(document.set(key, value).is_err(), "{key} = {value}");
        }
        assert_eq!(document.document.to_string(), TEXT);
    }

    #[test]
    fn what_the_program_writes_leaves_the_comments() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(ConfigFile::NAME), TEXT).unwrap();
        let mut file = ConfigFile::read(home.path()).unwrap();
        file.model = Some("m".to_owned());
        file.seed = None;
        file.write(home.path()).unwrap();
        assert_eq!(ConfigFile::read(home.path()).unwrap(), file);
        let text = std::fs::read_to_string(home.path().join(ConfigFile::NAME)).unwrap();
        assert!(text.contains("# early\nwarn_fraction = 0.6"), "{text}");
    }

    #[test]
    fn what_the_program_writes_leaves_the_defaults_out() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(ConfigFile::NAME), TEXT).unwrap();
        let mut file = ConfigFile::read(home.path()).unwrap();
        file.model = Some("m".to_owned());
        file.queue.as_mut().unwrap().keep_last_messages = 5;
        file.write(home.path()).unwrap();
        assert_eq!(ConfigFile::read(home.path()).unwrap(), file);
        let document = Document::read(home.path()).unwrap();
        assert!(document.has("queue.warn_fraction") && document.has("queue.keep_last_messages"));
        assert!(!document.has("queue.stub_chars"), "{}", document.document);
    }

    #[test]
    fn a_model_that_the_user_chooses_is_no_stopgap() {
        let home = tempfile::tempdir().unwrap();
        let stopgap = || Document::parse(home.path(), "model = \"m\"\nstopgap_model = \"m\"\n").unwrap();
        let (mut set, mut unset, mut other) = (stopgap(), stopgap(), stopgap());
        set.set("model", "m").unwrap();
        assert_eq!(set.document.to_string(), "model = \"m\"\n");
        unset.unset("model").unwrap();
        assert_eq!(unset.document.to_string(), "");
        other.set("seed", "4").unwrap();
        assert!(other.has("stopgap_model"));
        other.settle_model(&stopgap());
        assert!(other.has("stopgap_model"), "the model is as it was");
        let mut edited = Document::parse(home.path(), "model = \"n\"\nstopgap_model = \"n\"\n").unwrap();
        edited.settle_model(&stopgap());
        assert!(edited.has("model") && !edited.has("stopgap_model"));
    }

    #[test]
    fn every_setting_has_a_value_or_is_chosen_at_the_start() {
        let home = tempfile::tempdir().unwrap();
        let settings = effective(home.path()).unwrap();
        let value = |key: &str| settings.iter().find(|(known, _)| known == key).unwrap().1.clone();
        assert_eq!(value("persona"), Some(toml::Value::from("mneme")));
        assert_eq!(value("model"), None);
        assert!(value("queue.warn_fraction").is_some());
        assert_eq!(settings.iter().filter(|(_, value)| value.is_none()).count(), 2);
    }
}
