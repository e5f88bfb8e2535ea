//! A grammar in the form in which it is printed, so that llama.cpp reads it and means the same by it.
//!
//! llama.cpp writes repetitions out while it parses: it refuses a lower count above 2,000, takes an upper one above
//! 2,000 for none, and refuses a count times the number of rules that it had to make for what is repeated above 2,000.
//! Here such counts become blocks of 2,000 in rules of their own, and what is repeated becomes a rule where it would
//! need too many. Every text keeps exactly one way through the blocks. Not responsible for the size of what llama.cpp
//! makes of it.
//!
//! Source: llama.cpp, `src/llama-grammar.cpp`, `MAX_REPETITION_THRESHOLD` and `parse_sequence`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::ir::{Expr, Ir, Rule, RuleId};

/// Highest count, and highest product of a count and the rules within it.
const MOST: u32 = 2000;

/// The grammar with repetitions that llama.cpp takes, its rules in the order in which a reader of its text meets their
/// names; itself where it is so already. Printing what comes out and reading it back gives the same rules in the same
/// order.
pub(super) fn portable(ir: &Ir) -> Cow<'_, Ir> {
    let is_portable = |rule: &Rule| Size::of(&rule.body).is_portable;
    if ir.rules.iter().all(is_portable) {
        let order = order_of_mention(ir);
        return if order.is_sorted() { Cow::Borrowed(ir) } else { Cow::Owned(in_order(ir.clone(), &order)) };
    }
    let mut made = Made { rules: ir.rules.clone(), names: ir.rules.iter().map(|rule| rule.name.clone()).collect() };
    for index in 0..ir.rules.len() {
        let Some(rule) = made.rules.get_mut(index) else { break };
        if is_portable(rule) {
            continue;
        }
        let (name, body) = (rule.name.clone(), std::mem::replace(&mut rule.body, Expr::Sequence(Vec::new())));
        let body = made.rewritten(body, &name);
        if let Some(rule) = made.rules.get_mut(index) {
            rule.body = body;
        }
    }
    let made = Ir { rules: made.rules, root: ir.root };
    let order = order_of_mention(&made);
    Cow::Owned(in_order(made, &order))
}

/// What llama.cpp makes of an expression.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Rules that it makes when it reads the expression, at most.
    rules: u32,
    /// What it multiplies the count of a repetition of the expression with.
    weight: u32,
    /// It neither refuses the expression nor reads it differently.
    is_portable: bool,
}

impl Size {
    fn of(expr: &Expr) -> Self {
        match expr {
            Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } => Self { rules: 0, weight: 1, is_portable: true },
            Expr::Rule(_) => Self { rules: 1, weight: 1, is_portable: true },
            Expr::Sequence(items) | Expr::Alternatives(items) => {
                let (mut rules, mut is_portable) = (0_u32, true);
                for item in items {
                    let size = Self::of(item);
                    rules = rules.saturating_add(size.nested(item));
                    is_portable &= size.is_portable;
                }
                Self { rules, weight: rules.saturating_add(1), is_portable }
            }
            Expr::Repeat { item, min, max } => {
                let within = Self::of(item);
                let times = times(*min, *max);
                Self {
                    rules: within.nested(item).saturating_add(max.map_or(1, |max| max.saturating_sub(*min))),
                    // No brackets stand around a repetition in another one: its count is part of the product.
                    weight: within.weight.saturating_mul(times),
                    is_portable: within.is_portable && *min <= MOST && within.may_come(times),
                }
            }
        }
    }

    /// Rules for `expr`, of this size, where brackets may have to stand around it.
    fn nested(self, expr: &Expr) -> u32 {
        let is_bracketed = matches!(expr, Expr::Sequence(_) | Expr::Alternatives(_));
        self.rules.saturating_add(u32::from(is_bracketed))
    }

    /// Whether what has this size may be repeated so often.
    const fn may_come(self, times: u32) -> bool {
        self.weight.saturating_mul(times) <= MOST
    }
}

/// How often llama.cpp counts what is repeated.
fn times(min: u32, max: Option<u32>) -> u32 {
    max.filter(|max| *max > 0).unwrap_or(min).max(1)
}

struct Made {
    rules: Vec<Rule>,
    names: HashSet<String>,
}

