//! `mneme complete`: a model writes on from a prompt, held to a grammar or a schema.

use std::io::IsTerminal;
use std::sync::Arc;

use serde_json::json;

use super::engine::Blueprint;
use super::input::Inputs;
use super::output::{print_text, tell};
use super::writer::{Writer, Written};
use super::{Error, grammar};
use crate::cli::{CompleteArgs, ExitCode};
use crate::grammar::{Compiler, Limits};

/// Greedy: a run can be repeated.
const DEFAULT_TEMPERATURE: f32 = 0.0;

/// Writes the text to standard output as it grows, or a JSON object at the end.
///
/// # Errors
/// The grammar, schema, prompt or model cannot be used.
pub(super) fn run(arguments: &CompleteArgs) -> Result<ExitCode, Error> {
    // Whatever can be refused is refused before the weights are loaded.
    let mut inputs = Inputs::default();
    let text = arguments.grammar.as_deref().map(|file| inputs.grammar(file)).transpose()?;
    let schema = arguments.schema.as_deref();
    let schema = schema.map(|file| grammar::schema_ir(&mut inputs, file, &arguments.form)).transpose()?;
    let prompt = inputs.text("prompt", arguments.writing.prompt.as_deref().unwrap_or_default())?;
    let blueprint = Blueprint::read(arguments.model.engine, &arguments.model.model)?;
    let compiler = Compiler::new(Arc::clone(&blueprint.vocab), Limits::default());
    let triggers = grammar::triggers(&arguments.triggers, &blueprint.vocab)?;
    let grammar = match (text, schema) {
        (Some(text), _) => Some(grammar::compiled(&text, &triggers, &compiler)?),
        (None, Some(ir)) => {
            let name = arguments.schema.clone().unwrap_or_default();
            let compiled = match triggers.as_slice() {
                [] => compiler.compile_ir(&ir),
                triggers => compiler.compile_lazy_ir(&ir, triggers),
            };
            Some(compiled.map_err(|source| Error::Grammar { name, source })?)
        }
        (None, None) => None,
    };
    let mut writer = Writer::open(&arguments.model, &arguments.writing, &prompt, DEFAULT_TEMPERATURE)?;
    let streams = !arguments.json;
    let written = writer.write(grammar.as_ref(), 0, &mut |piece| if streams { print_text(piece) } else { Ok(()) })?;
    if arguments.json {
        print_text(&format!("{}\n", report(&blueprint.identity.name, &written)))?;
    } else if !written.text.ends_with('\n') && std::io::stdout().is_terminal() {
        print_text("\n")?;
    }
    if !written.stop.is_whole() {
        tell(&format!("note: {}", written.stop_sentence()));
    }
    Ok(match written.accepted {
        _ if written.is_cancelled() => ExitCode::Interrupted,
        Some(false) => ExitCode::Failed,
        Some(true) | None => ExitCode::Ok,
    })
}

fn report(model: &str, written: &Written) -> serde_json::Value {
    let Written { text, accepted, token_count, prompt_token_count, read, stats, .. } = written;
    json!({
        "text": text,
        "stop_reason": written.stop_word(),
        "accepted": accepted,
        "model": model,
        "prompt_tokens": prompt_token_count,
        "tokens": token_count,
        "tokens_sampled": stats.tokens_sampled,
        "tokens_forced": stats.tokens_forced,
        "forward_passes": read.forward_passes + stats.forward_passes,
        "read_ms": read.read_ms,
        "decode_ms": stats.decode_ms,
        "mask_us": stats.mask_us,
    })
}
