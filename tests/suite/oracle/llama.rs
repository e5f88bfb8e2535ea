//! All-token masks against llama.cpp's own grammar sampler.

use std::collections::{BTreeMap, BTreeSet};

use mneme::grammar::schema;
use mneme::grammar::{CharSet, Compiler, Ir, Limits, Matcher, Verdict, parse};
use mneme::inference::{NativeGrammar, TokenKind};
use mneme::types::{Constraint, TokenId};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::World;
use super::grammars::{Sample, samples};
use super::walk::{Prefix, WALK_TOKENS, classes, completions, ends_inside, is_broken, step};
use crate::suite::schema::portable::large_counts;

/// One token in one state where the two engines disagree.
struct Difference<'a> {
    /// Whether we allow it; llama.cpp does the other.
    ours: bool,
    kind: TokenKind,
    /// The character that is open in front of the token, and the token's bytes.
    bytes: &'a [u8],
    classes: &'a [CharSet],
    /// Whether the grammar has a `!<[id]>`.
    negates_tokens: bool,
}

/// A difference that is meant.
struct Intended {
    name: &'static str,
    applies: fn(&Difference<'_>) -> bool,
}

/// Everything in which we mean to differ. The first that applies is counted.
const INTENDED: [Intended; 5] = [
    Intended {
        // llama.cpp renders control tokens as text and matches that; here they match only where they are named.
        name: "the text of a control token matches characters",
        applies: |cell| !cell.ours && cell.kind == TokenKind::Control,
    },
    Intended {
        // llama.cpp reads a token up to its first NUL and refuses one that begins with it; here NUL is a character.
        name: "a NUL character",
        applies: |cell| cell.bytes.contains(&0),
    },
    Intended {
        // llama.cpp hardly checks continuation bytes, overlong forms and lead bytes that UTF-8 does not have.
        name: "bytes that are no UTF-8",
        applies: |cell| !cell.ours && is_broken(cell.bytes),
    },
    Intended {
        // llama.cpp refuses the beginning of a character where any of those that it may become is excluded; here it
        // is let through where one of them is not.
        name: "the beginning of a character under a negated class",
        applies: |cell| cell.ours && ends_inside(cell.bytes) && cell.classes.iter().any(|set| splits(set, cell.bytes)),
    },
    Intended {
        // For llama.cpp a token without a whole character at its beginning is empty, so no `!<[id]>` lets it through.
        name: "a piece of a character as another token",
        applies: |cell| cell.ours && cell.negates_tokens && !begins_with_character(cell.bytes),
    },
];

/// Counted beside [`INTENDED`]: llama.cpp lets a generation end while a character is open.
const END_INSIDE: &str = "an end inside a character";

/// Whether the open character may become one that the negated class `set` has and one that it lacks.
fn splits(set: &CharSet, bytes: &[u8]) -> bool {
    let Some((low, high)) = completions(bytes) else { return false };
    let is_negated = set.ranges().last().is_some_and(|range| range.1 == 0x10_FFFF);
    let meets = |set: &CharSet| set.ranges().iter().any(|range| range.0 <= high && low <= range.1);
    is_negated && meets(set) && meets(&set.complement())
}

fn begins_with_character(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().next().is_some_and(|chunk| !chunk.valid().is_empty())
}

/// What a comparison saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub grammars: usize,
    pub prefixes: usize,
    pub inside_character: usize,
    pub decisions: u64,
    pub intended: BTreeMap<&'static str, u64>,
}

/// Compares all masks on `prefixes` prefixes of every grammar.
pub fn compare(world: &World, prefixes: usize, seed: u64) -> Tally {
    let mut tally = Tally::default();
    for sample in samples(&world.vocab) {
        let started = std::time::Instant::now();
        compare_one(world, &sample, prefixes, seed, &mut tally);
        println!("{}: {prefixes} prefixes in {:.1} s", sample.name, started.elapsed().as_secs_f64());
        tally.grammars += 1;
    }
    println!("{tally:?}");
    tally
}

fn compare_one(world: &World, sample: &Sample, prefixes: usize, seed: u64, tally: &mut Tally) {
    let Sample { name, source } = sample;
    let limits = Limits::default();
    let ir = parse(source, &world.vocab, &limits).unwrap();
    let comparison = Comparison::new(world, name, &ir);
    // As it was written and as we print it.
    let spellings = [with_bars_behind(source), ir.to_string()];
    let grammar = Compiler::new(world.vocab.clone(), limits).compile(source).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut left = prefixes;
    for spelling in spellings.iter().cycle() {
        if left == 0 {
            break;
        }
        let mut ours = grammar.matcher().unwrap();
        let mut theirs = world.native.grammar(spelling).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut prefix = Prefix::default();
        for _ in 0..WALK_TOKENS.min(left) {
            left -= 1;
            let legal = comparison.compare(&mut ours, &mut theirs, &prefix, tally);
            let Some(token) = step(&mut random, &mut ours, &world.vocab, &prefix, &legal) else { break };
            ours.commit(token).unwrap();
            assert!(theirs.accept(token));
            prefix.push(&world.vocab, token);
        }
    }
}

/// What the two engines are compared on, but for the state.
pub struct Comparison<'a> {
    world: &'a World,
    name: &'a str,
    classes: Vec<CharSet>,
    negates_tokens: bool,
}

impl<'a> Comparison<'a> {
    pub fn new(world: &'a World, name: &'a str, ir: &Ir) -> Self {
        Self { world, name, classes: classes(ir), negates_tokens: ir.to_string().contains("!<") }
    }

