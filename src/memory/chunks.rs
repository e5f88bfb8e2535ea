//! Cutting long texts into passages for archival storage, on sentence borders, by the embedder's count of tokens.
//!
//! Strategy: the text is tiled by sentences (Unicode annex 29, with lines of a wrapped paragraph and common
//! abbreviations joined again); sentences that are too long by themselves are halved at white space, else between
//! words, else between characters; neighbours are then put together up to the target. Every passage is a range of
//! the text, so whoever knows what stands where (a page, a line) can still tell it. All characters but white space at
//! the ends of passages are in some passage.
//!
//! Everything that becomes passages is cut here: documents, what the user or the model archives, messages that are
//! paged out. Where there is an embedder its tokens are counted, else [`careful_count`] stands in.
//!
//! Not responsible for what a passage is stored with, nor for counting: the count is a function that is passed in.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::Embed;

/// How long passages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Tokens that a passage should have: enough to stand for itself, few enough that its vector means one thing.
    pub target_tokens: usize,
    /// Tokens that it never exceeds, because the vector would not take them in. A single character that has more
    /// tokens is the only exception.
    pub max_tokens: usize,
    /// Tokens of whole sentences at a passage's end that the next one repeats.
    pub overlap_tokens: usize,
    /// Characters that it never exceeds: a run of letters that an embedder does not know is one token, however long.
    pub max_chars: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { target_tokens: 200, max_tokens: 254, overlap_tokens: 0, max_chars: 2000 }
    }
}

impl ChunkLimits {
    /// The limits for an embedder: the default, or less where it takes in less.
    #[must_use]
    pub fn for_embedder(embedder: &dyn Embed) -> Self {
        let default = Self::default();
        let max_tokens = embedder.max_tokens().max(1);
        Self { target_tokens: default.target_tokens.min(max_tokens), max_tokens, ..default }
    }

    /// The same with nothing that contradicts itself: at least one token and character, the target at most the most.
    fn sound(self) -> Self {
        let max_tokens = self.max_tokens.max(1);
        Self {
            max_tokens,
            target_tokens: self.target_tokens.clamp(1, max_tokens),
            max_chars: self.max_chars.max(1),
            ..self
        }
    }
}

/// A last passage with less than 1 in so many of the target's tokens is joined to the one before it where it fits: a
/// vector of a few words by themselves finds little.
const SMALL_SHARE: usize = 4;

/// Letters before a full stop that are an abbreviation rather than the end of a sentence, in lower case.
#[rustfmt::skip]
const ABBREVIATIONS: [&str; 21] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "e.g", "i.e", "cf", "vol", "pp", "fig", "approx", "bzw", "z.b", "d.h", "nr", "sra",
];

/// Bytes either side of the middle in which a place to cut is looked for: no word is longer.
const WINDOW_BYTES: usize = 1024;

/// A piece of the text, without white space at its ends, with its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    range: Range<usize>,
    tokens: usize,
    /// Characters of the text before it and to its end.
    from_char: usize,
    to_char: usize,
}

/// Cuts `text` for an embedder; none: for one that may be installed later.
#[must_use]
pub fn passages_for(text: &str, embedder: Option<&dyn Embed>) -> Vec<Range<usize>> {
    let (limits, count) = limits_and_count(embedder);
    chunks(text, limits, &count)
}

/// How long passages are for an embedder or without one, and what counts their tokens.
pub(super) fn limits_and_count<'a>(embedder: Option<&'a dyn Embed>) -> (ChunkLimits, impl Fn(&str) -> usize + 'a) {
    let limits = embedder.map_or_else(ChunkLimits::default, ChunkLimits::for_embedder);
    (limits, move |text: &str| embedder.map_or_else(|| careful_count(text), |embedder| embedder.token_count(text)))
}

/// Letters of a plain English word that are a token at least: words of the vocabulary are longer, rare ones fall to
/// pieces of three letters and more.
const LETTERS_OF_TOKEN: usize = 3;

/// Tokens that a text has at most, or nearly so, in the vocabulary of a BERT-class embedder for English, for when none
/// is there to count: its passages fit one that is installed later. English counts about twice what it has; a mark, a
/// digit, and each letter of a word in other than plain small letters (names in code, other alphabets, Chinese) counts
/// by itself, and what such a vocabulary takes apart further (Korean syllables, signs of Indian scripts) for more.
#[must_use]
pub fn careful_count(text: &str) -> usize {
    let word_tokens = |word: &str| {
        let letters = word.strip_prefix(|first: char| first.is_ascii_uppercase()).unwrap_or(word);
        if !word.is_empty() && letters.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return word.len().div_ceil(LETTERS_OF_TOKEN);
        }
        word.chars().map(character_tokens).sum()
    };
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(word_tokens).sum::<usize>()
        + text.chars().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).count()
}

