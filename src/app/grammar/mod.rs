//! `mneme grammar ..`: checking, trying and making grammars.
//!
//! Only `sample` loads a model; the others read the vocabulary from the file's metadata, and only where it is needed.

mod walk;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use self::walk::ByteGrammar;
use super::engine::Blueprint;
use super::input::{self, GrammarText, Inputs};
use super::output::{print_text, tell};
use super::writer::Writer;
use super::{Error, chat};
use crate::cli::{
    EngineName, ExitCode, GrammarArgs, GrammarCommand, JsonFormArgs, ModelArgs, TriggerArgs, WhitespaceName,
    WritingArgs,
};
use crate::config::{self, Config, ConfigFile, Overrides};
use crate::grammar::{self, Compiler, Expr, Grammar, Ir, Limits, Trigger, parse, schema};
use crate::inference::Vocab;
use crate::kernel;
use crate::memory::{self, Store};
use crate::types::SystemClock;
use crate::{dialect, ui};

/// Samples are to differ from each other.
const SAMPLE_TEMPERATURE: f32 = 0.8;

/// Runs a `mneme grammar` command.
///
/// # Errors
/// The grammar, schema, model or agent that was named cannot be used.
pub(super) fn run(command: &GrammarCommand) -> Result<ExitCode, Error> {
    match command {
        GrammarCommand::List => list(),
        GrammarCommand::Check { grammar } => check(grammar),
        GrammarCommand::Accepts { grammar, input, triggers } => accepts(grammar, input, triggers),
        GrammarCommand::Mask { file, model, prefix, triggers, pieces } => {
            mask(file, model, prefix.as_deref().unwrap_or_default(), triggers, *pieces)
        }
        GrammarCommand::FromSchema { schema, form } => from_schema(schema, form),
        GrammarCommand::Show { name: Some(name), .. } => show_shipped(name),
        GrammarCommand::Show { agent, model, engine, .. } => {
            show_next_step(agent.as_deref().unwrap_or_default(), model.as_deref(), *engine)
        }
        GrammarCommand::Sample { file, count, model, writing } => sample(file, *count, model, writing),
    }
}

fn list() -> Result<ExitCode, Error> {
    let width = input::SHIPPED.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (name, source) in input::SHIPPED {
        let first = source.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let about = first.split_once(". ").map_or(first, |(sentence, _)| sentence).trim_end_matches('.');
        text.push_str(&format!("{name:width$}  {about}\n"));
    }
    print_text(&text)?;
    Ok(ExitCode::Ok)
}

fn check(arguments: &GrammarArgs) -> Result<ExitCode, Error> {
    let text = Inputs::default().grammar(&arguments.file)?;
    let vocab = vocab_of(arguments)?;
    let has_model = vocab.is_some();
    let vocab = vocab.unwrap_or_else(|| Arc::new(Vocab::new(Vec::new(), Vec::new(), None)));
    let (ir, grammar) = parsed(&text, &TriggerArgs::default(), &vocab, has_model)?;
    let (rules, positions) = (ir.rules.len(), grammar.position_count()?);
    let rule_word = if rules == 1 { "rule" } else { "rules" };
    print_text(&format!("{}: {rules} {rule_word}, {positions} positions, all right\n", text.name))?;
    let unused = unused_rules(&ir);
    if !unused.is_empty() {
        tell(&format!("note: not used from root: {}", unused.join(", ")));
    }
    Ok(ExitCode::Ok)
}

fn accepts(arguments: &GrammarArgs, input: &str, triggers: &TriggerArgs) -> Result<ExitCode, Error> {
    let mut inputs = Inputs::default();
    let text = inputs.grammar(&arguments.file)?;
    let input = inputs.text_bytes("input", input)?;
    let grammar = ByteGrammar::compile(&text, triggers, vocab_of(arguments)?.as_deref())?;
    if grammar.depends_on_tokens() {
        return Err(Error::DependsOnTokens { name: text.name });
    }
    let reached = grammar.walk(&input)?;
    let next = grammar.next(&reached)?;
    if reached.at_byte == input.len() && next.may_end {
        print_text("accepted\n")?;
        return Ok(ExitCode::Ok);
    }
    print_text(&(words::rejection(&grammar, &input, reached.at_byte, &next) + "\n"))?;
    Ok(ExitCode::Failed)
}

