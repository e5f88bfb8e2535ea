//! What a step costs besides the model: writing and compiling its grammar, checking tokens, rendering the prompt. On the
//! scripted engine's vocabulary, so that no weights are needed. Run: `cargo bench --bench step`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use mneme::dialect::{Dialect, Profile, PromptParts, choose};
use mneme::functions;
use mneme::grammar::{Compiler, Limits};
use mneme::inference::{Engine, Script, ScriptedEngine, tokenize_text};
use mneme::kernel::step::Offer;
use mneme::kernel::{BlockView, MemoryView, step_policy};
use mneme::types::{Body, Constraint, Message, MessageId, StepPolicy};

fn dialect(engine: &ScriptedEngine) -> Box<dyn Dialect> {
    choose(engine.identity(), engine.vocab(), Profile::Native).expect("the scripted model has a template").dialect
}

/// What a step may do; `edit` changes one line of core memory.
fn policy(edit: usize) -> StepPolicy {
    let block = |label: &str, lines: usize| BlockView {
        label: label.to_owned(),
        lines: (0..lines).map(|line| format!("Line {line} says {}.", if line == 7 { edit } else { 0 })).collect(),
        chars: 27 * lines,
        limit_chars: 2000,
    };
    let memory = MemoryView {
        blocks: vec![block("persona", 3), block("human", 20)],
        recall_count: 1000,
        has_evicted: true,
        archival_count: 100,
        saves_by_itself: true,
        max_answer_chars: 3000,
        ..MemoryView::default()
    };
    step_policy(Offer::Everything, &memory)
}

fn grammar(criterion: &mut Criterion) {
    let engine = ScriptedEngine::new(Script::default());
    let dialect = dialect(&engine);
    let policy = policy(0);
    let compiler = Compiler::new(Arc::clone(engine.vocab()), Limits::default());
    compiler.warm_up();
    let source = dialect.grammar(&policy).expect("the policy allows something");
    criterion.bench_function("write the grammar of a step", |bencher| {
        bencher.iter(|| dialect.grammar(black_box(&policy)));
    });
    // As many as are never kept: each compiles what the edit of a line changed, the rest is shared.
    let edited: Vec<String> =
        (0..64).map(|edit| dialect.grammar(&self::policy(edit)).expect("the policy allows something")).collect();
    let mut next = edited.iter().cycle();
    criterion.bench_function("compile the grammar of a step behind an edit", |bencher| {
        bencher.iter(|| compiler.compile(black_box(next.next().expect("it goes round"))));
    });
    criterion.bench_function("compile the grammar of a step again", |bencher| {
        bencher.iter(|| compiler.compile(black_box(&source)));
    });
    let text = "The weather was fine, and so we walked along the river until it got dark. ".repeat(4);
    let tokens = tokenize_text(&engine, text.trim()).expect("text is tokenised");
    criterion.bench_function("check and take 80 tokens of text", |bencher| {
        let grammar = compiler.compile(&source).expect("it compiles");
        bencher.iter(|| {
            let mut matcher = grammar.matcher().expect("it starts");
            for token in &tokens {
                assert!(matcher.allows(*token).expect("within limits"));
                matcher.commit(*token).expect("within limits");
            }
        });
    });
}

fn prompt(criterion: &mut Criterion) {
    let engine = ScriptedEngine::new(Script::default());
    let dialect = dialect(&engine);
    let messages: Vec<Message> = (0..60)
        .map(|id| {
            let text = format!("Message {id} of a conversation that goes on for a while.");
            let body = if id % 2 == 0 {
                Body::User { text }
            } else {
                Body::Assistant { thoughts: None, text: Some(text), call: None }
            };
            Message { id: MessageId(id), at_ms: id * 60_000, body, interrupted: false, stub: None }
        })
        .collect();
    let functions = functions::schemas(|_| true);
    let parts = PromptParts {
        instructions: "You are a companion.",
        functions: &functions,
        core_memory: "<human>\nThe user is patient.\n</human>",
        messages: &messages,
        zone: &TimeZone::UTC,
    };
    criterion.bench_function("render a prompt of 60 messages", |bencher| {
        bencher.iter(|| dialect.render(black_box(&parts)));
    });
}

criterion_group!(benches, grammar, prompt);
criterion_main!(benches);
