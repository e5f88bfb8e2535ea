//! The text tokens of a vocabulary as trees over their bytes, so that a mask is one walk over shared beginnings; one
//! tree for each group of [`levels`](super::levels).

#![expect(clippy::indexing_slicing, reason = "node and token indexes are made together with the tables they index")]

use super::automaton::{Automaton, DEAD, StateId, Stop};
use super::levels::{GROUPS, LEVELS, MAX_CHARS, Run, Samples, group};
use super::mask::Mask;
use super::utf8::{ByteSet, byte_range, unite};
use crate::inference::{TokenKind, Vocab};
use crate::types::TokenId;

/// Tokens beyond this length are left out of text: no tokenizer has them, a damaged model file may.
pub(crate) const LONGEST_TOKEN_BYTES: usize = 4096;

/// See [`TokenTrees::mask`].
const FEW_BYTES: u32 = 8;

/// Graphs that one mask may fill: with the default limits no grammar for people fills a quarter of one.
pub(super) const MOST_GRAPHS: usize = 4;

/// All text tokens of a vocabulary. Takes tens of milliseconds to build at 150,000 tokens: build it once a vocabulary.
#[derive(Debug)]
pub(crate) struct TokenTrees {
    groups: Vec<Group>,
    longest_bytes: u32,
    vocab_len: usize,
}

/// Tokens of one level.
#[derive(Debug)]
struct Group {
    tree: Tree,
    /// Its tokens, short ones first.
    by_length: Vec<TokenId>,
    /// How many of them have at most so many characters.
    shorter: [usize; MAX_CHARS + 1],
    /// Its tokens and those of all groups below.
    whole: Mask,
    /// Bytes of which each of its tokens holds one.
    marks: ByteSet,
}

impl TokenTrees {
    pub(crate) fn new(vocab: &Vocab) -> Self {
        let ids = (0..u32::try_from(vocab.len()).unwrap_or(u32::MAX)).map(TokenId);
        let mut sorted: Vec<(&[u8], TokenId)> = ids
            .filter(|id| vocab.kind(*id) == TokenKind::Text && !vocab.is_end_of_generation(*id))
            .map(|id| (vocab.bytes(id), id))
            .filter(|(bytes, _)| !bytes.is_empty() && bytes.len() <= LONGEST_TOKEN_BYTES)
            .collect();
        sorted.sort_unstable();
        let longest_bytes = sorted.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
        let mut members: [Vec<(&[u8], TokenId)>; GROUPS] = std::array::from_fn(|_| Vec::new());
        let mut lengths: [Vec<(usize, TokenId)>; GROUPS] = std::array::from_fn(|_| Vec::new());
        for (bytes, id) in sorted {
            let (group, chars) = group(bytes);
            members[group].push((bytes, id));
            lengths[group].push((chars, id));
        }
        let mut whole = Mask::new(vocab.len());
        let groups = (members.iter().zip(&mut lengths).enumerate())
            .map(|(level, (members, lengths))| {
                lengths.sort_unstable();
                lengths.iter().for_each(|(_, id)| whole.insert(*id));
                Group {
                    tree: Tree::new(members),
                    shorter: std::array::from_fn(|limit| lengths.partition_point(|(chars, _)| *chars <= limit)),
                    by_length: lengths.iter().map(|(_, id)| *id).collect(),
                    whole: whole.clone(),
                    marks: marks(level),
                }
            })
            .collect();
        Self { groups, longest_bytes: u32::try_from(longest_bytes).unwrap_or(u32::MAX), vocab_len: vocab.len() }
    }

    /// Length of the longest token.
    pub(crate) const fn longest_bytes(&self) -> u32 {
        self.longest_bytes
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of = |group: &Group| {
            size_of::<Group>()
                + size_of_val(group.tree.roots.as_ref())
                + group.tree.nodes.capacity() * size_of::<Node>()
                + (group.tree.tokens.capacity() + group.by_length.capacity()) * size_of::<TokenId>()
                + size_of_val(group.whole.words())
        };
        self.groups.iter().map(of).sum()
    }

