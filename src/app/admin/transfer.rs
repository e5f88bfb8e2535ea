//! `mneme export` and `mneme import`: files are opened, unpacked and bounded here; what they hold is `memory`'s.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::Error as Failure;
use super::super::output::stdout;
use super::{Done, Error, home, open_store};
use crate::cli::{ExitCode, ExportArgs, ExportFormat, ImportArgs};
use crate::memory::{self, AgentForm, Chats, FileKind, Transferred, recognise};
use crate::types::irregular_file;
use crate::ui::sanitize;

/// First bytes of a zip archive.
const ZIP_MAGIC: &[u8; 4] = b"PK\x03\x04";
/// What the conversations in an archive of ChatGPT or Claude are called.
const CONVERSATIONS: &str = "conversations";
/// Most bytes that the members of an archive may unpack to, all of them together.
const MAX_UNPACKED_BYTES: u64 = 8 << 30;
/// How many times larger than packed they may be; JSON of talk is packed to a tenth, rarely to a fiftieth.
const MAX_RATIO: u64 = 200;
/// Up to this size they may be packed as well as they like: long runs of blanks are no bomb.
const RATIO_FROM_BYTES: u64 = 1 << 20;
/// Most members of an archive: exports hold a file for each picture.
const MAX_MEMBERS: usize = 200_000;

pub(super) fn export(arguments: &ExportArgs) -> Done {
    let store = open_store(&home()?)?;
    let (form, ending) = match arguments.format {
        ExportFormat::Mneme => (AgentForm::Mneme, "jsonl"),
        ExportFormat::Af => (AgentForm::Letta, "af"),
    };
    if arguments.with_sources && form == AgentForm::Letta {
        return Err(Error::NoDocuments.into());
    }
    // Refused before a file is made.
    store.view(&arguments.agent)?;
    let target = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{ending}", arguments.agent)));
    let done = if target.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        store.export_agent(&arguments.agent, form, arguments.with_sources, &mut out).map_err(|error| match error {
            memory::Error::Transfer { source, .. } => Failure::Output(source),
            error => error.into(),
        })?
    } else {
        let done = export_to(&store, arguments, form, &target)?;
        writeln!(stdout(), "{}: {}", sanitize(&target.display().to_string()), counts(&done))?;
        done
    };
    done.notices.iter().for_each(|notice| super::super::output::tell(notice));
    Ok(ExitCode::Ok)
}

/// Writes a file that appears when it is whole, readable for its owner only.
fn export_to(
    store: &memory::Store,
    arguments: &ExportArgs,
    form: AgentForm,
    target: &Path,
) -> Result<Transferred, Failure> {
    if target.exists() {
        return Err(memory::Error::FileExists { path: target.to_owned() }.into());
    }
    let fail = |source| memory::Error::Transfer { operation: "write the export", source };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    let mut out = std::io::BufWriter::new(file.as_file_mut());
    let done = store.export_agent(&arguments.agent, form, arguments.with_sources, &mut out)?;
    drop(out);
    file.as_file().sync_all().map_err(fail)?;
    file.persist_noclobber(target).map_err(|error| fail(error.error))?;
    Ok(done)
}

fn counts(done: &Transferred) -> String {
    let parts = [
        (done.messages, "messages"),
        (done.passages, "passages"),
        (done.edits, "edits of core memory"),
        (done.checkpoints, "checkpoints"),
    ];
    let documents = (done.documents > 0).then_some((done.documents, "documents of sources"));
    let parts = parts.into_iter().chain(documents).map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

pub(super) fn import(arguments: &ImportArgs) -> Done {
    let path = &arguments.file;
    let mut file = open(path)?;
    let is_zip = starts_with_zip(&mut file).map_err(|error| unreadable(path, error.to_string()))?;
    let home = home()?;
    let mut store = open_store(&home)?;
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} read") {
        bar.set_style(style);
    }
    let mut progress = |count: u64| bar.set_position(count);
    let code = if is_zip {
        let agent = agent_for_chats(arguments)?;
        import_archive(&mut store, path, file, agent, &mut progress)
    } else {
        let kind =
            recognise(&mut BufReader::new(&mut file)).ok_or_else(|| Error::NotImportable { path: path.clone() })?;
        file.rewind().map_err(|error| unreadable(path, error.to_string()))?;
        match kind {
            FileKind::Agent(form) => {
                let name = arguments.agent.as_deref();
                let done = store.import_agent(form, &mut BufReader::new(file), name, &mut progress)?;
                bar.finish_and_clear();
                let mut out = stdout();
                writeln!(out, "The agent {} is there: {}.", done.agent, counts(&done))?;
                for notice in &done.notices {
                    writeln!(out, "{}", sanitize(notice))?;
                }
                return Ok(ExitCode::Ok);
            }
            FileKind::Chats | FileKind::ChatLines => {
                let agent = agent_for_chats(arguments)?;
                let mut input = BufReader::new(file);
                let mut read = |chats: &mut Chats<'_>| match kind {
                    FileKind::ChatLines => chats.read_lines(&mut input),
                    _ => chats.read_document(&mut input),
                };
                store.import_chats(agent, &mut read, &mut progress).map_err(Into::into)
            }
        }
    };
    bar.finish_and_clear();
    let done = code?;
    writeln!(
        stdout(),
        "{} messages of {} conversations are in the recall storage of {} now; {} were there already, {} were left out \
         (empty, too long, hidden, or of neither side).",
        done.added,
        done.conversations,
        arguments.agent.as_deref().unwrap_or_default(),
        done.known,
        done.skipped
    )?;
    Ok(ExitCode::Ok)
}

