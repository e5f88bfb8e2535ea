//! `scripts/setup` on machines that lack cmake: what it tells the user to run, and what it runs itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const INSTALL: &str = "apt-get update && apt-get install -y --no-install-recommends cmake";

/// A machine with these programs and no others; what they were asked is in the file `asked`.
struct Machine {
    programs: TempDir,
}

impl Machine {
    /// One with a compiler and a package manager, for the user with this number.
    fn of_user(number: u32) -> Self {
        let machine = Self { programs: tempfile::tempdir().unwrap() };
        for name in ["cargo", "cc", "c++", "python3", "apt-get"] {
            machine.program(name, "");
        }
        machine.program("id", &format!("echo {number}"));
        machine.program("rustc", "echo 'rustc 1.200.0-nightly (59807616e 2027-04-14)'");
        // The script starts another shell for the command.
        std::os::unix::fs::symlink("/bin/sh", machine.programs.path().join("sh")).unwrap();
        machine
    }

    fn program(&self, name: &str, then: &str) {
        let (path, asked) = (self.programs.path().join(name), self.programs.path().join("asked"));
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >> {}\n{then}\n", asked.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// Runs the script: whether it went well, and what it said on standard error.
    fn setup(&self) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/setup");
        let mut command = Command::new("/bin/sh");
        command.arg(script).env("PATH", self.programs.path()).env("LIBCLANG_PATH", "/nowhere");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    fn asked_of_the_package_manager(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.programs.path().join("asked")).unwrap_or_default();
        asked.lines().filter(|line| line.starts_with("apt-get")).map(str::to_owned).collect()
    }
}

#[test]
fn a_user_is_told_to_use_sudo_only_where_there_is_one() {
    let machine = Machine::of_user(1000);
    let (done, said) = machine.setup();
    assert!(!done && said.contains("lacks: cmake") && said.contains("as root"), "{said}");
    assert!(said.lines().any(|line| line.trim() == INSTALL), "{said}");
    machine.program("sudo", "");
    let (done, said) = machine.setup();
    assert!(!done && !said.contains("as root"), "{said}");
    assert!(said.lines().any(|line| line.trim() == format!("sudo sh -c '{INSTALL}'")), "{said}");
    assert_eq!(machine.asked_of_the_package_manager(), [""; 0], "nothing is installed without the rights to");
}

#[test]
fn root_installs_what_is_missing_and_only_that() {
    let machine = Machine::of_user(0);
    let (done, said) = machine.setup();
    assert!(done && said.contains(INSTALL), "{said}");
    let asked = ["apt-get update", "apt-get install -y --no-install-recommends cmake"];
    assert_eq!(machine.asked_of_the_package_manager(), asked);
    machine.program("cmake", "");
    assert!(machine.setup().0);
    assert_eq!(machine.asked_of_the_package_manager(), asked, "a second run has nothing to do");
}

#[test]
fn an_old_rust_is_told_before_anything_is_installed() {
    let machine = Machine::of_user(0);
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    machine.program("rustc", "echo 'rustc 1.9.0 (59807616e 2016-05-18)'");
    let (done, said) = machine.setup();
    assert!(!done && said.contains(&format!("needs Rust {wanted} or newer, and this is 1.9.0")), "{said}");
    assert!(said.contains("rustup update stable"), "{said}");
    assert_eq!(machine.asked_of_the_package_manager(), [""; 0]);
    machine.program("rustc", &format!("echo 'rustc {wanted}.0 (59807616e 2026-04-14)'"));
    assert!(machine.setup().0);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(&format!("Rust {wanted} or newer")));
}

/// `make install` of a program that is built already: whether it went well, and what it said.
fn install(folder: &Path, path: &str) -> (bool, String) {
    let target = folder.join("target");
    fs::create_dir_all(target.join("release")).unwrap();
    fs::write(target.join("release/mneme"), "#!/bin/sh\necho installed\n").unwrap();
    let mut command = Command::new("make");
    command.args(["-s", "-o", "build", "install"]).arg(format!("PREFIX={}", folder.join("prefix").display()));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target).env("PATH", path);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said)
}

#[test]
fn installing_says_where_to_and_whether_that_is_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let bin = folder.path().join("prefix/bin");
    let (done, said) = install(folder.path(), &path);
    assert!(done && said.contains(&format!("installed as {}/mneme", bin.display())), "{said}");
    assert!(said.contains("not on your PATH") && said.contains(&format!("\"{}:$PATH\"", bin.display())), "{said}");
    let output = Command::new(bin.join("mneme")).output().unwrap();
    assert_eq!(output.stdout, b"installed\n");
    let (done, said) = install(folder.path(), &format!("{}:{path}", bin.display()));
    assert!(done && said.contains("is on your PATH"), "{said}");
}

#[test]
fn no_model_is_fetched_for_a_chat_whose_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    let program = release.join("mneme");
    fs::write(&program, "#!/bin/sh\necho \"$*\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let chat = |arguments: &str| {
        let mut command = Command::new("make");
        command.args(["-s", "-o", "build", "chat"]).arg(format!("ARGS={arguments}"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", folder.path());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(chat("--first"), "models pull --default\nrun --first\n");
    for named in ["--first --model x.gguf", "--model=x.gguf"] {
        assert_eq!(chat(named), format!("run {named}\n"));
    }
}