/// Tokens of a letter or digit by itself.
const fn character_tokens(letter: char) -> usize {
    match letter {
        // Syllables of Korean are taken apart into two or three letters.
        '\u{ac00}'..='\u{d7a3}' => 3,
        // Vowel signs of the scripts of India may be two.
        '\u{900}'..='\u{dff}' => 2,
        _ => 1,
    }
}

/// Byte ranges of the passages of `text`, in order, without white space at their ends; none of a text without anything
/// else. With an overlap the ranges overlap, else each begins behind the one before.
///
/// Cost: every sentence is counted once, every passage once more; where the counts of sentences do not add up to that of
/// their passage, some ten times more.
#[must_use]
pub fn chunks(text: &str, limits: ChunkLimits, token_count: &dyn Fn(&str) -> usize) -> Vec<Range<usize>> {
    let limits = limits.sound();
    let cutter = Cutter { text, limits, token_count };
    let mut pieces = Vec::new();
    for sentence in sentences(text) {
        cutter.fit(sentence, &mut pieces);
    }
    let mut ranges = Vec::new();
    let mut first = 0;
    while let Some(piece) = pieces.get(first) {
        let end = cutter.end_of_passage(&pieces, first, piece);
        let last = pieces.get(end - 1).unwrap_or(piece);
        ranges.push(piece.range.start..last.range.end);
        first = if end < pieces.len() { cutter.start_of_next(&pieces, first, end) } else { end };
    }
    ranges
}

struct Cutter<'a> {
    text: &'a str,
    limits: ChunkLimits,
    token_count: &'a dyn Fn(&str) -> usize,
}

impl Cutter<'_> {
    /// Tokens and characters of a text. One that has too many characters is cut anyway: its tokens are not counted for
    /// nothing.
    fn measured(&self, text: &str) -> (usize, usize) {
        let chars = text.chars().count();
        (if chars > self.limits.max_chars { 0 } else { (self.token_count)(text) }, chars)
    }

    fn fits(&self, tokens: usize, chars: usize) -> bool {
        tokens <= self.limits.max_tokens && chars <= self.limits.max_chars
    }

    /// Adds `range` to `pieces`, in halves of halves where it is too long. What is white space alone goes with the
    /// piece before.
    fn fit(&self, range: Range<usize>, pieces: &mut Vec<Piece>) {
        // A stack instead of recursion: the text may be hostile. The first part lies on top.
        let mut waiting = vec![range];
        while let Some(range) = waiting.pop() {
            let inner = trimmed(self.text, range.clone());
            if inner.is_empty() {
                continue;
            }
            let (tokens, chars) = self.measured(self.text.get(inner.clone()).unwrap_or_default());
            match self.text.get(range.clone()).and_then(middle) {
                Some(middle) if !self.fits(tokens, chars) => {
                    let middle = range.start + middle;
                    waiting.extend([middle..range.end, range.start..middle]);
                }
                _ => {
                    let (before, before_chars) = pieces.last().map_or((0, 0), |last| (last.range.end, last.to_char));
                    let between = self.text.get(before..inner.start).unwrap_or_default().chars().count();
                    let from_char = before_chars + between;
                    pieces.push(Piece { range: inner, tokens, from_char, to_char: from_char + chars });
                }
            }
        }
    }

    /// Index behind the last piece of the passage that begins with the piece at `first`.
    fn end_of_passage(&self, pieces: &[Piece], first: usize, piece: &Piece) -> usize {
        let is_short = |last: &Piece| last.to_char - piece.from_char <= self.limits.max_chars;
        let following = pieces.get(first + 1..).unwrap_or_default();
        let (mut tokens, mut end) = (piece.tokens, first + 1);
        // Pieces may have no tokens at all: without a bound in characters, all of the text would be looked at each time.
        for next in following.iter().take_while(|next| is_short(next)) {
            if tokens + next.tokens > self.limits.target_tokens {
                break;
            }
            tokens += next.tokens;
            end += 1;
        }
        let small_tokens = self.limits.target_tokens.div_ceil(SMALL_SHARE);
        let add = |sum: usize, next: &Piece| Some(sum + next.tokens).filter(|sum| *sum < small_tokens);
        if pieces.last().is_some_and(is_short)
            && pieces.get(end..).unwrap_or_default().iter().try_fold(0, add).is_some()
        {
            end = pieces.len();
        }
        self.end_that_fits(pieces, first, end)
    }

    /// `end`, or less: counts of parts need not add up to the count of the whole. A single piece is a passage in any
    /// case.
    fn end_that_fits(&self, pieces: &[Piece], first: usize, end: usize) -> usize {
        if end == first + 1 || self.is_passage(pieces, first, end) {
            return end;
        }
        let (mut fitting, mut too_long) = (first + 1, end);
        while too_long - fitting > 1 {
            let between = usize::midpoint(fitting, too_long);
            if self.is_passage(pieces, first, between) {
                fitting = between;
            } else {
                too_long = between;
            }
        }
        fitting
    }

    fn is_passage(&self, pieces: &[Piece], first: usize, end: usize) -> bool {
        let (Some(first), Some(last)) = (pieces.get(first), pieces.get(end - 1)) else { return false };
        let chars = last.to_char - first.from_char;
        let text = self.text.get(first.range.start..last.range.end).unwrap_or_default();
        chars <= self.limits.max_chars && self.fits((self.token_count)(text), chars)
    }

    /// Index of the first piece of the next passage: with an overlap, pieces before `end` are repeated as long as the
    /// piece at `end` fits behind them. One without tokens says nothing, and is not repeated.
    fn start_of_next(&self, pieces: &[Piece], first: usize, end: usize) -> usize {
        let (mut start, mut tokens) = (end, 0);
        while start > first + 1 {
            let Some(before) = pieces.get(start - 1).filter(|before| before.tokens > 0) else { break };
            tokens += before.tokens;
            let next = pieces.get(end).map_or(0, |next| next.tokens);
            let in_target = tokens + next <= self.limits.target_tokens;
            if tokens > self.limits.overlap_tokens || !in_target || !self.is_passage(pieces, start - 1, end + 1) {
                break;
            }
            start -= 1;
        }
        start
    }
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().len()
}