fn mask(file: &str, model: &ModelArgs, prefix: &str, triggers: &TriggerArgs, pieces: bool) -> Result<ExitCode, Error> {
    let mut inputs = Inputs::default();
    let text = inputs.grammar(file)?;
    let prefix = inputs.text_bytes("prefix", prefix)?;
    let vocab = Blueprint::read(model.engine, &model.model)?.vocab;
    let grammar = ByteGrammar::compile(&text, triggers, Some(&vocab))?;
    if grammar.depends_on_tokens() && !prefix.is_empty() {
        return Err(Error::DependsOnTokens { name: text.name });
    }
    let reached = grammar.walk(&prefix)?;
    let next = grammar.next(&reached)?;
    if reached.at_byte < prefix.len() {
        let rejection = words::rejection(&grammar, &prefix, reached.at_byte, &next);
        anstream::eprintln!("{}", ui::sanitize(&format!("the prefix is {rejection}")));
        return Ok(ExitCode::Failed);
    }
    let ids: Vec<u32> = next.tokens.iter().map(|token| token.0).collect();
    let spelled: Option<Vec<String>> =
        pieces.then(|| next.tokens.iter().map(|token| grammar.spelled(*token)).collect());
    let answer = match spelled {
        Some(pieces) => json!({"count": ids.len(), "may_end": next.may_end, "ids": ids, "pieces": pieces}),
        None => json!({"count": ids.len(), "may_end": next.may_end, "ids": ids}),
    };
    print_text(&format!("{answer}\n"))?;
    Ok(ExitCode::Ok)
}

fn from_schema(file: &str, form: &JsonFormArgs) -> Result<ExitCode, Error> {
    print_text(&schema_ir(&mut Inputs::default(), file, form)?.to_string())?;
    Ok(ExitCode::Ok)
}

fn show_shipped(name: &str) -> Result<ExitCode, Error> {
    let text = Inputs::default().grammar(name)?;
    print_text(&text.source)?;
    Ok(ExitCode::Ok)
}

fn show_next_step(agent: &str, model: Option<&str>, engine: EngineName) -> Result<ExitCode, Error> {
    let home = config::home_from_environment()?;
    let database = home.join(config::DATABASE_NAME);
    if !database.is_file() {
        return Err(memory::Error::UnknownAgent { name: agent.to_owned(), known: Vec::new() }.into());
    }
    let store = Store::open(&database, &SystemClock)?;
    let view = store.view(agent)?;
    let info = view.info()?;
    let config = Config::new(home.clone(), ConfigFile::read(&home)?, Overrides::default())?;
    let blueprint = match model {
        Some(model) => Blueprint::read(engine, model)?,
        None => model_of_agent(agent, &info.model)?,
    };
    let profile = chat::resumed_profile(&config, &info);
    let chosen = dialect::choose(&blueprint.identity, &blueprint.vocab, profile)?;
    if let Some(notice) = chosen.notice {
        tell(&format!("note: {notice}"));
    }
    let settings = chat::settings(&config, profile);
    let grammar = kernel::next_step_grammar(view, &*chosen.dialect, &settings, info.context_window_tokens)?;
    print_text(&grammar)?;
    Ok(ExitCode::Ok)
}

/// The model that `agent` was opened on last; no script is needed to know the scripted engine.
fn model_of_agent(agent: &str, model: &str) -> Result<Blueprint, Error> {
    let scripted = Blueprint::scripted();
    match Blueprint::read(EngineName::LlamaCpp, model) {
        Err(Error::Models(_)) if model == scripted.identity.name => Ok(scripted),
        Err(Error::Models(source)) => {
            Err(Error::ModelOfAgent { agent: agent.to_owned(), model: model.to_owned(), source })
        }
        other => other,
    }
}

fn sample(file: &str, count: u32, model: &ModelArgs, writing: &WritingArgs) -> Result<ExitCode, Error> {
    let mut inputs = Inputs::default();
    let text = inputs.grammar(file)?;
    let prompt = inputs.text("prompt", writing.prompt.as_deref().unwrap_or_default())?;
    let blueprint = Blueprint::read(model.engine, &model.model)?;
    let grammar = compiled(&text, &[], &Compiler::new(blueprint.vocab, Limits::default()))?;
    let mut writer = Writer::open(model, writing, &prompt, SAMPLE_TEMPERATURE)?;
    let mut code = ExitCode::Ok;
    for number in 0..count {
        let written = writer.write(Some(&grammar), number.into(), &mut |_| Ok(()))?;
        if written.is_cancelled() {
            return Ok(ExitCode::Interrupted);
        }
        print_text(&format!("{}\n", serde_json::Value::from(written.text.as_str())))?;
        if written.accepted == Some(false) {
            tell(&format!("note: sample {} is not complete: {}", number + 1, written.stop_sentence()));
            code = ExitCode::Failed;
        }
    }
    Ok(code)
}