fn agent_for_chats(arguments: &ImportArgs) -> Result<&str, Error> {
    arguments.agent.as_deref().ok_or_else(|| Error::NeedsAgent { path: arguments.file.clone() })
}

fn unreadable(path: &Path, reason: String) -> Error {
    Error::Unreadable { path: path.to_owned(), reason }
}

/// Opens a regular file; a pipe or device could keep the program waiting for ever.
fn open(path: &Path) -> Result<File, Error> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error.to_string()))?;
    if let Some(found) = irregular_file(&metadata) {
        return Err(unreadable(path, format!("it is {found}")));
    }
    File::open(path).map_err(|error| unreadable(path, error.to_string()))
}

fn starts_with_zip(file: &mut File) -> std::io::Result<bool> {
    let mut head = Vec::new();
    Read::by_ref(file).take(ZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == ZIP_MAGIC)
}

/// The conversations in an archive. Members are read as a stream: neither the disk nor the memory ever holds one.
fn import_archive(
    store: &mut memory::Store,
    path: &Path,
    file: File,
    agent: &str,
    progress: &mut dyn FnMut(u64),
) -> Result<memory::ChatImport, Failure> {
    let size_bytes = file.metadata().map_err(|error| unreadable(path, error.to_string()))?.len();
    let mut archive = zip::ZipArchive::new(file).map_err(|error| unreadable(path, error.to_string()))?;
    if archive.len() > MAX_MEMBERS {
        return Err(unreadable(path, format!("it holds more than {MAX_MEMBERS} files")).into());
    }
    let mut names: Vec<String> = archive
        .file_names()
        .filter_map(|name| name.ok().map(std::borrow::Cow::into_owned))
        .filter(|name| is_conversations(name))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(Error::NotImportable { path: path.to_owned() }.into());
    }
    // The sizes that an archive states are its author's word, and members may share their bytes: what comes out of all
    // of them together is held against the size of the file.
    let mut left_bytes = size_bytes.saturating_mul(MAX_RATIO).clamp(RATIO_FROM_BYTES, MAX_UNPACKED_BYTES);
    let mut read = |chats: &mut Chats<'_>| -> memory::Result<()> {
        for name in &names {
            let damaged = |error: zip::result::ZipError| memory::Error::BadImport {
                line: None,
                reason: format!("{name}: {error}"),
            };
            let member = archive.by_name(name).map_err(damaged)?;
            let by_ratio = member.compressed_size().saturating_mul(MAX_RATIO).max(RATIO_FROM_BYTES);
            let limit_bytes = by_ratio.min(left_bytes);
            let mut unpacked = Unpacked { member, limit_bytes, read_bytes: 0 };
            chats.read_document(&mut BufReader::new(&mut unpacked))?;
            left_bytes = left_bytes.saturating_sub(unpacked.read_bytes);
        }
        Ok(())
    };
    Ok(store.import_chats(agent, &mut read, progress)?)
}

fn is_conversations(name: &str) -> bool {
    let file_name = name.rsplit('/').next().unwrap_or(name);
    file_name.starts_with(CONVERSATIONS) && file_name.ends_with(".json")
}

/// A member of an archive that fails where more comes out of it than should.
struct Unpacked<R> {
    member: R,
    limit_bytes: u64,
    read_bytes: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.member.read(buffer)?;
        self.read_bytes += read as u64;
        if self.read_bytes > self.limit_bytes {
            let limit = self.limit_bytes;
            return Err(std::io::Error::other(format!("it unpacks to more than {limit} bytes: a zip bomb?")));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_ends_in_an_error_where_more_comes_out_than_should() {
        let read = |limit_bytes| {
            let mut unpacked = Unpacked { member: [b' '; 100].as_slice(), limit_bytes, read_bytes: 0 };
            std::io::copy(&mut unpacked, &mut std::io::sink())
        };
        assert_eq!(read(100).unwrap(), 100);
        assert!(read(99).unwrap_err().to_string().contains("zip bomb"));
    }
}