    /// All text tokens whose bytes may come next in `state`; none where a way out of it came to where its stacks are
    /// cut off.
    pub(crate) fn mask(
        &self,
        automaton: &mut Automaton,
        state: StateId,
        samples: &Samples,
    ) -> Result<Option<Mask>, Stop> {
        let mut mask = None;
        let mut walked = &self.groups[..];
        for level in (0..LEVELS).rev() {
            if let Some(run) = samples.run(automaton, state, level, self.longest_bytes)? {
                mask = Some(self.run_mask(level, run));
                walked = &self.groups[level + 1..];
                break;
            }
        }
        let mut mask = mask.unwrap_or_else(|| Mask::new(self.vocab_len));
        let firsts = automaton.next_set(state);
        let next_bytes: u32 = firsts.iter().map(|word| word.count_ones()).sum();
        // Where few bytes can come next, walking takes no longer than looking ahead.
        let reachable = if next_bytes > FEW_BYTES { automaton.reachable_bytes(state) } else { [u64::MAX; 4] };
        let mut states = vec![DEAD; self.longest_bytes as usize + 1];
        states[0] = state;
        let mut endless = Endless { samples, longest_bytes: self.longest_bytes, level: 0, known: Vec::new() };
        let from = LEVELS + 1 - walked.len();
        for (level, group) in (from..).zip(walked) {
            let is_reachable = group.marks.iter().zip(reachable).any(|(marks, bytes)| marks & bytes != 0);
            if is_reachable && !group.tree.walk(automaton, &firsts, &mut states, endless.up_to(level), &mut mask)? {
                return Ok(None);
            }
        }
        Ok(Some(mask))
    }

    /// The same as [`TokenTrees::mask`] where that came to a limit, for a `state` that is whole: every token is walked by
    /// itself, in graphs that hold no more than its way. What stops this stops the check of some token as well, unless it
    /// is that all of them together fill more than [`MOST_GRAPHS`].
    pub(crate) fn patient_mask(&self, automaton: &Automaton, state: StateId) -> Result<Mask, Stop> {
        let mut mask = Mask::new(self.vocab_len);
        let mut path = vec![state];
        let mut graph = automaton.renewed_with(&mut path)?;
        let mut graphs = 1;
        for Group { tree, .. } in &self.groups {
            let mut at = 0;
            while let Some(node) = tree.nodes.get(at) {
                path.truncate(usize::from(node.depth) + 1);
                let from = path[usize::from(node.depth)];
                let next = match graph.step(from, node.byte) {
                    Err(Stop::Full { .. }) if graphs == MOST_GRAPHS => return Err(Stop::Long { graphs }),
                    Err(Stop::Full { .. }) => {
                        graphs += 1;
                        graph = graph.renewed_with(&mut path)?;
                        graph.step(path[usize::from(node.depth)], node.byte)?
                    }
                    next => next?,
                };
                if next == DEAD {
                    at = node.after as usize;
                    continue;
                }
                path.push(next);
                at += 1;
                tree.tokens[node.tokens as usize..tree.tokens_before(at)].iter().for_each(|token| mask.insert(*token));
            }
        }
        Ok(mask)
    }

    /// The tokens of the groups up to `level` that `run` lets pass.
    fn run_mask(&self, level: usize, run: Run) -> Mask {
        match run {
            Run::Endless => self.groups[level].whole.clone(),
            Run::Chars(chars) => {
                let mut mask = Mask::new(self.vocab_len);
                for group in &self.groups[..=level] {
                    group.by_length[..group.shorter[chars]].iter().for_each(|id| mask.insert(*id));
                }
                mask
            }
        }
    }
}

/// Bytes of which each token of a group holds one.
fn marks(group_wanted: usize) -> ByteSet {
    let mut set = [0; 4];
    for byte in 0..=255_u8 {
        // Bytes beyond ASCII spell characters as well as parts of them; long tokens hold anything.
        if group(&[byte]).0 == group_wanted
            || byte >= 0x80 && group_wanted == group("é".as_bytes()).0
            || group_wanted == LEVELS
        {
            unite(&mut set, &byte_range(byte, byte));
        }
    }
    set
}

/// One byte of some token, in depth-first order.
#[derive(Debug, Clone, Copy)]
struct Node {
    byte: u8,
    /// Number of bytes before this one.
    depth: u16,
    /// First node that is not below this one.
    after: u32,
    /// Where the tokens that end here begin in [`Tree::tokens`]; they end where the next node's begin.
    tokens: u32,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    tokens: Vec<TokenId>,
    /// The first node of each byte, or [`NONE`].
    roots: Box<[u32; 256]>,
}

