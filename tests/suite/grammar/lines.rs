//! Where the lines of a grammar's text end, and what goes on over their ends.

use mneme::grammar::Error;

use super::{accepts, compile, refusal};

#[test]
fn comments_and_rules_end_with_the_line_whichever_way_it_ends() {
    for end in ["\n", "\r", "\r\n"] {
        let lines = ["root ::= a # first", "# second", "a ::= (\"x\" # third", "| b)", "b ::= \"y\"", ""];
        let grammar = compile(&lines.join(end));
        assert!(accepts(&grammar, "x") && accepts(&grammar, "y"), "{end:?}");
        let error = refusal(&format!("# one{end}root ::= \"a\"{end}# three{end}d ::= nope{end}"));
        assert!(matches!(&error, Error::UndefinedRule { name, .. } if name == "nope"), "{end:?}: {error}");
        let place = error.place().unwrap();
        assert_eq!((place.line, place.column, place.excerpt.lines().next()), (4, 7, Some("4 | d ::= nope")), "{end:?}");
        let error = refusal(&format!("root ::= <tool_call{end}> \"a\"{end}"));
        assert!(matches!(&error, Error::Syntax { problem, .. } if problem == "`>` is missing"), "{end:?}: {error}");
    }
}

#[test]
fn lines_may_go_on_with_a_bar_and_names_may_hold_underscores() {
    let grammar =
        compile("# first\nroot ::= my_rule # why\n  | \"c\"\n\nmy_rule ::= (\n  \"a\" # in a group\n  | \"b\"\n)\n");
    assert!(["a", "b", "c"].iter().all(|text| accepts(&grammar, text)));
}
