//! Vocabulary and chat template of the scripted engine: every byte, common English words and fragments, and the
//! control tokens of the Hermes family, so that prompts cost about a quarter of a token per character.

use super::TokenKind;

/// Control tokens; the last two are made of their spelling even in plain text, as user-defined tokens are.
pub(super) const CONTROLS: [&str; 5] = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>"];

/// Longest word token in bytes, its blank included.
const MAX_WORD_BYTES: usize = 12;

/// Pieces that are tokens as they stand.
const FRAGMENTS: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co \
    me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ly ss tr pr un ac el la ta sh ct ge us il mo no lo wh fo so pe \
    po di ca ent ing ion tion ation ment ness able ible ally ers est ful ous ive ity ance ence ight ould ough ever self \
    ther pre pro con com dis per sub inter over under out ies ied ate ize ist ism ant ary ory age 00 10 19 20 202";

/// Pieces with blanks and marks, one to a string.
const MARKS: [&str; 52] = [
    "  ", "    ", "        ", "\n\n", "\n\n\n", ".\n", ".\n\n", ",\n", ":\n", ". ", ", ", ": ", "; ", "? ", "! ", " (",
    ") ", ").", "),", " - ", "\n- ", "'s", "'t", "'re", "'ll", "'ve", "'m", "\"\n", "\": ", "\": \"", "\", \"", "\"}",
    "\"}}", "{\"", "\n{\"", "}\n", "\"}\n", " {", " \"", "\": {\"", "\"}, \"", "\"},", ": {", "[\"", "\"]", "</", "/>",
    "...", " =", " /", "**", "##",
];

/// Common words; each becomes two tokens, with a blank before it and without.
const WORDS: &str = "a able about above across act action add address after again against age ago agree air all allow \
    almost alone along already also always am among amount an and animal another answer any anything appear append \
    archival archive are area argument arguments around arrive art as ask assistant at available away baby back bad \
    ball bank base be beautiful became because become bed been before began begin behind being believe below best \
    better between big bird birthday bit black block blue board body book both bottom box boy bring brother brown \
    build built business but buy by cake call called came can cannot car card care carry case cat catch cause change \
    character characters chat check child children choose city class clean clear close cold color come common company \
    complete computer contain content context continue conversation cook cool core correct cost could count country \
    course cover create cross current cut dance dark data database date daughter day days dear decide deep describe \
    description detail did different dinner direct do document does dog done door down draw dream drink drive dry \
    during each early earth ear easy eat edit eight either else empty end english enough entire enum error even evening \
    event ever every everyone everything exact example expect explain eye face fact facts fall family far fast father \
    favorite feel feet few field file fill final find fine fire first fish five fly follow following food foot for \
    force form format found four free friend friends from full fun function functions future game garden gave get girl \
    give given glad go goes going gold gone good got great green ground group grow guess guitar had hair half hand \
    happen happy hard has have he head hear heart heat heartbeat held hello help her here high him his history hit hold \
    home hope hot hour hours house how however human hundred husband i idea if important in include inner input insert \
    inside instead integer interest into is issue it items its job join json jump just keep kept key kind king knew \
    know known lake land language large last late later laugh law lead learn least leave left length less let letter \
    level life light like likely limit line list listen little live lives local log long look lost lot love low lunch \
    machine made mail main make man many map mark match matter may maybe me mean meet member memory men message messages \
    might mile mind minute model moment money month months moon more morning most mother mountain move much music must \
    my name names near necessary need never new news next nice night nine no none nor north not note nothing notice now \
    number object of off offer office often oh old on once one only open or order other our out outside over own page \
    paper parameter parameters part party pass past pay people perfect perhaps persona person phone picture piece place \
    plan plant play please point possible present press problem program properties property provide public put query \
    question quick quiet quite rain ran read reading ready real really reason recall receive recent record red \
    remember replace replay reply request required rest result return right river road role room rule run said same saw \
    say school science sea search second section see seem send sent sentence session set seven several shall she short \
    should show side simple since sing sister sit six size sleep slow small snow so some someone something sometimes son \
    song soon sorry sound south space speak special spring stand star start state stay step still stop storage store \
    story street string strong student study such sun sure system table take talk tea teach tell ten test text than \
    thank thanks that the their them then there these they thing things think third this those thought thoughts thousand \
    three through time title to today together told tomorrow too tool tools took top total town travel tree true try \
    turn two type under until up upon us use used useful user usual value very visit voice wait walk want warm was \
    watch water way we weather week weekend well went were west what when where whether which while white who whole whom \
    why wife will wind window winter wish with within without woman wonder word words work world would write wrong year \
    years yellow yes yesterday yet you young your yours";

/// The vocabulary: 256 bytes, fragments, words, then the control tokens.
pub(super) fn vocab_rows() -> Vec<(Vec<u8>, TokenKind)> {
    let mut rows: Vec<(Vec<u8>, TokenKind)> = (0..=u8::MAX).map(|byte| (vec![byte], TokenKind::Text)).collect();
    let mut seen = std::collections::HashSet::new();
    let mut add = |text: String| {
        if text.len() > 1 && seen.insert(text.clone()) {
            rows.push((text.into_bytes(), TokenKind::Text));
        }
    };
    MARKS.iter().for_each(|mark| add((*mark).to_owned()));
    FRAGMENTS.split_whitespace().for_each(|fragment| add(fragment.to_owned()));
    for word in WORDS.split_whitespace().filter(|word| word.len() < MAX_WORD_BYTES) {
        let mut letters = word.chars();
        let capital: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        add(format!(" {word}"));
        add(word.to_owned());
        add(capital);
    }
    rows.extend(CONTROLS.iter().map(|name| (name.as_bytes().to_vec(), TokenKind::Control)));
    rows
}

/// ChatML with tools in the Hermes manner.
pub(super) const CHAT_TEMPLATE: &str = r#"{%- set first = messages[0] -%}
{%- set ns = namespace(rest=messages) -%}
{%- if first.role == 'system' or tools -%}
{{- '<|im_start|>system\n' -}}
{%- if first.role == 'system' -%}
{{- first.content -}}
{%- set ns.rest = messages[1:] -%}
{%- endif -%}
{%- if tools -%}
{{- '\n\n# Tools\n\nThese functions can be called:\n<tools>' -}}
{%- for tool in tools -%}
{{- '\n' -}}{{- tool | tojson -}}
{%- endfor -%}
{{- '\n</tools>\n\nA call is written so:\n<tool_call>\n{"name": <function name>, "arguments": <object>}\n</tool_call>' -}}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in ns.rest -%}
{%- if message.role == 'tool' -%}
{{- '<|im_start|>user\n<tool_response>\n' -}}{{- message.content -}}{{- '\n</tool_response><|im_end|>\n' -}}
{%- else -%}
{{- '<|im_start|>' -}}{{- message.role -}}{{- '\n' -}}
{%- if message.content -%}{{- message.content -}}{%- endif -%}
{%- for call in message.tool_calls or [] -%}
{%- set call = call.function or call -%}
{%- if message.content or not loop.first -%}{{- '\n' -}}{%- endif -%}
{{- '<tool_call>\n{"name": "' -}}{{- call.name -}}{{- '", "arguments": ' -}}{{- call.arguments | tojson -}}
{{- '}\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}"#;