    /// Compares what both let come behind `prefix`; the tokens that both can take.
    pub fn compare(
        &self,
        ours: &mut Matcher,
        theirs: &mut NativeGrammar<'_>,
        prefix: &Prefix,
        tally: &mut Tally,
    ) -> Vec<TokenId> {
        let Self { world, name, classes, negates_tokens } = self;
        tally.prefixes += 1;
        tally.inside_character += usize::from(!prefix.pending.is_empty());
        let mask = ours.mask().unwrap();
        theirs.fill();
        theirs.strike();
        let mut legal = Vec::new();
        for token in (0..u32::try_from(world.vocab.len()).unwrap()).map(TokenId) {
            tally.decisions += 1;
            let they_allow = theirs.is_left(token);
            if world.vocab.is_end_of_generation(token) {
                assert!(!mask.contains(token));
                if they_allow != ours.may_end() {
                    let meant = they_allow && !prefix.pending.is_empty();
                    assert!(meant, "{name}: may it end behind {}? {they_allow} there", prefix.shown(&world.vocab));
                    *tally.intended.entry(END_INSIDE).or_default() += 1;
                }
                continue;
            }
            let we_allow = mask.contains(token);
            let bytes = prefix.joined(&world.vocab, token);
            // Behind a `!<[id]>` llama.cpp still reads an open character on, which here ended with the token.
            if we_allow && they_allow && !(*negates_tokens && ends_inside(&bytes)) {
                legal.push(token);
            }
            if we_allow == they_allow {
                continue;
            }
            let kind = world.vocab.kind(token);
            let cell = Difference { ours: we_allow, kind, bytes: &bytes, classes, negates_tokens: *negates_tokens };
            let meant = INTENDED.iter().find(|intended| (intended.applies)(&cell)).unwrap_or_else(|| {
                panic!(
                    "{name}: behind {} token {} ({:?}, {kind:?}) is {} here and {} in llama.cpp",
                    prefix.shown(&world.vocab),
                    token.0,
                    world.vocab.bytes(token).escape_ascii().to_string(),
                    if we_allow { "allowed" } else { "refused" },
                    if they_allow { "allowed" } else { "refused" },
                )
            });
            *tally.intended.entry(meant.name).or_default() += 1;
        }
        legal
    }
}

/// `source` with the bars that begin a line at the end of the one before, where llama.cpp wants them.
fn with_bars_behind(source: &str) -> String {
    let mut out = String::new();
    for line in source.lines() {
        let trimmed = line.trim_start();
        out.push_str(if trimmed.starts_with('|') { " " } else { "\n" });
        out.push_str(if trimmed.starts_with('|') { trimmed } else { line });
    }
    out
}

#[test]
fn masks_agree_with_llama_cpp_but_for_what_is_meant() {
    let tally = compare(World::small(), 96, 20_260_311);
    assert!(tally.grammars >= 12 && tally.decisions > 80_000_000, "{tally:?}");
    assert!(tally.inside_character >= 20, "{tally:?}");
    // A permission that nothing needs any more would hide a new difference.
    for name in INTENDED.iter().map(|intended| intended.name).chain([END_INSIDE]) {
        assert!(tally.intended.contains_key(name), "{name}: never seen in {tally:?}");
    }
}

/// Whether llama.cpp takes `text`, byte by byte, and lets it end.
fn judged_by_llama(world: &World, source: &str, text: &str) -> bool {
    let tokens = || (0..u32::try_from(world.vocab.len()).unwrap()).map(TokenId);
    let end = tokens().find(|token| world.vocab.is_end_of_generation(*token)).unwrap();
    let single = |byte: u8| {
        let is_byte =
            |token: &TokenId| world.vocab.bytes(*token) == [byte] && world.vocab.kind(*token) == TokenKind::Text;
        tokens().find(is_byte).unwrap()
    };
    let bytes: BTreeSet<u8> = text.bytes().collect();
    let known: BTreeMap<u8, TokenId> = bytes.into_iter().map(|byte| (byte, single(byte))).collect();
    let mut grammar = world.native.grammar(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    text.bytes().all(|byte| grammar.accept(known[&byte])) && grammar.allows(end)
}

/// Counts that llama.cpp refuses where they are written as they stand in the schema.
#[test]
fn grammars_of_schemas_with_large_counts_are_taken_by_llama_cpp() {
    let world = World::small();
    let options = schema::Options { whitespace: schema::Whitespace::Compact, ..schema::Options::default() };
    for (schema, texts) in large_counts() {
        let ir = schema::compile(&schema, &options).unwrap();
        let grammar = Compiler::new(world.vocab.clone(), Limits::default()).compile_ir(&ir).unwrap();
        let source = ir.to_string();
        for text in texts {
            let ours = grammar.judge(text.as_bytes()).unwrap() == Verdict::Accepted;
            assert_eq!(judged_by_llama(world, &source, &text), ours, "{schema} with {} bytes", text.len());
        }
    }
}

#[test]
fn grammars_of_schemas_mean_the_same_to_llama_cpp() {
    let world = World::small();
    let mut tally = Tally::default();
    for (line, parameters) in super::schemas::collected().iter().enumerate() {
        let ir = schema::compile(parameters, &schema::Options::default()).unwrap();
        let sample = Sample { name: format!("schema {line}"), source: ir.to_string() };
        compare_one(world, &sample, 8, 20_261_123, &mut tally);
        tally.grammars += 1;
    }
    println!("{tally:?}");
    assert!(tally.grammars >= 30 && tally.decisions > 10_000_000, "{tally:?}");
}