const NONE: u32 = u32::MAX;

/// Fewer tokens are walked rather than taken together.
const MANY_TOKENS: usize = 16;
/// States that are remembered in one walk: a few are met again and again, the others are not worth asking about.
const REMEMBERED_STATES: usize = 8;

/// Which states let all tokens of a level pass.
struct Endless<'a> {
    samples: &'a Samples,
    longest_bytes: u32,
    level: usize,
    known: Vec<(StateId, usize, bool)>,
}

impl Endless<'_> {
    fn up_to(&mut self, level: usize) -> &mut Self {
        self.level = level;
        self
    }

    fn takes_all(&mut self, automaton: &mut Automaton, state: StateId) -> Result<bool, Stop> {
        if self.level >= LEVELS {
            return Ok(false);
        }
        let level = self.level;
        if let Some((.., known)) = self.known.iter().find(|(other, at, _)| *other == state && *at == level) {
            return Ok(*known);
        }
        if self.known.len() >= REMEMBERED_STATES * GROUPS {
            return Ok(false);
        }
        let takes_all = self.samples.run(automaton, state, level, self.longest_bytes)? == Some(Run::Endless);
        self.known.push((state, level, takes_all));
        Ok(takes_all)
    }
}

impl Tree {
    fn new(sorted: &[(&[u8], TokenId)]) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut path: Vec<usize> = Vec::new();
        let mut tokens = Vec::with_capacity(sorted.len());
        let mut roots = Box::new([NONE; 256]);
        let mut before: &[u8] = &[];
        for &(bytes, id) in sorted {
            let shared = before.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            path.drain(shared..).for_each(|node: usize| nodes[node].after = end);
            for (depth, byte) in bytes.iter().enumerate().skip(shared) {
                if depth == 0 {
                    roots[usize::from(*byte)] = end;
                }
                path.push(nodes.len());
                let depth = u16::try_from(depth).unwrap_or(u16::MAX);
                let tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
                nodes.push(Node { byte: *byte, depth, after: 0, tokens });
            }
            tokens.push(id);
            before = bytes;
        }
        let end = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        path.into_iter().for_each(|node| nodes[node].after = end);
        Self { nodes, tokens, roots }
    }

    /// Adds the tokens that may come next; false where a way came to the cut. `states[0]` is where the walk begins, and
    /// `firsts` what may come next there.
    fn walk(
        &self,
        automaton: &mut Automaton,
        firsts: &ByteSet,
        states: &mut [StateId],
        endless: &mut Endless<'_>,
        mask: &mut Mask,
    ) -> Result<bool, Stop> {
        for (block, word) in (0_usize..).zip(firsts) {
            let mut rest = *word;
            while rest != 0 {
                let byte = block * 64 + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                if self.roots[byte] != NONE && !self.walk_below(self.roots[byte], automaton, states, endless, mask)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Number of tokens that end before the node `at` in depth-first order.
    fn tokens_before(&self, at: usize) -> usize {
        self.nodes.get(at).map_or(self.tokens.len(), |node| node.tokens as usize)
    }

    /// The tokens that begin with the byte of the node `root`.
    fn walk_below(
        &self,
        root: u32,
        automaton: &mut Automaton,
        states: &mut [StateId],
        endless: &mut Endless<'_>,
        mask: &mut Mask,
    ) -> Result<bool, Stop> {
        let mut at = root as usize;
        let end = self.nodes[at].after as usize;
        while at < end {
            let node = self.nodes[at];
            let depth = usize::from(node.depth);
            let next = automaton.step(states[depth], node.byte)?;
            if next == DEAD {
                at = node.after as usize;
                continue;
            }
            if automaton.is_lost(next) {
                return Ok(false);
            }
            let below = self.tokens_before(node.after as usize);
            if below - node.tokens as usize >= MANY_TOKENS && endless.takes_all(automaton, next)? {
                self.tokens[node.tokens as usize..below].iter().for_each(|token| mask.insert(*token));
                at = node.after as usize;
                continue;
            }
            states[depth + 1] = next;
            at += 1;
            let end = self.tokens_before(at);
            for token in &self.tokens[node.tokens as usize..end] {
                mask.insert(*token);
            }
        }
        Ok(true)
    }
}
