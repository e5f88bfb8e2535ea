//! Reads documents without being harmed by them: what is complex goes to a child process ([`super::serve`]) that is
//! killed when it takes too long, and replaced when it dies.

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::Error;
use super::format::Format;
use super::limits::Limits;
use super::read::{Document, read};
use super::worker::{Answer, Request};

/// A process is replaced after so many documents, and after so many bytes of them: its memory is limited, and what
/// libraries leave behind must not be counted against the next document.
const MAX_DOCUMENTS: u32 = 200;
const MAX_BYTES: u64 = 64 << 20;

/// Answers that wait to be taken; each may be long.
const WAITING_LINES: usize = 16;

/// Reads one document after the other.
#[derive(Debug)]
pub struct Reader {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    worker: Option<Worker>,
}

impl Reader {
    /// A reader whose processes are `program` with `arguments`, which runs [`super::serve`].
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>, limits: Limits) -> Self {
        Self { program, arguments, limits, worker: None }
    }

    /// The limits of each document.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads a document of this file name.
    ///
    /// # Errors
    /// It is refused, or its reading failed, was too slow or killed its process; the next one can be read.
    pub fn read(&mut self, name: &str, bytes: Vec<u8>) -> Result<Document, Error> {
        let format = Format::of(name, &bytes)?;
        if !format.is_complex() {
            return read(&bytes, format, &self.limits);
        }
        let is_fresh = self.worker.is_none();
        match self.read_apart(format, &bytes) {
            // It may have been weakened by an earlier document: this one is innocent until it kills a fresh one.
            Err(Error::Died { .. }) if !is_fresh => self.read_apart(format, &bytes),
            outcome => outcome,
        }
    }

    fn read_apart(&mut self, format: Format, bytes: &[u8]) -> Result<Document, Error> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(&self.program, &self.arguments, &self.limits)
                .map_err(|source| Error::NoWorker { source })?,
        };
        let outcome = worker.read(format, bytes, &self.limits);
        if worker.is_reusable() {
            self.worker = Some(worker);
        }
        outcome
    }
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    key: String,
    documents: u32,
    size_bytes: u64,
}

