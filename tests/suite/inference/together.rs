//! Texts that are written together are what they are alone.

use mneme::inference::{
    Engine, GenerateOptions, Generation, Job, LoadOptions, Sampler, SamplerOptions, Sequence, Session, generate,
    generate_together, tokenize_template,
};
use mneme::types::{Cancel, Constraint, TokenId, Unconstrained};

use super::OneOf;
use crate::harness::engines::{Load, NATIVE};
use crate::harness::weights::model_path;

const LANES: usize = 4;

fn engine(load: Load, lanes: usize) -> Box<dyn Engine> {
    let options = LoadOptions { context_window: Some(512), lanes, lane_tokens: 256, ..LoadOptions::default() };
    load(&model_path("smollm2-135m-instruct-q4_1"), &options, &mut |_| true).unwrap()
}

fn prompts(session: &Session) -> Vec<Vec<TokenId>> {
    ["What is the capital of France?", "Name a fruit that is yellow.", "Say hello to Ada.", "What is two and two?"]
        .iter()
        .map(|question| {
            let text = format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n");
            tokenize_template(session.engine(), &text).unwrap()
        })
        .collect()
}

fn alone(session: &mut Session, prompt: &[TokenId], constraint: &mut dyn Constraint) -> Generation {
    let (cancel, mut sampler) = (Cancel::new(), Sampler::new(SamplerOptions::default()));
    session.prepare(prompt, &cancel).unwrap();
    let options = GenerateOptions { max_tokens: 16, ..GenerateOptions::default() };
    generate(session, constraint, &mut sampler, &options, &cancel, &mut |_, _| {}).unwrap()
}

/// How far two texts are the same, in tokens.
fn common(one: &Generation, other: &Generation) -> usize {
    one.tokens.iter().zip(&other.tokens).take_while(|(one, other)| one == other).count()
}

#[test]
fn texts_written_together_are_what_they_are_alone() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut session = Session::new(self::engine(*load, LANES)).unwrap();
        let (prompts, flags) = (prompts(&session), session.vocab().text_flags().to_vec());
        let expected: Vec<Generation> =
            prompts.iter().map(|prompt| alone(&mut session, prompt, &mut Unconstrained { is_text: &flags })).collect();
        // A second time, with the prompts in the lanes.
        for _ in 0..2 {
            let mut constraints: Vec<_> = prompts.iter().map(|_| Unconstrained { is_text: &flags }).collect();
            let mut jobs: Vec<Job<'_>> = prompts
                .iter()
                .zip(&mut constraints)
                .map(|(prompt, constraint)| Job {
                    prompt,
                    constraint,
                    sampler: Sampler::new(SamplerOptions::default()),
                })
                .collect();
            let options = GenerateOptions { max_tokens: 16, ..GenerateOptions::default() };
            let together = generate_together(&mut session, &mut jobs, &options, &Cancel::new()).unwrap();
            assert_eq!(session.sequence(), Sequence::Main);
            // Passes of another size round otherwise, so that a near-tie can go the other way: the first words are no ties.
            for (expected, together) in expected.iter().zip(&together) {
                assert!(common(expected, together) >= 3, "{expected:?} and {together:?}");
            }
            let same = expected.iter().zip(&together).filter(|(one, other)| one.tokens == other.tokens).count();
            assert!(same >= LANES - 1, "{same} of {LANES} are the same: {expected:?} and {together:?}");
        }
    }
}