impl Made {
    /// The expression in the form that llama.cpp takes. New rules are named after `owner`.
    fn rewritten(&mut self, expr: Expr, owner: &str) -> Expr {
        match expr {
            Expr::Sequence(items) => Expr::Sequence(self.all(items, owner)),
            Expr::Alternatives(items) => Expr::Alternatives(self.all(items, owner)),
            Expr::Repeat { item, min, max } => {
                let item = self.rewritten(*item, owner);
                let is_short = min <= MOST && max.is_none_or(|max| max <= MOST);
                let may_come = Size::of(&item).may_come(times(min, max).min(MOST));
                let item = if may_come && (is_short || is_atom(&item)) { item } else { self.rule(item, owner) };
                if is_short { again(item, min, max) } else { self.blocks(item, min, max, owner) }
            }
            other => other,
        }
    }

    fn all(&mut self, items: Vec<Expr>, owner: &str) -> Vec<Expr> {
        items.into_iter().map(|item| self.rewritten(item, owner)).collect()
    }

    /// `item`, which is one symbol, so many times, in rules of at most [`MOST`].
    fn blocks(&mut self, item: Expr, min: u32, max: Option<u32>, owner: &str) -> Expr {
        let mut parts = Vec::with_capacity(3);
        let (blocks, rest) = (min / MOST, min % MOST);
        let block = if min > MOST || max.is_some_and(|max| max - min > MOST) {
            Some(self.rule(again(item.clone(), MOST, Some(MOST)), owner))
        } else {
            None
        };
        if let Some(block) = block.clone().filter(|_| min > MOST) {
            parts.push(self.times(block, blocks, Some(blocks), owner));
            parts.extend((rest > 0).then(|| again(item.clone(), rest, Some(rest))));
        } else if min > 0 {
            parts.push(again(item.clone(), min, Some(min)));
        }
        match (max.map(|max| max - min), block) {
            (None, _) => parts.push(again(item, 0, None)),
            (Some(0), _) => {}
            (Some(more), Some(block)) if more > MOST => {
                let (blocks, rest) = (more / MOST, more % MOST);
                let mut fewer = Vec::with_capacity(2);
                if blocks > 1 {
                    fewer.push(self.times(block.clone(), 0, Some(blocks - 1), owner));
                }
                fewer.push(again(item.clone(), 0, Some(MOST - 1)));
                let mut all = vec![self.times(block, blocks, Some(blocks), owner)];
                all.extend((rest > 0).then(|| again(item, 0, Some(rest))));
                parts.push(Expr::Alternatives(vec![in_sequence(fewer), in_sequence(all)]));
            }
            (Some(more), _) => parts.push(again(item, 0, Some(more))),
        }
        in_sequence(parts)
    }

    /// As [`again`], for any count.
    fn times(&mut self, item: Expr, min: u32, max: Option<u32>, owner: &str) -> Expr {
        let is_short = min <= MOST && max.is_none_or(|max| max <= MOST);
        if is_short { again(item, min, max) } else { self.blocks(item, min, max, owner) }
    }

    /// A new rule.
    fn rule(&mut self, body: Expr, owner: &str) -> Expr {
        let mut number = 0_usize;
        let name = loop {
            number += 1;
            let name = if number == 1 { format!("{owner}-run") } else { format!("{owner}-run-{number}") };
            if self.names.insert(name.clone()) {
                break name;
            }
        };
        let id = RuleId(u32::try_from(self.rules.len()).unwrap_or(u32::MAX));
        self.rules.push(Rule { name, body, offset: 0 });
        Expr::Rule(id)
    }
}

const fn is_atom(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } | Expr::Rule(_))
}

fn again(item: Expr, min: u32, max: Option<u32>) -> Expr {
    if min == 1 && max == Some(1) { item } else { Expr::Repeat { item: Box::new(item), min, max } }
}

/// One after the other, as the parser gives it back.
fn in_sequence(mut items: Vec<Expr>) -> Expr {
    match items.pop() {
        Some(only) if items.is_empty() => only,
        last => {
            items.extend(last);
            Expr::Sequence(items)
        }
    }
}

