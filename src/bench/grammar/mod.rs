//! The grammar engine beside others, on the same work in the same run.

pub mod lark;
