//! `mneme bench functions`: models are asked the cases of a suite, with and without the grammar of the functions at hand.
//!
//! Replies are kept as they come, so that a run that was killed goes on, and one that asks for more cases asks only those
//! (`bench::functions::Work`). Ctrl-C ends the asking; what was answered until then is reported.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::interrupt::raised_by_ctrl_c;
use super::output::tell;
use super::{Error, bench};
use crate::bench::bfcl::{self, WHEEL};
use crate::bench::energy::EnergyMeter;
use crate::bench::functions::{
    Answer, Answered, Caller, Case, Category, Circumstances, Constrained, Judge, Parting, Partings, Question, Report,
    Row, Settings, Throughput, Verdict, Work, Written, compare, drawn, page, present, read,
};
use crate::bench::machine::Machine;
use crate::cli::{CategoryArg, EngineName, ExitCode, FunctionsBenchArgs};
use crate::config::{self, Config, ConfigFile, Overrides};
use crate::dialect::Profile;
use crate::models::{TerminalProgress, default_bench_dir, model_digest};
use crate::types::Cancel;

/// Name of the suite that is fetched.
const LEADERBOARD: &str = "bfcl";
/// Progress is told so often, at most.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Asks the cases and prints the figures.
///
/// # Errors
/// The suite cannot be read, a model cannot be loaded or fails, or a file cannot be written.
pub(super) fn run(arguments: &FunctionsBenchArgs) -> Result<ExitCode, Error> {
    if !arguments.compare.is_empty() {
        return compare_reports(&arguments.compare);
    }
    let dir = default_bench_dir().map_err(|source| Error::BenchData { source })?;
    let suite = match arguments.suite.as_str() {
        LEADERBOARD => WHEEL.folder(&dir),
        folder => PathBuf::from(folder),
    };
    let (cases, sizes) = cases(&suite, arguments)?;
    let memory = arguments.memory.iter().map(|path| report_at(path)).collect::<Result<Vec<bfcl::Summary>, Error>>()?;
    let cancel = raised_by_ctrl_c()?;
    let judge = Judge::new()?;
    let mut answered = Vec::with_capacity(arguments.models.len());
    for model in &arguments.models {
        if !cancel.is_raised() {
            answered.push(ask_model(model, arguments, &dir, &cases, &judge, &cancel)?);
        }
    }
    let Machine { cpu, cores, .. } = Machine::detect();
    let circumstances = Circumstances {
        date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine: format!("{cpu}, {cores} cores"),
        engine: arguments.engine.as_str().to_owned(),
        suite: if arguments.suite == LEADERBOARD { WHEEL.name.to_owned() } else { arguments.suite.clone() },
        profile: Profile::from(arguments.profile).as_str().to_owned(),
        count: (!arguments.all).then_some(arguments.count),
        seed: arguments.seed,
    };
    let size_of = |category| sizes.get(&category).copied().unwrap_or_default();
    let report = Report::new(circumstances, &answered, &size_of, memory);
    anstream::println!("{}", crate::ui::sanitize(&report.table()));
    if let Some(folder) = &arguments.report {
        write_report(folder, &report, &answered)?;
        tell(&format!("The report is in {}.", folder.display()));
    }
    Ok(if cancel.is_raised() { ExitCode::Interrupted } else { ExitCode::Ok })
}

/// Prints earlier reports side by side.
fn compare_reports(paths: &[PathBuf]) -> Result<ExitCode, Error> {
    let mut reports = Vec::with_capacity(paths.len());
    for path in paths {
        reports.push((path.display().to_string(), report_at(path)?));
    }
    anstream::println!("{}", crate::ui::sanitize(&compare(&reports)));
    Ok(ExitCode::Ok)
}

/// What an earlier run has written.
fn report_at<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = std::fs::read(path).map_err(|source| config::Error::File { path: path.to_owned(), source })?;
    let report = serde_json::from_slice(&bytes);
    Ok(report.map_err(|source| crate::bench::functions::Error::BadReport { path: path.to_owned(), source })?)
}

/// The cases that are asked, by category, and how many cases each category has.
type Cases = (Vec<(Category, Vec<Case>)>, HashMap<Category, usize>);

