//! The hub's routes: what a file is (HEAD) and its bytes (GET with a range), redirects followed by hand.
//!
//! The `hf-hub` crate knows names and addresses; it is not used for the bodies, because it checks neither the status
//! of a resumed answer nor the final length, and waits for ever for a silent server. Redirects are ours because the
//! user's token must not go to another host, and because the hub tells size and sha256 in the redirect itself.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;

use hf_hub::{Repo, RepoType};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::part::Part;
use super::{Fault, POLL};
use crate::models::catalogue::is_sha256;
use crate::models::{Error, Failure, HubFile, HubSettings, Limits, Progress};
use crate::types::Cancel;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// Bytes read from the network at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Chunks that may wait for the disk.
const WAITING_CHUNKS: usize = 4;

/// A client of one hub.
pub(super) struct Hub<'a> {
    settings: &'a HubSettings,
    limits: &'a Limits,
    cancel: &'a Cancel,
    direct: Agent,
    proxied: Agent,
}

/// What the hub says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Commit that the revision stands for now.
    pub(super) commit: Option<String>,
    /// Its sha256, where the etag is one (files in large-file storage).
    pub(super) sha256: Option<String>,
    /// Its size.
    pub(super) size_bytes: Option<u64>,
}

#[derive(Clone, Copy)]
enum Method {
    Head,
    Get { from_byte: u64 },
}

