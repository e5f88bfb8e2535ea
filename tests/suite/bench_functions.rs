//! `mneme bench functions`: cases, judge, grammars and the runner, on made-up suites in the format of the real one.

pub mod official;