fn cases(suite: &Path, arguments: &FunctionsBenchArgs) -> Result<Cases, Error> {
    let is_all = arguments.categories.contains(&CategoryArg::All);
    let is_leaderboard = arguments.suite == LEADERBOARD;
    let there = present(suite);
    let is_named = |category: &Category| arguments.categories.contains(&CategoryArg::One(*category));
    // Of the leaderboard all files must be there: a missing one is an error that says how to fetch them.
    let is_chosen = |category: &Category| match is_all {
        true => is_leaderboard || there.contains(category),
        false => is_named(category),
    };
    if !is_leaderboard && Category::ALL.iter().any(|category| is_named(category) && !there.contains(category)) {
        return Err(crate::bench::functions::Error::NothingToAsk { suite: suite.to_owned() }.into());
    }
    let (mut cases, mut sizes) = (Vec::new(), HashMap::new());
    for category in Category::ALL.into_iter().filter(is_chosen) {
        let all = read(suite, category)?;
        sizes.insert(category, all.len());
        let count = if arguments.all { all.len() } else { arguments.count };
        cases.push((category, drawn(all, count, arguments.seed)));
    }
    if cases.iter().all(|(_, cases)| cases.is_empty()) {
        return Err(crate::bench::functions::Error::NothingToAsk { suite: suite.to_owned() }.into());
    }
    Ok((cases, sizes))
}

fn ask_model(
    model: &str,
    arguments: &FunctionsBenchArgs,
    dir: &Path,
    cases: &[(Category, Vec<Case>)],
    judge: &Judge,
    cancel: &Cancel,
) -> Result<Answered, Error> {
    let (name, path) = match arguments.engine {
        EngineName::Scripted => ("scripted".to_owned(), PathBuf::from(model)),
        EngineName::LlamaCpp | EngineName::Candle => {
            let file = super::models::resolve(model)?;
            (file.name, file.path)
        }
    };
    let home = config::home_from_environment()?;
    let overrides =
        Overrides { model: Some(model.to_owned()), context_window: arguments.context_window, ..Overrides::default() };
    let config = Config::new(home.clone(), ConfigFile::read(&home)?, overrides)?;
    let profile = Profile::from(arguments.profile);
    let settings = Settings {
        model: model_digest(&path, &mut TerminalProgress::new(), cancel)?,
        engine: format!("{:?}, {}, kv_q8 {}", arguments.engine, config.device, config.kv_q8),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        profile: profile.as_str().to_owned(),
        together: arguments.parallel,
    };
    let failed = crate::bench::functions::Error::from;
    let work = Work::open(dir, &settings, arguments.fresh).map_err(failed)?;
    tell(&format!("What {name} answers is kept in {}; --fresh starts over.", work.folder().display()));
    let lanes = if arguments.parallel > 1 { arguments.parallel } else { 0 };
    let engine = super::engine::load_with_lanes(arguments.engine, &config, lanes, cancel)?;
    let (caller, notice) = Caller::new(engine, profile)?;
    if let Some(notice) = notice {
        tell(&format!("note: {notice}"));
    }
    // A case is asked in all ways at once.
    let ways = arguments.constrained.ways().len();
    let together = arguments.parallel.min(caller.lanes().max(1));
    let together = if together > ways { together / ways * ways } else { together };
    if together < arguments.parallel {
        tell("note: this engine writes one reply at a time");
    }
    let mut asking = Asking {
        name,
        caller,
        work,
        judge,
        cancel,
        together,
        answers: Vec::new(),
        new: Vec::new(),
        spent: Duration::ZERO,
        energy: EnergyMeter::start().map(|meter| (meter, 0.0)),
        told: Instant::now(),
    };
    for (category, cases) in cases {
        asking.ask_category(*category, cases, arguments.constrained.ways())?;
    }
    let (dialect, context_window) = (asking.caller.dialect_name().to_owned(), asking.caller.window_tokens());
    let chosen = cases.iter().map(|(category, cases)| (*category, cases.len())).collect();
    let partings = if arguments.ties && together > 1 {
        let alone = Work::open(dir, &Settings { together: 1, ..settings }, false).map_err(failed)?;
        Some(asking.partings(&alone, cases, arguments.constrained.ways())?)
    } else {
        None
    };
    let (model, answers) = (std::mem::take(&mut asking.name), std::mem::take(&mut asking.answers));
    let is_timed = arguments.engine.runs_model() && !asking.new.is_empty() && !cancel.is_raised();
    let throughput = match is_timed.then(|| asking.into_throughput()) {
        Some(Ok(throughput)) => Some(throughput),
        // What was answered is worth more than how fast: some models cannot be measured so.
        Some(Err(error)) => {
            tell(&format!("note: how fast replies could come was not measured: {}", error.sentence()));
            None
        }
        None => None,
    };
    Ok(Answered { model, dialect, context_window, chosen, answers, throughput, partings })
}