impl<'a> Hub<'a> {
    /// A client; nothing is connected yet.
    pub(super) fn new(settings: &'a HubSettings, limits: &'a Limits, cancel: &'a Cancel) -> Result<Self, Failure> {
        let tls = tls(settings)?;
        let agent = |proxy: Option<Proxy>| {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_resolve(Some(limits.connect_timeout))
                .timeout_connect(Some(limits.connect_timeout))
                .timeout_per_read(Some(limits.stall_timeout))
                .timeout_per_write(Some(limits.stall_timeout))
                .accept_encoding("identity")
                .user_agent(concat!("mneme/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .proxy(proxy)
                .build();
            Agent::new_with_config(config)
        };
        Ok(Self { settings, limits, cancel, direct: agent(None), proxied: agent(Proxy::try_from_env()) })
    }

    /// What the file is, without its bytes.
    pub(super) fn metadata(&self, source: &HubFile) -> Result<Metadata, Fault> {
        let url = self.url(source, &source.revision);
        // The first redirect to another host leads to the bytes; its own headers tell what they are.
        let (status, headers) = self.follow(&url, Method::Head, true).map(|answer| (answer.status(), answer))?;
        let headers = headers.headers();
        if !status.is_redirection() {
            refuse(status)?;
        }
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let sha256 = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase());
        let own_length = if status.is_redirection() { None } else { text(headers, "content-length") };
        let length = text(headers, "x-linked-size").or(own_length);
        let size_bytes = match length {
            None => None,
            Some(length) => match length.trim().parse() {
                Ok(0) | Err(_) => return Err(wrong(format!("it gives the size {length:?}"))),
                Ok(size_bytes) => Some(size_bytes),
            },
        };
        Ok(Metadata {
            commit: text(headers, "x-repo-commit").filter(|commit| is_commit(commit)).map(str::to_owned),
            sha256: sha256.filter(|sha256| is_sha256(sha256)),
            size_bytes,
        })
    }

    /// Appends the missing bytes of the file to `part`. What has arrived stays there, whatever happens.
    pub(super) fn body(
        &self,
        source: &HubFile,
        metadata: &Metadata,
        size_bytes: u64,
        part: &mut Part,
        progress: &mut dyn Progress,
    ) -> Result<(), Fault> {
        // The commit rather than the branch: what is resumed is what was begun.
        let url = self.url(source, metadata.commit.as_deref().unwrap_or(&source.revision));
        let from_byte = part.length_bytes();
        let answer = self.follow(&url, Method::Get { from_byte }, false)?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => check_range(answer.headers(), from_byte, size_bytes)?,
            StatusCode::OK => {
                if from_byte > 0 {
                    // This server knows no ranges: it sends everything again.
                    part.restart()?;
                    progress.advance_to(0);
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart()?;
                return Err(wrong(format!("it has no byte {from_byte} of {size_bytes}")));
            }
            status => {
                refuse(status)?;
                return Err(wrong(format!("it answers a request for bytes with status {}", status.as_u16())));
            }
        }
        let missing_bytes = size_bytes - part.length_bytes();
        if let Some(length) = answer.body().content_length()
            && length != missing_bytes
        {
            return Err(wrong(format!("it announces {length} bytes where {missing_bytes} are missing")));
        }
        self.copy(answer.into_body(), size_bytes, part, progress)
    }

    fn copy(&self, body: Body, size_bytes: u64, part: &mut Part, progress: &mut dyn Progress) -> Result<(), Fault> {
        let (sender, receiver) = mpsc::sync_channel(WAITING_CHUNKS);
        thread::spawn(move || read_chunks(body, &sender));
        loop {
            let chunk = match receiver.recv_timeout(POLL) {
                Ok(chunk) => chunk,
                Err(RecvTimeoutError::Timeout) => {
                    self.go_on()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) if part.length_bytes() == size_bytes => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(broken(part, size_bytes).into()),
            };
            match chunk {
                Ok(bytes) => {
                    if part.length_bytes() + bytes.len() as u64 > size_bytes {
                        return Err(wrong(format!("it sends more than {size_bytes} bytes")));
                    }
                    part.write(&bytes)?;
                    progress.advance_to(part.length_bytes());
                }
                Err(ureq::Error::Timeout(_)) => return Err(self.stalled(part.length_bytes(), size_bytes).into()),
                Err(_) => return Err(broken(part, size_bytes).into()),
            }
            self.go_on()?;
        }
    }

    fn stalled(&self, received_bytes: u64, expected_bytes: u64) -> Failure {
        let waited_ms = u64::try_from(self.limits.stall_timeout.as_millis()).unwrap_or(u64::MAX);
        Failure::Stalled { waited_ms, received_bytes, expected_bytes }
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.cancel.is_raised() { Err(Error::Cancelled { name: "the download".into() }) } else { Ok(()) }
    }

    fn url(&self, source: &HubFile, revision: &str) -> String {
        let repo = Repo::with_revision(source.repo.clone(), RepoType::Model, revision.to_owned());
        format!("{}/{}/resolve/{}/{}", self.settings.endpoint, repo.url(), repo.url_revision(), source.file)
    }

    /// Sends a request and follows redirects; with `stay` only those within the endpoint's own origin.
    fn follow(&self, url: &str, method: Method, stay: bool) -> Result<Response<Body>, Fault> {
        let mut uri = parse(url)?;
        let home = origin(&uri);
        for _ in 0..=MAX_REDIRECTS {
            let at_home = origin(&uri) == home;
            let answer = self.send(&uri, method, at_home)?;
            let location = text(answer.headers(), "location").filter(|_| answer.status().is_redirection());
            let Some(location) = location else { return Ok(answer) };
            let next = join(&uri, location)?;
            if uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(wrong("it redirects from https to a connection that is not protected".into()));
            }
            if stay && origin(&next) != home {
                return Ok(answer);
            }
            uri = next;
        }
        Err(wrong(format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    fn send(&self, uri: &Uri, method: Method, with_token: bool) -> Result<Response<Body>, Fault> {
        let agent = if is_loopback(uri) { &self.direct } else { &self.proxied };
        let mut request = match method {
            Method::Head => agent.head(uri.clone()),
            Method::Get { .. } => agent.get(uri.clone()),
        };
        if let Method::Get { from_byte: from_byte @ 1.. } = method {
            request = request.header("range", format!("bytes={from_byte}-"));
        }
        if let Some(token) = self.settings.token.as_ref().filter(|_| with_token) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        // The receiver is gone where the user stopped it: nobody wants the answer then.
        thread::spawn(move || drop(sender.send(request.call())));
        let answer = loop {
            match receiver.recv_timeout(POLL) {
                Ok(answer) => break answer,
                Err(RecvTimeoutError::Timeout) => self.go_on()?,
                Err(RecvTimeoutError::Disconnected) => return Err(wrong("the request could not be made".into())),
            }
        };
        answer.map_err(|error| match error {
            ureq::Error::Timeout(ureq::Timeout::PerRead) => self.stalled(0, 0).into(),
            error => Failure::Offline { host: origin(uri).1, reason: error.to_string() }.into(),
        })
    }
}

/// Reads the body to its end in a thread of its own, so that Ctrl-C is heard while the network is silent. The thread
/// ends with the body, with the stall time-out, or when nobody listens any more.
fn read_chunks(body: Body, sender: &SyncSender<Result<Vec<u8>, ureq::Error>>) {
    let mut reader = body.into_reader();
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let result = match reader.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                Ok(chunk)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(ureq::Error::from(error)),
        };
        let failed = result.is_err();
        if sender.send(result).is_err() || failed {
            return;
        }
    }
}

/// Trust: the file that `SSL_CERT_FILE` names (networks with their own authority), else the roots that are built in.
fn tls(settings: &HubSettings) -> Result<TlsConfig, Failure> {
    let Some(path) = &settings.ca_file else { return Ok(TlsConfig::default()) };
    let unusable = |reason: String| Failure::BadCertificates { path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            Ok(_) | Err(_) => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build())
}

fn wrong(reason: String) -> Fault {
    Failure::BadAnswer { reason }.into()
}

fn broken(part: &Part, expected_bytes: u64) -> Failure {
    Failure::Truncated { received_bytes: part.length_bytes(), expected_bytes }
}

fn refuse(status: StatusCode) -> Result<(), Failure> {
    match status.as_u16() {
        200..=299 => Ok(()),
        status @ (401 | 403) => Err(Failure::Gated { status }),
        status @ (404 | 410) => Err(Failure::Missing { status }),
        status => Err(Failure::Server { status }),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A commit goes into an address: nothing but hex digits may.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The range that the server says it sends must be the rest of the file.
fn check_range(headers: &HeaderMap, from_byte: u64, size_bytes: u64) -> Result<(), Fault> {
    let found = text(headers, "content-range").unwrap_or_default();
    let wanted = format!("bytes {from_byte}-{}/{size_bytes}", size_bytes - 1);
    if found == wanted { Ok(()) } else { Err(wrong(format!("it sends the range {found:?} instead of {wanted:?}"))) }
}

fn parse(url: &str) -> Result<Uri, Fault> {
    match url.parse::<Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => Ok(uri),
        _ => Err(wrong(format!("{url:?} is not an address"))),
    }
}

/// Address of a redirect.
fn join(base: &Uri, location: &str) -> Result<Uri, Fault> {
    let (scheme, host) = origin(base);
    if location.contains("://") {
        parse(location)
    } else if location.starts_with("//") {
        parse(&format!("{scheme}:{location}"))
    } else if location.starts_with('/') {
        parse(&format!("{scheme}://{host}{location}"))
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        parse(&format!("{scheme}://{host}{folder}/{location}"))
    }
}

/// Scheme and host with port.
fn origin(uri: &Uri) -> (String, String) {
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    let default_port = if scheme == "https" { 443 } else { 80 };
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let host = match uri.port_u16() {
        Some(port) if port != default_port => format!("{host}:{port}"),
        _ => host,
    };
    (scheme, host)
}

/// A server on this machine is not asked through a proxy.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn joined(base: &str, location: &str) -> Option<String> {
        join(&uri(base), location).ok().map(|uri| uri.to_string())
    }