/// The rules' indices in the order in which their names are read first: so the parser numbers them.
fn order_of_mention(ir: &Ir) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(ir.rules.len());
    let mut is_mentioned = vec![false; ir.rules.len()];
    let mut mention = |order: &mut Vec<usize>, index: usize| {
        if let Some(mentioned @ false) = is_mentioned.get_mut(index) {
            *mentioned = true;
            order.push(index);
        }
    };
    let mut at = 0;
    for index in 0..ir.rules.len() {
        mention(&mut order, index);
        while let Some(rule) = order.get(at).and_then(|index| ir.rules.get(*index)) {
            rule.body.each_call(&mut |id| mention(&mut order, id.index()));
            at += 1;
        }
    }
    order
}

/// The same grammar with its rules in `order`, which names each of them once.
fn in_order(ir: Ir, order: &[usize]) -> Ir {
    let mut new_ids = vec![RuleId(0); ir.rules.len()];
    for (new, old) in order.iter().enumerate() {
        if let Some(id) = new_ids.get_mut(*old) {
            *id = RuleId(u32::try_from(new).unwrap_or(u32::MAX));
        }
    }
    let new_id = |id: RuleId| new_ids.get(id.index()).copied().unwrap_or(id);
    let root = new_id(ir.root);
    let mut left: Vec<Option<Rule>> = ir.rules.into_iter().map(Some).collect();
    let mut rules: Vec<Rule> = order.iter().filter_map(|index| left.get_mut(*index).and_then(Option::take)).collect();
    for rule in &mut rules {
        rule.body.each_call_mut(&mut |id| *id = new_id(*id));
    }
    Ir { rules, root }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(body: Expr) -> String {
        let rules = vec![Rule { name: "root".into(), body, offset: 0 }];
        Ir { rules, root: RuleId(0) }.to_string()
    }

    fn repeat(item: Expr, min: u32, max: Option<u32>) -> Expr {
        Expr::Repeat { item: Box::new(item), min, max }
    }

    #[test]
    fn counts_above_two_thousand_become_blocks() {
        let a = || Expr::Literal("a".into());
        let run = "root-run ::= \"a\"{2000}\n";
        for (min, max, body) in [
            (2000, Some(2000), "\"a\"{2000}\n"),
            (7, Some(2000), "\"a\"{7,2000}\n"),
            (2001, Some(2001), "root-run \"a\"\n"),
            (6000, None, "root-run{3} \"a\"*\n"),
            (0, Some(2001), "\"a\"{0,1999} | root-run \"a\"?\n"),
            (5, Some(6005), "\"a\"{5} (root-run{0,2} \"a\"{0,1999} | root-run{3})\n"),
            (2500, Some(2600), "root-run \"a\"{500} \"a\"{0,100}\n"),
        ] {
            let text = printed(repeat(a(), min, max));
            let expected = format!("root ::= {body}{}", if body.contains("root-run") { run } else { "" });
            assert_eq!(text, expected);
        }
        let large = printed(repeat(a(), 9_000_001, Some(9_000_001)));
        assert!(large.starts_with("root ::= (root-run-2{2} root-run{500}) \"a\"\n"), "{large}");
    }

    #[test]
    fn what_is_repeated_too_often_becomes_a_rule() {
        let inner = || repeat(Expr::Class(crate::grammar::CharSet::from_ranges(vec![(0x61, 0x7A)])), 1, Some(63));
        let label = || Expr::Sequence(vec![inner(), Expr::Literal(".".into())]);
        assert_eq!(printed(repeat(label(), 1, Some(30))), "root ::= ([a-z]{1,63} \".\"){1,30}\n");
        let named = "root ::= root-run{1,100}\nroot-run ::= [a-z]{1,63} \".\"\n";
        assert_eq!(printed(repeat(label(), 1, Some(100))), named);
        assert_eq!(printed(repeat(inner(), 0, None)), "root ::= [a-z]{1,63}*\n");
        assert_eq!(printed(repeat(inner(), 40, None)), "root ::= root-run{40,}\nroot-run ::= [a-z]{1,63}\n");
    }

    #[test]
    fn rules_are_printed_in_the_order_in_which_they_are_read() {
        let vocab = crate::inference::Vocab::new(Vec::new(), Vec::new(), None);
        let read = |text: &str| crate::grammar::parse(text, &vocab, &crate::grammar::Limits::default()).unwrap();
        let first = read("root ::= b\nx ::= \"x\"\nb ::= d\nd ::= \"d\"\n").to_string();
        assert_eq!(first, "root ::= b\nb ::= d\nd ::= \"d\"\nx ::= \"x\"\n");
        assert_eq!(read(&first).to_string(), first);
    }
}