/// One model under way.
struct Asking<'a> {
    name: String,
    caller: Caller,
    work: Work,
    judge: &'a Judge,
    cancel: &'a Cancel,
    /// Questions that are asked together.
    together: usize,
    answers: Vec<Answer>,
    /// What was not known from an earlier run, and how long that took.
    new: Vec<Written>,
    spent: Duration,
    /// What the processor took for it; none where the machine does not tell.
    energy: Option<(EnergyMeter, f64)>,
    /// When progress was told last.
    told: Instant,
}

impl Asking<'_> {
    /// Asks the cases that have no answer yet.
    fn ask_category(&mut self, category: Category, cases: &[Case], ways: &[Constrained]) -> Result<(), Error> {
        let (started, first) = (Instant::now(), self.answers.len());
        let (mut asked, mut done) = (0, 0);
        for together in cases.chunks((self.together / ways.len()).max(1)) {
            let began = Instant::now();
            let mut questions = Vec::with_capacity(together.len() * ways.len());
            for case in together {
                for way in ways {
                    // One case that has no grammar is no reason to keep the others from being asked.
                    let question = self.caller.question(case, *way);
                    questions.push((case, *way, question.unwrap_or_else(|error| Question::failed(error.to_string()))));
                }
            }
            let Some(new) = self.write(&questions)? else { return Ok(()) };
            asked += new;
            if new > 0 {
                self.spent += began.elapsed();
            }
            if let Some((meter, joules)) = &mut self.energy {
                let taken = meter.take();
                *joules += if new > 0 { taken } else { 0.0 };
            }
            done += together.len();
            if done == cases.len() || self.told.elapsed() >= TELL_EVERY {
                self.told = Instant::now();
                let left = (cases.len() - done) * ways.len();
                self.tell_progress(category, (done, cases.len()), (asked, left), (first, started));
            }
        }
        Ok(())
    }

    /// Has those questions answered that have no answer yet, keeps the answers, and gives back how many those were; none
    /// where it was stopped.
    fn write(&mut self, questions: &[(&Case, Constrained, Question)]) -> Result<Option<usize>, Error> {
        let known = |(case, way, question): &(&Case, Constrained, Question)| {
            self.work.written(&case.id, *way, &question.key).cloned()
        };
        let mut replies: Vec<Option<Written>> = questions.iter().map(known).collect();
        let new: Vec<usize> =
            replies.iter().enumerate().filter(|(_, known)| known.is_none()).map(|(place, _)| place).collect();
        for together in new.chunks(self.together) {
            let asked: Vec<Question> =
                together.iter().filter_map(|place| questions.get(*place)).map(|(.., one)| one.clone()).collect();
            let written = match asked.as_slice() {
                // Alone, what it shares with the prompt before is in the cache.
                [one] => self.caller.ask(one, self.cancel)?.map(|written| vec![written]),
                all => self.caller.ask_together(all, self.cancel)?,
            };
            let Some(written) = written else { return Ok(None) };
            for (place, written) in together.iter().zip(written) {
                let (Some((case, way, question)), Some(reply)) = (questions.get(*place), replies.get_mut(*place))
                else {
                    continue;
                };
                // With a larger window it could be asked.
                if written.failure.is_empty() {
                    self.new.push(written.clone());
                    let (id, key) = (case.id.clone(), question.key.clone());
                    let row = Row { id, constrained: *way, key, written: written.clone() };
                    self.work.keep(row).map_err(crate::bench::functions::Error::from)?;
                }
                *reply = Some(written);
            }
        }
        for ((case, way, _), reply) in questions.iter().zip(replies) {
            if let Some(written) = reply {
                self.answers.push(Answer::new(case, *way, written, self.judge));
            }
        }
        Ok(Some(new.len()))
    }

    /// How fast the new replies came, beside what the model needs for them.
    fn into_throughput(self) -> Result<Throughput, Error> {
        let tokens: u64 = self.new.iter().map(|written| written.prompt_tokens).sum();
        let mean = usize::try_from(tokens / (self.new.len() as u64).max(1)).unwrap_or_default();
        let bound = self.caller.into_bound(mean, self.together)?;
        let joules = self.energy.map(|(_, joules)| joules);
        Ok(bound.beside(&self.new, self.together, self.spent.as_secs_f64(), joules))
    }

    /// Where the replies part from those that an earlier run has asked for one by one.
    fn partings(
        &mut self,
        alone: &Work,
        cases: &[(Category, Vec<Case>)],
        ways: &[Constrained],
    ) -> Result<Partings, Error> {
        let mut found = Partings::default();
        let asked = cases.iter().flat_map(|(_, cases)| cases).flat_map(|case| ways.iter().map(move |way| (case, *way)));
        for (case, constrained) in asked {
            let Ok(question) = self.caller.question(case, constrained) else { continue };
            let of = |work: &Work| work.written(&case.id, constrained, &question.key).cloned();
            let (Some(one), Some(two)) = (of(alone), of(&self.work)) else { continue };
            let nats = self.caller.parting(&question, [&one.text, &two.text], self.cancel)?;
            if self.cancel.is_raised() {
                break;
            }
            found.compared += 1;
            if let Some(nats) = nats {
                let verdict = |written| Answer::new(case, constrained, written, self.judge).judged.verdict;
                let is_verdict = verdict(one) != verdict(two);
                found.partings.push(Parting { id: case.id.clone(), constrained, nats, is_verdict });
            }
        }
        Ok(found)
    }

    /// How far a category is: cases done of all; replies asked for since `started` and those that are left; answers of
    /// it stand from `first` on.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn tell_progress(
        &self,
        category: Category,
        (done, all): (usize, usize),
        (asked, left): (usize, usize),
        (first, started): (usize, Instant),
    ) {
        let answers = self.answers.get(first..).unwrap_or_default();
        let right_of = |way: Constrained| {
            let of_way: Vec<&Answer> = answers.iter().filter(|answer| answer.constrained == way).collect();
            let right = of_way.iter().filter(|answer| answer.judged.verdict == Verdict::Right).count();
            (!of_way.is_empty())
                .then(|| format!("{} {:.1} %", way.as_str(), 100.0 * right as f64 / of_way.len() as f64))
        };
        let right: Vec<String> = [Constrained::On, Constrained::Off].into_iter().filter_map(right_of).collect();
        let mut text = format!("{} {}: {done}/{all}, right {}", self.name, category.as_str(), right.join(", "));
        if asked > 0 {
            let seconds = started.elapsed().as_secs_f64() / asked as f64;
            text.push_str(&format!(", {:.1} replies a minute", 60.0 / seconds.max(1e-6)));
            if left > 0 {
                text.push_str(&format!(", {} minutes left", (seconds * left as f64 / 60.0).ceil() as u64));
            }
        }
        tell(&text);
    }
}

