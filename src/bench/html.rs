//! What the pages of reports have in common: one file each that needs nothing from elsewhere and reads well on a phone.

/// Style of all pages: light and dark, tables that scroll by themselves, drawings as wide as the screen.
pub(super) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:auto;max-width:60rem;padding:1rem;\
color:#1a1a1a;background:#fff}h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem}.wide{overflow-x:auto}\
table{border-collapse:collapse;font-size:.85rem;white-space:nowrap}td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;\
text-align:left}svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:currentColor}.line{stroke:#333;\
stroke-width:1}.grid{stroke:#ddd;stroke-width:1}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f5f5;\
padding:.5rem;font-size:.8rem}@media(prefers-color-scheme:dark){body{background:#16181a;color:#e6e6e6}pre{background:#222}\
td,th{border-color:#333}.grid{stroke:#333}.line{stroke:#ddd}}";

/// A page of this title, with more style and what is in it.
pub(super) fn page(title: &str, style: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}{style}</style></head>\
         <body>\n<h1>{title}</h1>\n{body}</body></html>\n"
    )
}

/// A table of these heads and cells.
pub(super) fn table<'a, R, C>(heads: &[&str], rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = C>,
    C: std::borrow::Borrow<str> + 'a,
{
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(&cell))).collect::<String>()
    };
    let head = cells("th", &mut heads.iter().map(|head| (*head).to_owned()));
    let body: String = rows
        .into_iter()
        .map(|row| format!("<tr>{}</tr>\n", cells("td", &mut row.into_iter().map(|cell| cell.borrow().to_owned()))))
        .collect();
    format!("<div class=\"wide\"><table><tr>{head}</tr>\n{body}</table></div>\n")
}

/// Text as it may stand in an element or in quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Steering characters mean nothing in a page, and those of direction could turn its text around.
            '\n' | '\t' => out.push(one),
            _ if one.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&one)
                || ('\u{2066}'..='\u{2069}').contains(&one) =>
            {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            _ => out.push(one),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_model_is_markup() {
        assert_eq!(
            escaped("<script>alert('x & \"y\"')</script>\u{202e}\u{7}"),
            "&lt;script&gt;alert(&#39;x &amp; &quot;y&quot;&#39;)&lt;/script&gt;\u{fffd}\u{fffd}"
        );
        let table = table(&["a<b"], [["<i>"]]);
        assert!(table.contains("<th>a&lt;b</th>") && table.contains("<td>&lt;i&gt;</td>"), "{table}");
    }
}
