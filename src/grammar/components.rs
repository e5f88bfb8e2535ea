//! Rules in the order in which they can be compiled: those that are called before those that call them.

#![expect(clippy::indexing_slicing, reason = "rule ids index tables that are made for them")]

use super::ir::{Expr, Ir, RuleId};

/// Rules that all call each other, over however many steps; mostly a single one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) rules: Vec<RuleId>,
    /// Whether a rule of it can call itself.
    pub(crate) is_recursive: bool,
}

const UNSEEN: u32 = u32::MAX;

/// The components that the root reaches, callees first (Tarjan's algorithm, without recursion).
pub(crate) fn components(ir: &Ir) -> Vec<Component> {
    let mut order = vec![UNSEEN; ir.rules.len()];
    let mut lowest = vec![UNSEEN; ir.rules.len()];
    let mut open = vec![false; ir.rules.len()];
    let mut stack = Vec::new();
    let mut found = Vec::new();
    let mut seen = 0;
    let mut path: Vec<(RuleId, Vec<RuleId>, usize)> = Vec::new();
    let mut entered = Some(ir.root);
    loop {
        if let Some(rule) = entered.take() {
            order[rule.index()] = seen;
            lowest[rule.index()] = seen;
            seen += 1;
            open[rule.index()] = true;
            stack.push(rule);
            path.push((rule, calls(&ir.rules[rule.index()].body), 0));
        }
        let Some((rule, callees, at)) = path.last_mut() else { return found };
        let rule = *rule;
        if let Some(&callee) = callees.get(*at) {
            *at += 1;
            if order[callee.index()] == UNSEEN {
                entered = Some(callee);
            } else if open[callee.index()] {
                lowest[rule.index()] = lowest[rule.index()].min(order[callee.index()]);
            }
            continue;
        }
        let calls_itself = callees.contains(&rule);
        path.pop();
        if let Some((caller, ..)) = path.last() {
            lowest[caller.index()] = lowest[caller.index()].min(lowest[rule.index()]);
        }
        if lowest[rule.index()] == order[rule.index()] {
            let first = stack.iter().rposition(|other| *other == rule).unwrap_or(0);
            let rules = stack.split_off(first);
            rules.iter().for_each(|rule| open[rule.index()] = false);
            found.push(Component { is_recursive: rules.len() > 1 || calls_itself, rules });
        }
    }
}

/// Rules that `expr` calls, each once.
fn calls(expr: &Expr) -> Vec<RuleId> {
    let mut found = Vec::new();
    expr.walk(&mut |expr| {
        if let Expr::Rule(id) = expr {
            found.push(*id);
        }
    });
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Limits, parse};
    use crate::inference::Vocab;

    #[test]
    fn callees_come_first_and_circles_are_one_component() {
        let source = "root ::= a b\na ::= \"x\" b | c\nb ::= \"y\" d?\nc ::= \"z\" a?\nd ::= \"d\" d?\nunused ::= a\n";
        let ir = parse(source, &Vocab::new(Vec::new(), Vec::new(), None), &Limits::default()).unwrap();
        let names: Vec<(Vec<&str>, bool)> = (components(&ir).iter())
            .map(|component| {
                let mut names: Vec<&str> =
                    component.rules.iter().map(|id| ir.rules[id.index()].name.as_str()).collect();
                names.sort_unstable();
                (names, component.is_recursive)
            })
            .collect();
        assert_eq!(names, [(vec!["d"], true), (vec!["b"], false), (vec!["a", "c"], true), (vec!["root"], false)]);
    }
}
