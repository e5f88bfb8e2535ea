//! What is typed about documents and their sources.

use std::path::PathBuf;

use clap::Args;

use super::admin::SourceArgs;

/// Flags of `mneme load`.
#[derive(Debug, Args)]
#[command(after_help = "Formats: text and source code, Markdown, HTML, PDF, docx, EPUB, CSV, TSV, JSON, JSON lines.\n\
    Loading again under the same name takes up what is new, changed or gone, and nothing else.")]
pub struct LoadArgs {
    /// Files and folders
    #[arg(value_name = "PATH", required_unless_present_any = ["input_dir", "input_files"])]
    pub paths: Vec<PathBuf>,
    /// Name of the source; it is made where there is none of that name
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What is taken up
    #[command(flatten)]
    pub reach: ReachArgs,
    /// As in the first implementation of MemGPT
    #[arg(long, hide = true, value_name = "PATH")]
    pub input_dir: Option<PathBuf>,
    /// As in the first implementation of MemGPT
    #[arg(long, hide = true, value_name = "PATH", num_args = 1..)]
    pub input_files: Vec<PathBuf>,
}

/// What of files and folders is taken up.
#[derive(Debug, Clone, Args)]
pub struct ReachArgs {
    /// Folders in folders as well
    #[arg(long, short)]
    pub recursive: bool,
    /// Only files of folders whose names end so: md,txt
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub extensions: Vec<String>,
    /// Also what is left out by default: .git, node_modules, target and the like, .env, key files (no private key)
    #[arg(long)]
    pub all: bool,
}

impl LoadArgs {
    /// What `mneme add source` means.
    #[must_use]
    pub fn of_source(arguments: SourceArgs) -> Self {
        let SourceArgs { name, paths, reach } = arguments;
        Self { paths, name, reach, input_dir: None, input_files: Vec::new() }
    }

    /// The paths, however they were given. `mneme load directory ..` is the spelling of the first implementation: the
    /// word is no path where others are given and nothing is called so.
    #[must_use]
    pub fn all_paths(&self) -> Vec<PathBuf> {
        let mut paths = self.paths.clone();
        paths.extend(self.input_dir.clone());
        paths.extend(self.input_files.iter().cloned());
        if let Some(first) = self.paths.first()
            && first.as_os_str() == "directory"
            && paths.len() > 1
            && !first.exists()
        {
            paths.remove(0);
        }
        paths
    }
}

/// Flags of `mneme attach` and `mneme detach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Name of the agent
    #[arg(long, value_name = "NAME")]
    pub agent: String,
    /// Name of the source
    #[arg(long, visible_alias = "data-source", value_name = "NAME")]
    pub source: String,
}