/// Writes everything into `folder`. Replies of one model asked in one way lie in it; of several, each in a folder of their
/// own.
fn write_report(folder: &Path, report: &Report, answered: &[Answered]) -> Result<(), Error> {
    let ways: Vec<(&Answered, Constrained)> = answered
        .iter()
        .flat_map(|answered| [(answered, Constrained::On), (answered, Constrained::Off)])
        .filter(|(answered, way)| answered.answers.iter().any(|answer| answer.constrained == *way))
        .collect();
    let mut taken = HashSet::new();
    for (answered, way) in &ways {
        let name = format!("{}-{}", file_name(&answered.model), way.as_str());
        // Files of one name can lie in several folders.
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(|name| taken.insert(name.clone()));
        let folder = match name.filter(|_| ways.len() > 1) {
            None => folder.to_owned(),
            Some(name) => folder.join(name),
        };
        std::fs::create_dir_all(&folder).map_err(|source| config::Error::File { path: folder.clone(), source })?;
        for category in Category::ALL {
            let of_it = answered.answers.iter().filter(|one| one.constrained == *way && one.category == category);
            let lines: String = of_it.map(|answer| answer.line().to_string() + "\n").collect();
            if !lines.is_empty() {
                write(&folder.join(format!("{}.jsonl", category.as_str())), &lines)?;
            }
        }
    }
    let csv = report.csv().map_err(std::io::Error::from);
    let csv = csv.map_err(|source| config::Error::File { path: folder.join("report.csv"), source })?;
    write(&folder.join("report.csv"), &csv)?;
    write(&folder.join("report.md"), &report.markdown())?;
    write(&folder.join("report.html"), &page(report, answered))?;
    bench::write_json(report, Some(&folder.join("report.json")))
}

/// A model's name as part of a file's.
fn file_name(model: &str) -> String {
    model.chars().map(|one| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '_' }).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| config::Error::File { path: path.to_owned(), source })?;
    Ok(())
}
