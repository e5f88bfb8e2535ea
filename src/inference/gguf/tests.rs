//! Files that are built here, byte by byte, and what is read from them.

use super::*;

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

/// A file with an architecture, two tokens and one f32 tensor of 64 elements, whole.
fn small_file() -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend(1_u64.to_le_bytes());
    out.extend(3_u64.to_le_bytes());
    string(&mut out, b"general.architecture");
    out.extend(8_u32.to_le_bytes());
    string(&mut out, b"tiny");
    string(&mut out, b"tiny.context_length");
    out.extend(4_u32.to_le_bytes());
    out.extend(77_u32.to_le_bytes());
    string(&mut out, b"tokenizer.ggml.tokens");
    out.extend(9_u32.to_le_bytes());
    out.extend(8_u32.to_le_bytes());
    out.extend(2_u64.to_le_bytes());
    string(&mut out, b"a");
    string(&mut out, b"b");
    string(&mut out, b"weight");
    out.extend(1_u32.to_le_bytes());
    out.extend(64_u64.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.resize(out.len().next_multiple_of(32) + 256, 0);
    out
}

fn parse(bytes: &[u8]) -> Result<Gguf, Error> {
    Gguf::parse(std::io::Cursor::new(bytes), bytes.len() as u64, Path::new("small.gguf"))
}

#[test]
fn a_whole_file_is_described() {
    let bytes = small_file();
    let info = parse(&bytes).unwrap().info().clone();
    assert_eq!((info.architecture.as_str(), info.context_length_tokens), ("tiny", Some(77)));
    assert_eq!((info.vocab_tokens, info.tensor_count, info.parameter_count), (2, 1, 64));
    assert_eq!(info.data_end_bytes, bytes.len() as u64);
}

#[test]
fn every_shorter_file_is_refused() {
    let bytes = small_file();
    for length in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..length]), Err(Error::BadModelFile { .. })), "{length} bytes were accepted");
    }
}

#[test]
fn any_changed_byte_gives_a_file_or_an_error_but_no_panic() {
    let bytes = small_file();
    for position in 0..bytes.len() - 256 {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[position] = value;
            let _outcome = parse(&damaged);
        }
    }
}

#[test]
fn huge_counts_are_refused_with_the_number() {
    let mut bytes = small_file();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let message = parse(&bytes).unwrap_err().to_string();
    assert!(message.contains(&u64::MAX.to_string()), "{message}");
}

#[test]
fn other_files_are_refused_by_name() {
    let message = parse(&[b'x'; 64]).unwrap_err().to_string();
    assert!(message.contains("small.gguf") && message.contains("does not begin with GGUF"), "{message}");
}