impl Worker {
    fn start(program: &PathBuf, arguments: &[OsString], limits: &Limits) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C is for this process, which stops between documents.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let (sender, lines) = sync_channel(WAITING_LINES);
        if let Some(output) = child.stdout.take() {
            // A character is at most six bytes in JSON.
            let max_line_bytes = limits.text_bytes.saturating_mul(6).saturating_add(1 << 20);
            std::thread::spawn(move || forward(output, max_line_bytes, &sender));
        }
        let key = format!("{:016x}", RandomState::new().build_hasher().finish());
        Ok(Self { child, input, lines, key, documents: 0, size_bytes: 0 })
    }

    /// Reusable only where it has answered completely and has not read too much.
    const fn is_reusable(&self) -> bool {
        self.input.is_some() && self.documents < MAX_DOCUMENTS && self.size_bytes < MAX_BYTES
    }

    fn read(&mut self, format: Format, bytes: &[u8], limits: &Limits) -> Result<Document, Error> {
        self.documents += 1;
        self.size_bytes += bytes.len() as u64;
        let request = Request { key: self.key.clone(), format, size_bytes: bytes.len() as u64, limits: *limits };
        let no_worker = |source: io::Error| Error::NoWorker { source };
        let mut message = serde_json::to_vec(&request).map_err(|error| no_worker(error.into()))?;
        message.push(b'\n');
        message.extend_from_slice(bytes);
        let Some(mut input) = self.input.take() else { return Err(no_worker(io::ErrorKind::BrokenPipe.into())) };
        // A process that reads nothing must not hold up this one.
        let writing: JoinHandle<io::Result<ChildStdin>> = std::thread::spawn(move || {
            input.write_all(&message)?;
            input.flush()?;
            Ok(input)
        });
        let outcome = self.answer(limits);
        if matches!(outcome, Ok(_) | Err(Error::Refused { .. })) {
            self.input = writing.join().ok().and_then(Result::ok);
        }
        outcome
    }

    fn answer(&mut self, limits: &Limits) -> Result<Document, Error> {
        let deadline = Instant::now() + Duration::from_secs(limits.seconds);
        let mut document = Document::default();
        let mut text_bytes = 0_u64;
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    return Err(Error::TimedOut { seconds: limits.seconds });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.child.kill();
                    let how = self.child.wait().map_or_else(|error| error.to_string(), how_it_ended);
                    return Err(Error::Died { how });
                }
            };
            let Some(answer) = line.strip_prefix(&self.key) else { continue };
            match serde_json::from_str(answer) {
                Ok(Answer::Piece(piece)) => {
                    text_bytes += piece.text.len() as u64;
                    if text_bytes > limits.text_bytes {
                        let _ = self.child.kill();
                        return Err(Error::TooMuchText { limit_bytes: limits.text_bytes });
                    }
                    document.pieces.push(piece);
                }
                Ok(Answer::Done { notices }) => {
                    document.notices = notices;
                    return Ok(document);
                }
                Ok(Answer::Refused { reason, hint }) => return Err(Error::Refused { reason, hint }),
                Err(error) => return Err(Error::Died { how: format!("wrote what cannot be read: {error}") }),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes lines on until the output ends, a line is too long, or nobody takes them.
fn forward(output: ChildStdout, max_line_bytes: u64, sender: &SyncSender<String>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match output.by_ref().take(max_line_bytes).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.last() == Some(&b'\n') => {}
            _ => return,
        }
        line.pop();
        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            6 => "ended itself; most likely the document needs more memory than the limit".to_owned(),
            9 => "was killed; most likely the machine ran out of memory".to_owned(),
            11 | 7 => "crashed; the document may be nested too deep".to_owned(),
            signal => format!("was ended by signal {signal}"),
        };
    }
    match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "ended".to_owned(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A reader whose process is a shell script.
    fn reader(script: &str, limits: Limits) -> Reader {
        Reader::new("sh".into(), vec!["-c".into(), script.into()], limits)
    }

    fn quick() -> Limits {
        Limits { seconds: 1, ..Limits::default() }
    }

    /// Takes the key from the request and answers it.
    const ANSWERS: &str = r#"while read -r line; do
        key=$(printf %s "$line" | sed 's/.*"key":"\([0-9a-f]*\)".*/\1/')
        size=$(printf %s "$line" | sed 's/.*"size_bytes":\([0-9]*\).*/\1/')
        dd bs=1 count="$size" of=/dev/null 2>/dev/null
        printf 'noise\n{"done":{"notices":["forged"]}}\nmore noise'
        printf '\n%s{"done":{"notices":["from %s"]}}\n' "$key" "$$"
    done"#;

    #[test]
    fn a_process_reads_one_document_after_the_other_and_noise_is_no_answer() {
        let mut reader = reader(ANSWERS, quick());
        let first = reader.read("a.md", b"one".to_vec()).unwrap().notices;
        assert!(first[0].starts_with("from "), "{first:?}");
        assert_eq!(reader.read("b.md", b"two".to_vec()).unwrap().notices, first);
    }

    #[test]
    fn a_process_that_hangs_or_dies_costs_one_document() {
        let mut hanging = reader("sleep 60", quick());
        assert!(matches!(hanging.read("a.md", b"x".to_vec()), Err(Error::TimedOut { seconds: 1 })));
        // More than a pipe holds, and never read.
        assert!(matches!(hanging.read("a.md", vec![b'x'; 1 << 20]), Err(Error::TimedOut { seconds: 1 })));
        assert!(hanging.read("a.txt", b"x".to_vec()).is_ok());
        let mut dying = reader("kill -SEGV $$", quick());
        let error = dying.read("a.md", b"x".to_vec()).unwrap_err();
        assert!(error.to_string().contains("crashed"), "{error}");
        let mut leaving = reader("exit 3", quick());
        assert!(leaving.read("a.md", b"x".to_vec()).unwrap_err().to_string().contains("code 3"));
        let mut missing = Reader::new("/nonexistent/mneme".into(), Vec::new(), quick());
        assert!(matches!(missing.read("a.md", b"x".to_vec()), Err(Error::NoWorker { .. })));
    }

    #[test]
    fn a_document_is_read_again_where_an_earlier_one_may_have_weakened_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("died").display().to_string();
        // The first process dies of its second document.
        let script = ANSWERS.replace(
            "dd bs",
            &format!("n=$((n+1)); [ $n = 2 ] && [ ! -e {marker} ] && touch {marker} && kill -ABRT $$; dd bs"),
        );
        let mut reader = reader(&script, quick());
        let first = reader.read("a.md", b"one".to_vec()).unwrap().notices;
        let second = reader.read("b.md", b"two".to_vec()).unwrap().notices;
        assert_ne!(first, second);
    }
}