/// Where a text is best cut in two: of the white space around its middle, else of the borders between words, else of
/// those between characters, the place nearest to it. Nowhere, where it is one character.
fn middle(text: &str) -> Option<usize> {
    let half = text.len() / 2;
    // Places far from the middle would cut off word by word.
    let reach = WINDOW_BYTES.min(text.len() / 4 + 1);
    let start = text.floor_char_boundary(half.saturating_sub(reach));
    let window = text.get(start..text.ceil_char_boundary(half + reach))?;
    let nearest = |places: &mut dyn Iterator<Item = usize>| {
        places.filter(|&place| place > 0 && place < text.len()).min_by_key(|&place| place.abs_diff(half))
    };
    let mut white = window.char_indices().filter(|(_, one)| one.is_whitespace()).map(|(place, _)| start + place);
    nearest(&mut white)
        .filter(|place| !text.get(..*place).unwrap_or_default().trim().is_empty())
        .or_else(|| nearest(&mut window.split_word_bound_indices().map(|(place, _)| start + place)))
        .or_else(|| nearest(&mut window.grapheme_indices(true).map(|(place, _)| start + place)))
        .or_else(|| nearest(&mut text.char_indices().map(|(place, _)| place)))
}

/// Ranges that tile `text`, a sentence each, white space behind it included.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut sentences: Vec<Range<usize>> = Vec::new();
    for (start, sentence) in text.split_sentence_bound_indices() {
        let end = start + sentence.len();
        match sentences.last_mut() {
            Some(last) if goes_on(text.get(last.clone()).unwrap_or_default(), sentence) => last.end = end,
            _ => sentences.push(start..end),
        }
    }
    sentences
}

/// Whether `next` belongs to the sentence that `before` begins: `before` ends with an abbreviation, or is a line of a
/// wrapped paragraph.
fn goes_on(before: &str, next: &str) -> bool {
    if next.trim().is_empty() {
        return true;
    }
    let text = before.trim_end();
    let ending = before.get(text.len()..).unwrap_or_default();
    let is_lower = next.trim_start().starts_with(|first: char| first.is_lowercase());
    match ending.matches('\n').count() {
        0 => text.ends_with('.') && ends_with_abbreviation(text.trim_end_matches('.')),
        1 => is_lower && !text.ends_with(['.', '!', '?', ':', ';', '…', '。', '！', '？']),
        _ => false,
    }
}

