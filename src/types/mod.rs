//! Leaf data and traits that every layer shares. Nothing here knows a database, a model or a terminal.

mod call;
mod cancel;
mod clock;
mod constraint;
mod core_refresh;
mod count;
mod device;
mod digest;
mod draft;
mod event;
mod files;
mod ids;
mod language;
mod message;
mod name;
mod place;
mod policy;

pub use call::{Argument, Call, FunctionDefinition, FunctionSchema, Parameter, ParameterKind};
pub use cancel::Cancel;
pub use clock::{Clock, ManualClock, SystemClock};
pub use constraint::{Constraint, ConstraintError, Unconstrained};
pub use core_refresh::CoreRefresh;
pub use count::counted;
pub use device::{Device, UnknownDevice};
pub use digest::Hasher;
pub use draft::Draft;
pub use event::{Cause, CoreMemoryEdit, CoreMemoryText, Event, RecallCounts, ShownPassage, StopReason, TurnReport};
pub use files::{FileLock, create_private_folder, irregular_file, open_private_file, with_suffix};
pub use ids::{InboxId, MessageId, PassageId, TokenId};
pub use language::Language;
pub use message::{Body, Message, NewMessage, Notification, Status};
pub use name::{InvalidName, MAX_NAME_CHARS, validate_name};
pub use place::{Piece, Place, Unit};
pub use policy::{AllowedCall, ArgumentRule, CallOffer, NamedRule, StepPolicy, TextRule};
