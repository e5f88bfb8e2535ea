//! What must hold before a grammar is compiled: every rule can end, and none calls itself before it has read anything.
//!
//! Both hold for all rules, used or not. With them, every text that the matcher lets through can be completed, and
//! looking for the next byte ends.

use super::error::{Error, Place};
use super::ir::{Expr, Ir};

/// Looks at all rules; gives back one flag a rule: whether it matches the empty text.
///
/// # Errors
/// [`Error::NeverEnds`], [`Error::LeftRecursion`].
pub(crate) fn check(ir: &Ir, source: &str) -> Result<Vec<bool>, Error> {
    let ends = least(ir, true);
    let place = |index: usize| {
        let rule = ir.rules.get(index);
        rule.map_or_else(
            || Place::new(source, 0, 0),
            |rule| Place::new(source, rule.offset, rule.offset + rule.name.len()),
        )
    };
    let endless: Vec<usize> = (0..ir.rules.len()).filter(|index| ends.get(*index) == Some(&false)).collect();
    if let Some(first) = endless.first() {
        let rules = endless.iter().filter_map(|index| ir.rules.get(*index)).map(|rule| rule.name.clone()).collect();
        return Err(Error::NeverEnds { place: place(*first), rules });
    }
    let nullable = least(ir, false);
    if let Some(cycle) = left_cycle(ir, &nullable) {
        let names = cycle.iter().chain(cycle.first()).filter_map(|index| ir.rules.get(*index));
        let cycle_names = names.map(|rule| rule.name.clone()).collect();
        return Err(Error::LeftRecursion { place: place(cycle.first().copied().unwrap_or(0)), cycle: cycle_names });
    }
    Ok(nullable)
}

/// The least solution of a property of rules that is told by what they are made of; `of_text` says whether it holds for
/// what reads a character or a token, the empty text always has it. One flag a rule. Takes time linear in the grammar:
/// each expression waits for as many of its parts as it needs, and is told of each of them once.
fn least(ir: &Ir, of_text: bool) -> Vec<bool> {
    let mut waiting =
        Waiting { of_text, nodes: vec![Node { parent: 0, missing: 1 }; ir.rules.len()], calls: Vec::new() };
    waiting.calls.resize(ir.rules.len(), Vec::new());
    let mut told = Vec::new();
    for (index, rule) in ir.rules.iter().enumerate() {
        waiting.add(&rule.body, index, &mut told);
    }
    while let Some(index) = told.pop() {
        let Some(node) = waiting.nodes.get_mut(index).filter(|node| node.missing > 0) else { continue };
        node.missing -= 1;
        if node.missing > 0 {
            continue;
        }
        match waiting.calls.get_mut(index) {
            Some(calls) => told.append(calls),
            None => told.push(node.parent),
        }
    }
    waiting.nodes.iter().take(ir.rules.len()).map(|node| node.missing == 0).collect()
}

/// The rules, in their order, and the lists and choices in their bodies.
struct Waiting {
    of_text: bool,
    nodes: Vec<Node>,
    /// For each rule, the nodes that call it.
    calls: Vec<Vec<usize>>,
}

#[derive(Clone, Copy)]
struct Node {
    /// The node around this one; nothing of a rule.
    parent: usize,
    /// Parts that still have to have the property; none where the node itself has it.
    missing: usize,
}

impl Waiting {
    /// Adds `expr`, which is part of the node `parent`; `told` gets the nodes of which a part has the property.
    fn add(&mut self, expr: &Expr, parent: usize, told: &mut Vec<usize>) {
        let missing = match expr {
            Expr::Literal(text) if text.is_empty() => 0,
            Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } if self.of_text => 0,
            Expr::Repeat { min: 0, .. } => 0,
            Expr::Sequence(items) => items.len(),
            Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } => return,
            Expr::Alternatives(_) => 1,
            Expr::Repeat { item, .. } => return self.add(item, parent, told),
            Expr::Rule(id) => {
                if let Some(calls) = self.calls.get_mut(id.index()) {
                    calls.push(parent);
                }
                return;
            }
        };
        if missing == 0 {
            told.push(parent);
            return;
        }
        let node = self.nodes.len();
        self.nodes.push(Node { parent, missing });
        expr.children().iter().for_each(|child| self.add(child, node, told));
    }
}