/// Whether the last word is an abbreviation or an initial.
fn ends_with_abbreviation(text: &str) -> bool {
    let word =
        text.rsplit(|one: char| one.is_whitespace() || matches!(one, '(' | '[' | '"')).next().unwrap_or_default();
    let mut letters = word.chars();
    let is_initial =
        letters.next().is_some_and(|first| first.is_uppercase() && first != 'I') && letters.next().is_none();
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use std::cell::Cell;

    /// Words and punctuation marks, a Chinese character each; unlike an embedder's, a long word counts its letters.
    fn count(text: &str) -> usize {
        text.split_word_bounds()
            .filter(|word| !word.trim().is_empty())
            .map(|word| if word.is_ascii() { word.len().div_ceil(4) } else { word.chars().count() })
            .sum()
    }

    fn cut(text: &str, limits: ChunkLimits) -> Vec<&str> {
        chunks(text, limits, &count).into_iter().map(|range| &text[range]).collect()
    }

    fn limits(target_tokens: usize, max_tokens: usize) -> ChunkLimits {
        ChunkLimits { target_tokens, max_tokens, overlap_tokens: 0, max_chars: 2000 }
    }

    #[test]
    fn without_an_embedder_tokens_are_counted_with_care() {
        assert_eq!(careful_count("The cats sat."), 1 + 2 + 1 + 1);
        assert_eq!(careful_count("  \n"), 0);
        assert_eq!(careful_count("fooBar_x1"), 6 + 1 + 2, "each letter of a name");
        assert_eq!(careful_count("天気がいい。"), 6);
        assert_eq!(careful_count("한국"), 6);
        let text = "word ".repeat(1000);
        for range in passages_for(&text, None) {
            assert!(careful_count(&text[range]) <= ChunkLimits::default().max_tokens);
        }
    }

    #[test]
    fn short_texts_are_one_passage_and_blank_ones_none() {
        assert_eq!(cut("", limits(10, 20)), Vec::<&str>::new());
        assert_eq!(cut(" \n\t ", limits(10, 20)), Vec::<&str>::new());
        assert_eq!(cut("  Just this.\n", limits(10, 20)), ["Just this."]);
    }

    #[test]
    fn passages_end_where_sentences_end() {
        let text =
            "The cat sat on the mat. Dr. Smith saw it at 3.15 and left. Was it hers? J. Doe said no!\nNobody knows.";
        let passages = cut(text, limits(14, 30));
        assert_eq!(
            passages,
            [
                "The cat sat on the mat.",
                "Dr. Smith saw it at 3.15 and left.",
                "Was it hers? J. Doe said no!",
                "Nobody knows."
            ]
        );
    }

    #[test]
    fn wrapped_lines_are_one_sentence_and_blank_lines_end_one() {
        let text = "a line that is wrapped\nin the middle of it\n\nanother paragraph without an end";
        assert_eq!(sentences(text).len(), 2);
        assert_eq!(sentences("- milk\n- bread\n- salt").len(), 3);
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_between_words() {
        let text = "word ".repeat(500);
        let passages = cut(&text, limits(50, 60));
        assert!(passages.len() >= 9);
        assert!(passages.iter().all(|passage| passage.split(' ').all(|word| word == "word")), "{passages:?}");
    }

    #[test]
    fn languages_without_spaces_are_cut_at_their_full_stops_and_else_between_characters() {
        let sentence = "今日は天気がいいから散歩しましょう。";
        let text = sentence.repeat(20);
        for passage in cut(&text, limits(40, 60)) {
            assert!(passage.starts_with('今') && passage.ends_with('。'), "{passage}");
        }
        let endless = "天気".repeat(500);
        let passages = cut(&endless, limits(40, 60));
        assert_eq!(passages.concat(), endless);
        assert!(passages.iter().all(|passage| count(passage) <= 60));
    }

    #[test]
    fn a_blob_that_an_embedder_takes_for_one_word_is_bounded_in_characters() {
        let text = format!("Here it comes: {} and that was it.", "QmFzZTY0".repeat(50_000));
        let one_token_a_word = |text: &str| text.split_whitespace().count();
        let passages = chunks(&text, ChunkLimits::default(), &one_token_a_word);
        assert!(passages.iter().all(|range| range.len() <= 2000));
        let joined: String = passages.into_iter().map(|range| &text[range]).collect();
        assert_eq!(joined.replace(' ', ""), text.replace(' ', ""));
    }

    #[test]
    fn a_text_that_gives_many_pieces_few_tokens_is_counted_only_a_few_times() {
        let sentences = 20_000;
        let texts = [
            // Sentences without a token.
            "\u{200b}\u{2028}".repeat(sentences),
            "a\u{2028}".repeat(sentences),
            format!("a{}\u{2028}", " ".repeat(50)).repeat(sentences),
            "\n".repeat(10 * sentences) + "end",
            "QmFzZTY0".repeat(10 * sentences),
        ];
        for (text, overlap_tokens) in texts.iter().flat_map(|text| [(text, 0), (text, 20)]) {
            let (calls, bytes) = (Cell::new(0), Cell::new(0));
            let count = |part: &str| {
                calls.set(calls.get() + 1);
                bytes.set(bytes.get() + part.len());
                part.chars().filter(|one| !matches!(one, '\u{200b}' | 'a' | ' ' | '\u{2028}')).count().min(1)
            };
            let limits = ChunkLimits { overlap_tokens, ..ChunkLimits::default() };
            let passages = chunks(text, limits, &count);
            assert!(passages.len() <= 2 * text.chars().count() / limits.max_chars + 1, "{}", passages.len());
            assert!(calls.get() <= 2 * sentences, "{} calls", calls.get());
            assert!(bytes.get() <= 4 * text.len(), "{} of {} bytes", bytes.get(), text.len());
        }
    }

    #[test]
    fn passages_are_as_long_as_they_can_be_where_counts_do_not_add_up() {
        let text = "Word. ".repeat(400);
        // A passage has a token more for each ten sentences.
        let count = |part: &str| part.matches('.').count() * 11 / 10;
        let limits = ChunkLimits { target_tokens: 100, max_tokens: 100, ..ChunkLimits::default() };
        let lengths: Vec<usize> = chunks(&text, limits, &count).into_iter().map(|range| count(&text[range])).collect();
        assert!(lengths.iter().rev().skip(1).all(|length| *length == 100), "{lengths:?}");
    }

    #[test]
    fn an_overlap_repeats_whole_sentences() {
        let text = "One two three. Four five six. Seven eight nine. Ten eleven twelve. Another few words.";
        let overlapping = ChunkLimits { overlap_tokens: 6, ..limits(12, 20) };
        let passages = cut(text, overlapping);
        for pair in passages.windows(2) {
            let last = pair[0].rsplit(". ").next().unwrap();
            assert!(pair[1].starts_with(last), "{pair:?}");
        }
        assert!(passages.len() >= 3);
    }

    #[test]
    fn a_short_end_goes_with_the_passage_before() {
        let text = format!("{}The end.", "Some words make a sentence here. ".repeat(4));
        assert!(cut(&text, limits(32, 64)).last().unwrap().len() > "The end.".len());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_passage_is_too_long(
            text in "([a-zäß]{1,12}[ .,!?\n]{1,3}|[天気。今日]{1,9}|\\PC{0,4}|[\u{0e01}-\u{0e2e}]{1,20}|\n\n| {1,30}){0,60}",
            target_tokens in 1..40_usize,
            more_tokens in 0..40_usize,
            overlap_tokens in 0..20_usize,
            max_chars in 1..300_usize,
        ) {
            let limits = ChunkLimits { target_tokens, max_tokens: target_tokens + more_tokens, overlap_tokens, max_chars };
            let ranges = chunks(&text, limits, &count);
            let mut covered = 0;
            let mut last_start = None;
            for range in &ranges {
                let passage = &text[range.clone()];
                prop_assert_eq!(passage, passage.trim());
                prop_assert!(!passage.is_empty());
                let is_one_character = passage.chars().count() == 1;
                prop_assert!(count(passage) <= limits.max_tokens || is_one_character, "{passage:?}");
                prop_assert!(passage.chars().count() <= max_chars);
                prop_assert!(last_start.is_none_or(|start| start < range.start), "{ranges:?}");
                prop_assert!(range.start <= covered || text[covered..range.start].trim().is_empty());
                prop_assert!(range.end > covered, "every passage brings something new: {ranges:?}");
                prop_assert!(overlap_tokens > 0 || range.start >= covered);
                (covered, last_start) = (range.end, Some(range.start));
            }
            prop_assert!(text[covered..].trim().is_empty());
        }
    }
}
