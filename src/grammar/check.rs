//! What must hold before a grammar is compiled: every rule can end, and none calls itself before it has read anything.
//!
//! Both hold for all rules, used or not. With them, every text that the matcher lets through can be completed, and
//! looking for the next byte ends.

use super::error::{Error, Place};
use super::ir::{Expr, Ir, Rule};

/// Looks at all rules; gives back one flag a rule: whether it matches the empty text.
///
/// # Errors
/// [`Error::NeverEnds`], [`Error::LeftRecursion`].
pub(crate) fn check(ir: &Ir, source: &str) -> Result<Vec<bool>, Error> {
    let ends = fixpoint(ir, can_end);
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
    let nullable = fixpoint(ir, is_nullable);
    if let Some(cycle) = left_cycle(ir, &nullable) {
        let names = cycle.iter().chain(cycle.first()).filter_map(|index| ir.rules.get(*index));
        let cycle_names = names.map(|rule| rule.name.clone()).collect();
        return Err(Error::LeftRecursion { place: place(cycle.first().copied().unwrap_or(0)), cycle: cycle_names });
    }
    Ok(nullable)
}

/// The least solution of a property of rules that is defined by the rules' bodies.
fn fixpoint(ir: &Ir, holds: fn(&Expr, &[bool]) -> bool) -> Vec<bool> {
    let mut known = vec![false; ir.rules.len()];
    // Rules mostly call later ones, or earlier ones: looked at in both directions in turn, either takes two rounds.
    let mut order: Vec<(usize, &Rule)> = ir.rules.iter().enumerate().collect();
    loop {
        let mut changed = false;
        order.reverse();
        for &(index, rule) in &order {
            if known.get(index) == Some(&false) && holds(&rule.body, &known) {
                changed = true;
                if let Some(flag) = known.get_mut(index) {
                    *flag = true;
                }
            }
        }
        if !changed {
            return known;
        }
    }
}

fn can_end(expr: &Expr, ends: &[bool]) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } => true,
        Expr::Rule(id) => ends.get(id.index()).copied().unwrap_or(false),
        Expr::Sequence(items) => items.iter().all(|item| can_end(item, ends)),
        Expr::Alternatives(items) => items.iter().any(|item| can_end(item, ends)),
        Expr::Repeat { item, min, .. } => *min == 0 || can_end(item, ends),
    }
}

/// Whether `expr` matches the empty text, where `nullable` says so of the rules.
pub(crate) fn is_nullable(expr: &Expr, nullable: &[bool]) -> bool {
    match expr {
        Expr::Literal(_) | Expr::Class(_) | Expr::Token { .. } => false,
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