    #[test]
    fn a_redirect_may_be_whole_or_relative() {
        let base = "https://hub.example/a/b?c=d";
        assert_eq!(joined(base, "https://cdn.example/x?y=z").unwrap(), "https://cdn.example/x?y=z");
        assert_eq!(joined(base, "/x").unwrap(), "https://hub.example/x");
        assert_eq!(joined(base, "x").unwrap(), "https://hub.example/a/x");
        assert_eq!(joined(base, "//cdn.example/x").unwrap(), "https://cdn.example/x");
        assert_eq!(joined(base, "file:///etc/passwd"), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin(&uri("https://Hub.example:443/a")), origin(&uri("https://hub.example/b")));
        assert_ne!(origin(&uri("http://hub.example/a")), origin(&uri("https://hub.example/a")));
        assert_ne!(origin(&uri("http://127.0.0.1:1/a")), origin(&uri("http://127.0.0.1:2/a")));
        assert_ne!(origin(&uri("https://hub.example.evil/a")), origin(&uri("https://hub.example/a")));
    }

    #[test]
    fn only_this_machine_is_asked_without_a_proxy() {
        assert!(is_loopback(&uri("http://127.0.0.1:8080/a")));
        assert!(is_loopback(&uri("http://[::1]:8080/a")));
        assert!(is_loopback(&uri("http://localhost/a")));
        assert!(!is_loopback(&uri("http://localhost.example/a")));
    }
}
