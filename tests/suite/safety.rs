//! DESIGN section 7 through the public face: text is never control, nothing leaves the machine, files are private, the
//! terminal is not steered, and a full disk loses nothing.

#[cfg(unix)]
mod commands;
#[cfg(unix)]
mod full_disk;
#[cfg(unix)]
mod home;
mod specials;
#[cfg(unix)]
mod terminal;