/// Whether `expr` matches the empty text, where `nullable` says so of the rules.
pub(crate) fn is_nullable(expr: &Expr, nullable: &[bool]) -> bool {
    match expr {
        Expr::Literal(text) => text.is_empty(),
        Expr::Class(_) | Expr::Token { .. } => false,
        Expr::Rule(id) => nullable.get(id.index()).copied().unwrap_or(false),
        Expr::Sequence(items) => items.iter().all(|item| is_nullable(item, nullable)),
        Expr::Alternatives(items) => items.iter().any(|item| is_nullable(item, nullable)),
        Expr::Repeat { item, min, .. } => *min == 0 || is_nullable(item, nullable),
    }
}

/// Rules that may be entered before the first character of `expr`.
fn left_rules(expr: &Expr, nullable: &[bool], found: &mut Vec<usize>) {
    match expr {
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } | Expr::Repeat { max: Some(0), .. } => {}
        Expr::Rule(id) => found.push(id.index()),
        Expr::Sequence(items) => {
            for item in items {
                left_rules(item, nullable, found);
                if !is_nullable(item, nullable) {
                    break;
                }
            }
        }
        Expr::Alternatives(items) => items.iter().for_each(|item| left_rules(item, nullable, found)),
        Expr::Repeat { item, .. } => left_rules(item, nullable, found),
    }
}

/// A cycle of left calls, each rule once.
fn left_cycle(ir: &Ir, nullable: &[bool]) -> Option<Vec<usize>> {
    let calls: Vec<Vec<usize>> = (ir.rules.iter())
        .map(|rule| {
            let mut found = Vec::new();
            left_rules(&rule.body, nullable, &mut found);
            found
        })
        .collect();
    let mut done = vec![false; calls.len()];
    let mut on_path = vec![false; calls.len()];
    let mut path: Vec<(usize, usize)> = Vec::new();
    for start in 0..calls.len() {
        if done.get(start) == Some(&true) {
            continue;
        }
        path.push((start, 0));
        set(&mut on_path, start, true);
        while let Some((rule, next)) = path.last_mut() {
            let callee = calls.get(*rule).and_then(|callees| callees.get(*next)).copied();
            *next += 1;
            match callee {
                Some(callee) if on_path.get(callee) == Some(&true) => {
                    return Some(path.iter().map(|(rule, _)| *rule).skip_while(|rule| *rule != callee).collect());
                }
                Some(callee) if done.get(callee) == Some(&false) => {
                    path.push((callee, 0));
                    set(&mut on_path, callee, true);
                }
                Some(_) => {}
                None => {
                    set(&mut done, *rule, true);
                    set(&mut on_path, *rule, false);
                    path.pop();
                }
            }
        }
    }
    None
}

fn set(flags: &mut [bool], index: usize, value: bool) {
    if let Some(flag) = flags.get_mut(index) {
        *flag = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Limits, parse};
    use crate::inference::Vocab;

    fn flags(source: &str) -> (Vec<bool>, Vec<bool>) {
        let ir = parse(source, &Vocab::new(Vec::new(), Vec::new(), None), &Limits::default()).unwrap();
        (least(&ir, true), least(&ir, false))
    }

    #[test]
    fn what_can_end_and_what_can_be_empty_is_told_of_each_rule() {
        let source = "root ::= a b c d e f\na ::= \"x\"?\nb ::= a a{2,3}\nc ::= c \"y\" | b b\nd ::= \"z\" d\n\
                      e ::= (a | d) (b | e)\nf ::= f{0,2} \"w\"\n";
        let (ends, nullable) = flags(source);
        assert_eq!(ends, [false, true, true, true, false, true, true]);
        assert_eq!(nullable, [false, true, true, true, false, true, false]);
    }

    #[test]
    fn an_alternative_that_holds_twice_counts_once() {
        let (ends, nullable) = flags("root ::= (a | a | \"\") b\na ::= \"\"\nb ::= b \"x\"\n");
        assert_eq!((ends, nullable), (vec![false, true, false], vec![false, true, false]));
    }
}