/// The grammar of a schema file.
///
/// # Errors
/// It cannot be read, is not JSON, or asks for something that cannot be held.
pub(super) fn schema_ir(inputs: &mut Inputs, file: &str, form: &JsonFormArgs) -> Result<Ir, Error> {
    let schema = inputs.schema(file)?;
    let whitespace = match form.whitespace {
        WhitespaceName::Compact => schema::Whitespace::Compact,
        WhitespaceName::Template => schema::Whitespace::Template,
        WhitespaceName::Flexible => schema::Whitespace::Flexible,
    };
    let undeclared_properties = !form.closed;
    let options = schema::Options { whitespace, undeclared_properties, ..schema::Options::default() };
    schema::compile(&schema, &options).map_err(|source| Error::Schema { name: file.to_owned(), source })
}

/// Compiles a grammar whose tokens are those of the compiler's vocabulary; a lazy one where there are triggers.
///
/// # Errors
/// The grammar is wrong, or has no text that begins with a trigger.
pub(super) fn compiled(text: &GrammarText, triggers: &[Trigger], compiler: &Compiler) -> Result<Grammar, Error> {
    let compiled = match triggers {
        [] => compiler.compile(&text.source),
        triggers => compiler.compile_lazy(&text.source, triggers),
    };
    compiled.map_err(|source| Error::Grammar { name: text.name.clone(), source })
}

/// The triggers that were named; tokens are those of `vocab`.
///
/// # Errors
/// There is no such control token.
pub(super) fn triggers(arguments: &TriggerArgs, vocab: &Vocab) -> Result<Vec<Trigger>, Error> {
    let texts = arguments.texts.iter().map(|text| Ok(Trigger::Literal(text.clone())));
    let tokens = arguments.tokens.iter().map(|name| match vocab.control(name) {
        Some(token) => Ok(Trigger::Token(token)),
        None => Err(Error::UnknownToken { name: name.clone() }),
    });
    texts.chain(tokens).collect()
}

/// Reads and compiles a grammar, a lazy one where there are triggers. Without a model, a token in it is an error that
/// asks for one.
fn parsed(
    text: &GrammarText,
    triggers: &TriggerArgs,
    vocab: &Arc<Vocab>,
    has_model: bool,
) -> Result<(Ir, Grammar), Error> {
    let limits = Limits::default();
    let refused = |source| match source {
        grammar::Error::Token { place, .. } if !has_model => Error::NeedsModel { name: text.name.clone(), place },
        source => Error::Grammar { name: text.name.clone(), source },
    };
    let ir = parse(&text.source, vocab, &limits).map_err(refused)?;
    let triggers = self::triggers(triggers, vocab)?;
    let compiler = Compiler::new(Arc::clone(vocab), limits);
    let grammar = compiler.compile_parsed(&ir, &text.source, &triggers).map_err(refused)?;
    Ok((ir, grammar))
}

fn vocab_of(arguments: &GrammarArgs) -> Result<Option<Arc<Vocab>>, Error> {
    let blueprint = arguments.model.as_deref().map(|model| Blueprint::read(arguments.engine, model)).transpose()?;
    Ok(blueprint.map(|blueprint| blueprint.vocab))
}

/// Names of the rules that no way leads to from the root.
fn unused_rules(ir: &Ir) -> Vec<String> {
    let mut open = vec![ir.root.0 as usize];
    let mut used = HashSet::new();
    while let Some(rule) = open.pop() {
        if used.insert(rule)
            && let Some(rule) = ir.rules.get(rule)
        {
            rule.body.walk(&mut |expr| {
                if let Expr::Rule(rule) = expr {
                    open.push(rule.0 as usize);
                }
            });
        }
    }
    let unused = ir.rules.iter().enumerate().filter(|(index, _)| !used.contains(index));
    unused.map(|(_, rule)| rule.name.clone()).collect()
}
