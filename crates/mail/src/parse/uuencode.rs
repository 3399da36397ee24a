//! Files written into the text of a mail as uuencode; Outlook still shows them as attachments.

/// Most files taken out of one text.
const FILES_MAX: usize = 50;

/// Finds files: name and content.
pub(super) fn files(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if found.len() >= FILES_MAX {
            break;
        }
        let Some(name) = begin(line) else { continue };
        let mut content = Vec::new();
        for line in lines.by_ref() {
            if !push_line(line.trim_end().as_bytes(), &mut content) {
                break;
            }
        }
        if !content.is_empty() {
            found.push((name.to_owned(), content));
        }
    }
    found
}

/// `begin 644 name`
fn begin(line: &str) -> Option<&str> {
    let (mode, name) = line.strip_prefix("begin ")?.split_once(' ')?;
    let octal = (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    (octal && !name.trim().is_empty()).then(|| name.trim())
}

/// Decodes one line: a length, then groups of four characters for three bytes. False at the end.
fn push_line(line: &[u8], out: &mut Vec<u8>) -> bool {
    let value = |byte: u8| (0x20..=0x60).contains(&byte).then(|| byte.wrapping_sub(0x20) & 0x3f);
    let Some(length) = line.first().copied().and_then(value).map(usize::from) else { return false };
    let groups = line[1..].chunks(4);
    if length == 0 || groups.len() < length.div_ceil(3) {
        return false;
    }
    let mut bytes = Vec::with_capacity(length + 2);
    for group in groups {
        let mut bits = 0_u32;
        for index in 0..4 {
            // spaces at the end of a line are often lost
            let Some(six) = value(group.get(index).copied().unwrap_or(b' ')) else { return false };
            bits = bits << 6 | u32::from(six);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    out.extend_from_slice(&bytes[..length]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_out() {
        let text = "hello\nbegin 644 cat.txt\n#0V%T\n`\nend\nbye\nbegin the day\nbegin 644 x\nnonsense \u{e9}\n";
        assert_eq!(files(text), [("cat.txt".to_owned(), b"Cat".to_vec())]);
    }
}
