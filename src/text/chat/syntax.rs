//! What Jinja in transformers reads and minijinja does not.

/// Longest tag in bytes: an expression takes time with the square of its length to compile, and
/// stack with its depth.
pub(super) const MAX_TAG: usize = 1 << 14;

/// A template with `{% generation %}` … `{% endgeneration %}`, which mark what the assistant
/// says, replaced by a block without effect; they also hide variables that are set inside, as
/// `{% with %}` does. Line ends become `\n`, as Jinja has them.
///
/// # Errors
///
/// A tag is longer than [`MAX_TAG`]: the line on which it begins.
pub(super) fn plain(source: &str) -> Result<String, usize> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = next_opening(rest) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let length = match &tail[..2] {
            "{#" => tail.find("#}").map_or(tail.len(), |end| end + 2),
            "{{" => end_of_tag(tail, "}}"),
            _ => end_of_tag(tail, "%}"),
        };
        let (tag, after) = tail.split_at(length);
        if length > MAX_TAG && !tag.starts_with("{#") {
            return Err(1 + out.matches('\n').count());
        }
        rest = after;
        match word(tag) {
            "generation" => out.push_str(&tag.replacen("generation", "with", 1)),
            "endgeneration" => out.push_str(&tag.replacen("endgeneration", "endwith", 1)),
            "raw" => {
                // What stands in a raw block is text, whatever it looks like.
                let end = end_of_raw(rest);
                out.push_str(tag);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            _ => out.push_str(tag),
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn next_opening(text: &str) -> Option<usize> {
    text.match_indices('{')
        .map(|(at, _)| at)
        .find(|&at| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
}

/// One past the tag's end; a quoted text may hold what looks like one.
fn end_of_tag(tag: &str, closing: &str) -> usize {
    let bytes = tag.as_bytes();
    let mut quote = None;
    let mut i = 2;
    while i < bytes.len() {
        match (quote, bytes[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) if bytes[i..].starts_with(closing.as_bytes()) => return i + 2,
            _ => {}
        }
        i += 1;
    }
    tag.len()
}

/// Where the `{% endraw %}` after a `{% raw %}` begins.
fn end_of_raw(text: &str) -> usize {
    text.match_indices("{%")
        .map(|(at, _)| at)
        .find(|&at| word(&text[at..]) == "endraw")
        .unwrap_or(text.len())
}

/// The word that a block tag begins with.
fn word(tag: &str) -> &str {
    let Some(inner) = tag.strip_prefix("{%") else { return "" };
    let inner = inner.trim_start_matches(['-', '+']).trim_start();
    let end = inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
    &inner[..end]
}
