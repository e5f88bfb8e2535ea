//! Documents of the user: finding the files, and making pieces of text with a place of each.
//!
//! Every file is hostile until it is read: limits on size, pages, nesting, expansion and time ([`Limits`]), symbolic
//! links are not followed, and what is complex is read by a child process of the same program ([`Reader`]) whose crash
//! or hang costs one file.
//!
//! Not responsible for storing, cutting into passages or searching (`memory`), nor for reporting (`app`).

mod archive;
mod collector;
mod docx;
mod encoding;
mod epub;
mod error;
mod format;
mod html;
mod json;
mod limits;
mod markdown;
mod pdf;
mod read;
mod reader;
mod stored_path;
mod table;
mod walk;
mod worker;
mod xml;

pub use error::Error;
pub use format::Format;
pub use limits::Limits;
pub use read::{Document, read};
pub use reader::Reader;
pub use stored_path::{path_of, spelled_path};
pub use walk::{Found, Selection, Walk, distinct_title, walk};
pub use worker::serve;