#[test]
fn logits_of_several_sequences_are_those_of_each_alone() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let cancel = Cancel::new();
        let mut engine = self::engine(*load, 2);
        let session = Session::new(self::engine(*load, 0)).unwrap();
        let prompts = prompts(&session);
        let mut expected = Vec::new();
        for prompt in &prompts[..2] {
            engine.truncate(0).unwrap();
            engine.read(prompt, &cancel).unwrap();
            expected.push(engine.logits().unwrap().to_vec());
        }
        // The first prompt from the conversation's cache but for its last token, the second one read in its lane.
        engine.truncate(0).unwrap();
        engine.read(&prompts[0], &cancel).unwrap();
        engine.copy(Sequence::Main, Sequence::Lane(0), prompts[0].len() - 1).unwrap();
        let last = &prompts[0][prompts[0].len() - 1..];
        engine.read_together(&[(Sequence::Lane(0), last), (Sequence::Lane(1), &prompts[1])]).unwrap();
        assert!(engine.logits_of(2).is_err());
        for (part, expected) in expected.iter().enumerate() {
            let together = engine.logits_of(part).unwrap();
            let difference = expected.iter().zip(&*together).map(|(one, two)| (one - two).abs()).fold(0.0, f32::max);
            // Passes of another size round otherwise: 0.7 at most was seen. Another text is more than 5 away.
            assert!(difference < 2.0, "part {part}: {difference}");
        }
        engine.select(Sequence::Lane(0));
        assert_eq!(engine.position_tokens(), prompts[0].len());
        let too_long = vec![TokenId(100); 257];
        assert!(engine.read_together(&[(Sequence::Lane(1), &too_long)]).is_err());
    }
}

#[test]
fn each_text_keeps_its_own_constraint_and_ends_by_itself() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut session = Session::new(self::engine(*load, LANES)).unwrap();
        let prompts = prompts(&session);
        let texts = [["Paris.", "Rome."], ["A banana.", "A lemon, a melon and a grapefruit."]];
        let mut constraints: Vec<OneOf> = texts.iter().map(|texts| OneOf::new(session.engine(), texts, None)).collect();
        let mut jobs: Vec<Job<'_>> = prompts
            .iter()
            .zip(&mut constraints)
            .map(|(prompt, constraint)| Job { prompt, constraint, sampler: Sampler::new(SamplerOptions::default()) })
            .collect();
        let options = GenerateOptions { max_tokens: 40, ..GenerateOptions::default() };
        let written = generate_together(&mut session, &mut jobs, &options, &Cancel::new()).unwrap();
        assert_eq!(written.len(), 2);
        for (generation, texts) in written.iter().zip(texts) {
            let bytes: Vec<u8> =
                generation.tokens.iter().flat_map(|token| session.vocab().bytes(*token)).copied().collect();
            let text = String::from_utf8(bytes).unwrap();
            assert!(texts.contains(&text.as_str()), "{text}");
        }
    }
}

#[test]
fn more_texts_than_lanes_are_refused_and_a_stopped_one_writes_nothing() {
    for (name, load) in NATIVE {
        eprintln!("{name}");
        let mut session = Session::new(self::engine(*load, 1)).unwrap();
        let (prompts, flags) = (prompts(&session), session.vocab().text_flags().to_vec());
        let options = GenerateOptions::default();
        for (texts, is_refused) in [(2, true), (1, false)] {
            let mut constraints: Vec<_> = (0..texts).map(|_| Unconstrained { is_text: &flags }).collect();
            let mut jobs: Vec<Job<'_>> = prompts
                .iter()
                .zip(&mut constraints)
                .map(|(prompt, constraint)| Job {
                    prompt,
                    constraint,
                    sampler: Sampler::new(SamplerOptions::default()),
                })
                .collect();
            let stopped = Cancel::new();
            stopped.raise();
            let written = generate_together(&mut session, &mut jobs, &options, &stopped);
            assert_eq!(written.is_err(), is_refused, "{written:?}");
            assert!(written.map_or(true, |written| written.iter().all(|one| one.tokens.is_empty())));
        }
        let mut without = self::engine(*load, 0);
        assert_eq!(without.lanes(), 0);
        assert!(without.read_together(&[(Sequence::Lane(0), &[TokenId(5)])]).is_err());
        assert!(without.copy(Sequence::Main, Sequence::Lane(0), 0).is_err() || without.lanes() == 0);
    }
}
