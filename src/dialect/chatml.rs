//! The built-in ChatML template, for model files whose own template is missing or cannot be trusted with contents.

use crate::inference::Vocab;

/// Roles as they are given, no tools; the model's turn is left open.
pub(super) const TEMPLATE: &str = "{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}";

/// Whether the vocabulary has ChatML's two control tokens.
pub(super) fn knows_chatml(vocab: &Vocab) -> bool {
    ["<|im_start|>", "<|im_end|>"].iter().all(|name| vocab.control(name).is_some())
}
