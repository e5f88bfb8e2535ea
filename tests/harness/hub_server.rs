//! A model hub on loopback: the routes that a download uses, and every way in which they go wrong.
//!
//! Two listeners: the hub itself and a second host ("cdn") that it redirects to, as the real one does.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub answers one GET; HEAD and later GETs are answered well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// A whole, right answer.
    Good,
    /// Announces everything, sends so many bytes, closes.
    CutAfter(usize),
    /// Announces everything, sends so many bytes, then keeps silent with the connection open.
    StallAfter(usize),
    /// The right number of wrong bytes.
    Tampered,
    /// 206 with a range that was not asked for.
    WrongRange,
    /// 200 with everything, whatever was asked.
    IgnoresRange,
    /// This status, for HEAD as well, until the mood is changed.
    Status(u16),
    /// The bytes lie on the other host.
    Redirect,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub on_cdn: bool,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct State {
    moods: VecDeque<Mood>,
    /// Names and bodies; one at least.
    files: Vec<(String, Vec<u8>)>,
    etag: Option<String>,
    /// Ending of the names of files whose etag is no sha256, as that of small files is.
    unhashed: Option<&'static str>,
    requests: Vec<Request>,
    sent_bytes: usize,
}

/// The server; its threads end with the test's process.
pub struct HubServer {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl HubServer {
    /// Serves `body` under `/owner/name/resolve/{main,COMMIT}/file.gguf`.
    pub fn start(body: &[u8]) -> Self {
        Self::start_with(&[("file.gguf", body)])
    }

    /// Serves files under their names in `/owner/name/resolve/{main,COMMIT}/`.
    pub fn start_with(files: &[(&str, &[u8])]) -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn_address = format!("http://{}", cdn.local_addr().unwrap());
        let endpoint = format!("http://{}", hub.local_addr().unwrap());
        let files = files.iter().map(|(name, body)| ((*name).to_owned(), body.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        for (listener, on_cdn) in [(hub, false), (cdn, true)] {
            let (state, cdn_address) = (Arc::clone(&state), cdn_address.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, cdn_address) = (Arc::clone(&state), cdn_address.clone());
                    // A client that hangs up early is part of the tests.
                    thread::spawn(move || drop(serve(stream, on_cdn, &cdn_address, &state)));
                }
            });
        }
        Self { endpoint, state }
    }

    /// Moods of the next GETs, in order; after them all is well.
    pub fn moods(&self, moods: &[Mood]) {
        self.state.lock().unwrap().moods = moods.iter().copied().collect();
    }

    /// Puts another file in the place of the first.
    pub fn replace(&self, body: &[u8]) {
        self.state.lock().unwrap().files[0].1 = body.to_vec();
    }

    /// The etag to give instead of the sha256.
    pub fn etag(&self, etag: &str) {
        self.state.lock().unwrap().etag = Some(etag.to_owned());
    }

    /// Files whose names end so have an etag that is no sha256.
    pub fn unhashed(&self, ending: &'static str) {
        self.state.lock().unwrap().unhashed = Some(ending);
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Bytes of bodies that were sent.
    pub fn sent_bytes(&self) -> usize {
        self.state.lock().unwrap().sent_bytes
    }
}

fn serve(mut stream: TcpStream, on_cdn: bool, cdn_address: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read_request(&mut reader, on_cdn)? else { return Ok(()) };
    let is_get = request.method == "GET";
    let (mood, name, body, etag) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let sticky = matches!(state.moods.front(), Some(Mood::Status(_) | Mood::Redirect));
        let mood = match state.moods.front() {
            Some(mood) if sticky && !(on_cdn && *mood == Mood::Redirect) => *mood,
            Some(_) if is_get && !on_cdn => state.moods.pop_front().unwrap(),
            _ => Mood::Good,
        };
        let folders = ["main", COMMIT].map(|revision| format!("/owner/name/resolve/{revision}/"));
        let name = folders.iter().map(String::as_str).chain(["/blob/"]).find_map(|at| request.path.strip_prefix(at));
        let Some((name, body)) = state.files.iter().find(|(file, _)| Some(file.as_str()) == name) else {
            let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\nconnection: close";
            return write!(stream, "{head}\r\n\r\nnot found");
        };
        let is_unhashed = state.unhashed.is_some_and(|ending| name.ends_with(ending));
        let etag = state.etag.clone().unwrap_or_else(|| if is_unhashed { COMMIT.to_owned() } else { sha256(body) });
        (mood, name.clone(), body.clone(), etag)
    };
    if let Mood::Status(status) = mood {
        return write!(stream, "HTTP/1.1 {status} No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    }
    let linked = format!(
        "x-repo-commit: {COMMIT}\r\nx-linked-size: {}\r\nx-linked-etag: \"{etag}\"\r\nconnection: close\r\n",
        body.len()
    );
    if mood == Mood::Redirect {
        let location = format!("location: {cdn_address}/blob/{name}\r\ncontent-length: 0\r\n");
        return write!(stream, "HTTP/1.1 302 Found\r\n{location}{linked}\r\n");
    }
    let from = request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: Option<usize> = if mood == Mood::IgnoresRange { None } else { from };
    if from.is_some_and(|from| from >= body.len()) {
        let range = format!("content-range: bytes */{}\r\ncontent-length: 0\r\n", body.len());
        return write!(stream, "HTTP/1.1 416 No\r\n{range}{linked}\r\n");
    }
    let mut rest = body[from.unwrap_or(0)..].to_vec();
    let head = match from {
        Some(from) => {
            let told = if mood == Mood::WrongRange { from - 1 } else { from };
            format!("206 Partial Content\r\ncontent-range: bytes {told}-{}/{}", body.len() - 1, body.len())
        }
        None => "200 OK".to_owned(),
    };
    write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {}\r\n{linked}\r\n", rest.len())?;
    if !is_get {
        return Ok(());
    }
    match mood {
        Mood::CutAfter(count) | Mood::StallAfter(count) => rest.truncate(count),
        Mood::Tampered => rest.iter_mut().for_each(|byte| *byte ^= 1),
        _ => {}
    }
    state.lock().unwrap().sent_bytes += rest.len();
    stream.write_all(&rest)?;
    stream.flush()?;
    if let Mood::StallAfter(_) = mood {
        thread::sleep(Duration::from_secs(30));
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead, on_cdn: bool) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request =
        Request { on_cdn, method: method.to_owned(), path: path.to_owned(), range: None, authorization: None };
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            return Ok(Some(request));
        }
        if let Some((name, value)) = header.split_once(':') {
            let value = Some(value.trim().to_owned());
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = value,
                "authorization" => request.authorization = value,
                _ => {}
            }
        }
    }
}

/// Lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
