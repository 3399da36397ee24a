//! Reads a message: headers, body parts, files.

use super::container::Container;
use super::file::{File, file};
use super::fingerprint::Normalised;
use super::header::{decode_base64, decode_words, parameter};
use super::reason::{Limit, Reason};
use super::url::Location;
use super::{Analysis, NAME_CHARS_MAX, Work, charset, sha256, smime, tidy, uuencode};
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Address, Encoding, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Words that open a digest; more of them than this and only the headers are read. The parser keeps
/// the messages of digests inside each other, so its depth must be bounded before it starts.
const NESTING_WORDS_MAX: usize = 300;
/// Longest text of the body kept for fingerprint and passwords, bytes.
const BODY_BYTES_MAX: usize = 512 << 10;
/// Most addresses of To and Cc kept.
const RECIPIENTS_MAX: usize = 1_000;
/// Most Message-IDs of earlier mails kept.
const REFERENCES_MAX: usize = 100;
/// Longest header value kept, in characters.
const HEADER_CHARS_MAX: usize = 2_000;
/// Longest raw header value decoded, bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Reads the message itself.
pub(super) fn read(work: &mut Work<'_>, raw: &[u8]) {
    work.analysis.size = raw.len() as u64;
    let message = match parse(raw) {
        Parsed::Whole(message) => message,
        Parsed::HeadersOnly(message) => {
            work.note("message", Limit::Nesting);
            headers(&mut work.analysis, &message);
            work.analysis.body_sha256 = sha256(raw);
            return;
        }
        Parsed::Nothing => {
            work.note("message", no_headers());
            work.analysis.body_sha256 = sha256(raw);
            return;
        }
    };
    headers(&mut work.analysis, &message);
    let subject = work.analysis.subject.clone();
    work.urls_in_text(&subject, Location::Header);
    let texts = texts(&message, raw);
    work.analysis.body_sha256 = body_hash(&texts);
    walk(work, &Mail { message, raw, texts }, None, Location::Body);
    let seen = if work.body.html.trim().is_empty() { &work.body.plain } else { &work.body.html };
    let normalised = Normalised::of(seen);
    work.analysis.text_sha256 = normalised.sha256();
    work.analysis.text_simhash = normalised.simhash();
}

/// Opens an attached message.
pub(super) fn nested(work: &mut Work<'_>, raw: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    match parse(raw) {
        Parsed::Whole(message) => {
            walk(work, &Mail::new(message, raw), Some(container), Location::Attachment);
            Ok(())
        }
        Parsed::HeadersOnly(_) => Err(Limit::Nesting.into()),
        Parsed::Nothing => Err(no_headers()),
    }
}

/// Opens an S/MIME envelope. What lies in the message's own envelope is the message's body.
pub(super) fn enveloped(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    let smime::Envelope::Content(raw) = smime::open(work, bytes)? else { return Ok(()) };
    let own = work.analysis.files.get(container.index).is_some_and(|file| file.attachment.parent_sha256.is_none());
    match parse(&raw) {
        Parsed::Whole(message) => {
            let location = if own { Location::Body } else { Location::Attachment };
            walk(work, &Mail::new(message, &raw), Some(container), location);
            Ok(())
        }
        Parsed::HeadersOnly(_) => Err(Limit::Nesting.into()),
        Parsed::Nothing => {
            container.inspect(work, "content.bin", &raw);
            Ok(())
        }
    }
}

fn no_headers() -> Reason {
    Reason::Damaged("no headers found".to_owned())
}

enum Parsed<'x> {
    Whole(Message<'x>),
    HeadersOnly(Message<'x>),
    Nothing,
}

fn parse(raw: &[u8]) -> Parsed<'_> {
    let parser = MessageParser::default();
    if digest_words(raw) > NESTING_WORDS_MAX {
        return parser.parse_headers(raw).map_or(Parsed::Nothing, Parsed::HeadersOnly);
    }
    match without_nesting(raw) {
        Cow::Borrowed(raw) => parser.parse(raw).map_or(Parsed::Nothing, Parsed::Whole),
        Cow::Owned(masked) => parser.parse(&masked).map_or(Parsed::Nothing, |seen| Parsed::Whole(seen.into_owned())),
    }
}

/// Counts the words without which a part is never taken for a message inside a digest.
fn digest_words(raw: &[u8]) -> usize {
    raw.windows(6).filter(|window| window[0] | 0x20 == b'd' && window.eq_ignore_ascii_case(b"digest")).count()
}

/// A copy, of the same length, in which no part claims to be a message: attached messages are opened
/// here, one level at a time, and the parser loses its place when it has to (a message in a message at
/// the end of a multipart; found by fuzzing). Only the parser sees the copy.
fn without_nesting(raw: &[u8]) -> Cow<'_, [u8]> {
    let mut copy = Cow::Borrowed(raw);
    let (mut at, mut in_type) = (0, false);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_start();
        let begins = text.get(..12).is_some_and(|head| head.eq_ignore_ascii_case(b"content-type"));
        in_type = begins || (in_type && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')));
        if in_type {
            for (offset, window) in line.windows(6).enumerate() {
                if window.eq_ignore_ascii_case(b"rfc822") || window.eq_ignore_ascii_case(b"global") {
                    copy.to_mut()[at + offset + 5] = b'-';
                }
            }
        }
        at += line.len();
    }
    copy
}

fn headers(analysis: &mut Analysis, message: &Message<'_>) {
    analysis.message_id = tidy(message.message_id().unwrap_or_default(), 998);
    analysis.subject = raw_header(message, &HeaderName::Subject)
        .map_or_else(String::new, |raw| tidy(&decode_words(raw), HEADER_CHARS_MAX));
    let hinomi_id = message.header_raw(HeaderName::Other(crate::remediate::OWN_ID_HEADER.into()));
    analysis.hinomi_id = tidy(hinomi_id.unwrap_or_default(), 64);
    if let Some(from) = message.from().and_then(|from| from.iter().next()) {
        analysis.from_address = tidy(from.address.as_deref().unwrap_or_default(), 320).to_lowercase();
        let name = from.name.as_deref().unwrap_or_default();
        analysis.from_name = tidy(&display_name(message, name), HEADER_CHARS_MAX);
    }
    analysis.sender_address = addresses(message.sender()).next().unwrap_or_default();
    analysis.reply_to = addresses(message.reply_to()).next().unwrap_or_default();
    analysis.recipients = addresses(message.to()).chain(addresses(message.cc())).take(RECIPIENTS_MAX).collect();
    let paths = message.headers().iter().find(|header| header.name == HeaderName::ReturnPath);
    let path = paths.and_then(|header| header.value.as_text_list()).and_then(<[_]>::first);
    analysis.return_path =
        path.map_or_else(String::new, |path| tidy(path.trim_matches(['<', '>', ' ']), 320).to_lowercase());
    let named = [message.references(), message.in_reply_to()];
    for id in named.into_iter().flat_map(|ids| ids.as_text_list().unwrap_or_default()) {
        let id = tidy(id, 998);
        if !id.is_empty() && analysis.references.len() < REFERENCES_MAX && !analysis.references.contains(&id) {
            analysis.references.push(id);
        }
    }
    analysis.date = message.date().map(|date| date.to_timestamp());
}

/// Addresses of a header, groups opened, lower case.
fn addresses<'m>(header: Option<&'m Address<'m>>) -> impl Iterator<Item = String> + 'm {
    let all = header.into_iter().flat_map(|address| address.iter());
    all.filter_map(|one| one.address.as_deref()).map(|one| tidy(one, 320).to_lowercase()).filter(|one| !one.is_empty())
}

/// The first header of a name as it came.
fn raw_header<'m>(message: &'m Message<'_>, name: &HeaderName<'_>) -> Option<&'m [u8]> {
    let header = message.headers().iter().find(|header| header.name == *name)?;
    let raw = message.raw_message().get(header.offset_start as usize..header.offset_end as usize)?;
    Some(&raw[..raw.len().min(HEADER_BYTES_MAX)])
}

/// The display name of From. The parser's word stands unless it could not read it (raw 8-bit text,
/// characters cut over encoded words): then what stands before the address is read here.
fn display_name(message: &Message<'_>, parsed: &str) -> String {
    let raw = raw_header(message, &HeaderName::From).unwrap_or_default();
    let doubtful =
        parsed.contains(char::REPLACEMENT_CHARACTER) || raw.iter().any(|byte| *byte >= 0x80 || *byte == 0x1b);
    let Some(end) = raw.iter().position(|byte| *byte == b'<').filter(|_| doubtful) else { return parsed.to_owned() };
    decode_words(&raw[..end]).trim().trim_matches('"').to_owned()
}

/// A part of the body a reader sees.
struct Text {
    html: bool,
    text: String,
}

/// A parsed message, its raw form and its decoded texts.
struct Mail<'m> {
    message: Message<'m>,
    raw: &'m [u8],
    texts: Vec<Text>,
}

impl<'m> Mail<'m> {
    fn new(message: Message<'m>, raw: &'m [u8]) -> Self {
        let texts = texts(&message, raw);
        Mail { message, raw, texts }
    }
}

/// The texts of a message, in order.
fn texts(message: &Message<'_>, raw: &[u8]) -> Vec<Text> {
    let parts = message.parts.iter().enumerate().filter(|(index, part)| !is_file(message, *index, part, raw));
    parts
        .filter_map(|(_, part)| {
            let html = match &part.body {
                PartType::Text(_) if !is_multipart(part) => false,
                PartType::Html(_) => true,
                _ => return None,
            };
            let label = part_header(part, raw, &HeaderName::ContentType).and_then(|value| parameter(value, "charset"));
            Some(Text { html, text: charset::decode(&content(part, raw), label.as_deref().unwrap_or_default()) })
        })
        .collect()
}

/// Hash over type and whitespace-folded text of the body parts, in order.
fn body_hash(texts: &[Text]) -> String {
    let mut hasher = Sha256::new();
    for one in texts {
        hasher.update(if one.html { "html" } else { "text" });
        for word in one.text.split_whitespace() {
            hasher.update(b" ");
            hasher.update(word);
        }
        hasher.update(b"\n");
    }
    hex::encode(hasher.finalize())
}

/// Walks the parts of a message: texts first, because they may name the passwords of the files.
fn walk(work: &mut Work<'_>, mail: &Mail<'_>, container: Option<&Container<'_>>, location: Location) {
    let (message, raw) = (&mail.message, mail.raw);
    let mut written: Vec<(String, Vec<u8>)> = Vec::new();
    for one in &mail.texts {
        if one.html {
            let visible = work.urls_in_html(&one.text, location);
            if location == Location::Body {
                append(&mut work.body.html, &visible);
            }
            continue;
        }
        work.urls_in_text(&one.text, location);
        written.extend(uuencode::files(&one.text));
        if location == Location::Body {
            append(&mut work.body.plain, &one.text);
        }
    }
    let (parent, path, depth) =
        container.map_or((None, "", 0), |container| (Some(container.hash), container.path, container.depth));
    for (index, part) in message.parts.iter().enumerate() {
        if is_file(message, index, part, raw) {
            let bytes = content(part, raw);
            let declared = declared_type(part, raw);
            let name = file_name(part, raw).unwrap_or_else(|| default_name(&declared, index));
            file(work, File { name: &name, bytes: &bytes, declared: &declared, parent, path }, depth);
        } else if is_multipart(part) && !matches!(part.body, PartType::Multipart(_)) {
            recover(work, &content(part, raw), container, location);
        }
    }
    for (name, bytes) in written {
        let name = tidy(&name, NAME_CHARS_MAX);
        file(work, File { name: &name, bytes: &bytes, declared: "", parent, path }, depth);
    }
}

/// A multipart whose boundary does not occur: programs guess it from the first line that looks like
/// one, and so do we. Without such a line it is text.
fn recover(work: &mut Work<'_>, bytes: &[u8], container: Option<&Container<'_>>, location: Location) {
    work.note_once("structure", Reason::Damaged("a multipart without its boundary".to_owned()));
    let Some(boundary) = guess_boundary(bytes) else {
        return work.urls_in_text(&charset::decode(bytes, ""), location);
    };
    let mut raw = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n").into_bytes();
    raw.extend_from_slice(bytes);
    // the boundary does occur now, so this goes one step deep
    if let Parsed::Whole(message) = parse(&raw)
        && message.parts.len() > 1
    {
        walk(work, &Mail::new(message, &raw), container, location);
    }
}

/// The first line that begins with two dashes and is followed by a line like a MIME header.
fn guess_boundary(bytes: &[u8]) -> Option<&str> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).peekable();
    while let Some(line) = lines.next() {
        let Some(boundary) = line.strip_prefix(b"--") else { continue };
        let header = |next: &&[u8]| next.get(..8).is_some_and(|head| head.eq_ignore_ascii_case(b"content-"));
        let usable = (1..=200).contains(&boundary.len())
            && boundary.iter().all(|byte| matches!(byte, 0x21..0x7f))
            && !boundary.contains(&b'"');
        if usable && lines.peek().is_some_and(header) {
            return std::str::from_utf8(boundary).ok();
        }
    }
    None
}

/// Appends a part to the text of the body, up to [`BODY_BYTES_MAX`].
fn append(body: &mut String, text: &str) {
    let room = BODY_BYTES_MAX.saturating_sub(body.len());
    body.push_str(&text[..text.floor_char_boundary(room)]);
    body.push('\n');
}

fn is_multipart(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|kind| kind.ctype().eq_ignore_ascii_case("multipart"))
}

/// True for parts that a reader sees as a file rather than as the text of the mail.
fn is_file(message: &Message<'_>, index: usize, part: &MessagePart<'_>, raw: &[u8]) -> bool {
    match &part.body {
        PartType::Multipart(_) => false,
        _ if is_multipart(part) => false,
        PartType::Text(_) | PartType::Html(_) => {
            if part.content_type().is_some_and(|kind| !kind.ctype().eq_ignore_ascii_case("text")) {
                // undecodable content ends here whatever its type was
                return true;
            }
            let listed = message.attachments.contains(&(index as u32));
            let declared = part.content_disposition().is_some_and(|disposition| disposition.is_attachment());
            declared || (listed && file_name(part, raw).is_some())
        }
        _ => true,
    }
}

/// The raw value of a part's header; the last one counts, as for the parser.
fn part_header<'m>(part: &MessagePart<'_>, raw: &'m [u8], name: &HeaderName<'_>) -> Option<&'m [u8]> {
    let header = part.headers.iter().rev().find(|header| header.name == *name)?;
    let value = raw.get(header.offset_start as usize..header.offset_end as usize)?;
    Some(&value[..value.len().min(HEADER_BYTES_MAX)])
}

/// The name a part gives itself: of its disposition, else of its type.
fn file_name(part: &MessagePart<'_>, raw: &[u8]) -> Option<String> {
    let value = |name, key| part_header(part, raw, &name).and_then(|value| parameter(value, key));
    let name = value(HeaderName::ContentDisposition, "filename").or_else(|| value(HeaderName::ContentType, "name"));
    let name = tidy(&name.or_else(|| part.attachment_name().map(str::to_owned))?, NAME_CHARS_MAX);
    (!name.is_empty()).then_some(name)
}

fn default_name(declared: &str, index: usize) -> String {
    let end = if matches!(declared, "message/rfc822" | "message/global") { "eml" } else { "bin" };
    format!("part-{index}.{end}")
}

/// The type a part claims, lower case.
fn declared_type(part: &MessagePart<'_>, raw: &[u8]) -> String {
    if matches!(part.body, PartType::Message(_)) {
        return "message/rfc822".to_owned();
    }
    let value = part_header(part, raw, &HeaderName::ContentType).unwrap_or_default();
    let kind = value.split(|byte| matches!(byte, b';' | b'(')).next().unwrap_or_default();
    tidy(&String::from_utf8_lossy(kind), 128).to_lowercase().replace(char::is_whitespace, "")
}

/// The decoded bytes of a part. Text is decoded from the raw mail again: the parser's own text went
/// through a character set, and a hash must be that of the file a user would save.
fn content<'m>(part: &'m MessagePart<'_>, raw: &'m [u8]) -> Cow<'m, [u8]> {
    let slice = raw.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
    match &part.body {
        // not from the parser: it sees a copy with other words in it
        PartType::Binary(_) | PartType::InlineBinary(_) if part.encoding == Encoding::None => slice.into(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.as_ref().into(),
        PartType::Message(message) if part.encoding != Encoding::None => message.raw_message.as_ref().into(),
        PartType::Message(_) => slice.into(),
        PartType::Text(_) | PartType::Html(_) => match claimed_encoding(part, raw) {
            Encoding::Base64 => decode_base64(slice).into(),
            Encoding::QuotedPrintable => quoted_printable(slice).into(),
            Encoding::None => slice.into(),
        },
        PartType::Multipart(_) => Cow::default(),
    }
}

/// The encoding a part claims. Where the parser gave up on a fault, other programs decode what can be
/// decoded.
fn claimed_encoding(part: &MessagePart<'_>, raw: &[u8]) -> Encoding {
    if !part.is_encoding_problem {
        return part.encoding;
    }
    let claimed = part_header(part, raw, &HeaderName::ContentTransferEncoding).unwrap_or_default();
    let claimed = String::from_utf8_lossy(claimed).trim().to_ascii_lowercase();
    match claimed.as_str() {
        "base64" => Encoding::Base64,
        "quoted-printable" => Encoding::QuotedPrintable,
        _ => part.encoding,
    }
}

/// Quoted-printable; where it has a fault, the escapes that are none stay as they are.
fn quoted_printable(text: &[u8]) -> Vec<u8> {
    quoted_printable_decode(text).unwrap_or_else(|| {
        let mut joined = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match line.trim_ascii_end().strip_suffix(b"=") {
                Some(soft) if line.ends_with(b"\n") => joined.extend_from_slice(soft),
                _ => joined.extend_from_slice(line),
            }
        }
        super::header::decode_escapes(&joined, b'=')
    })
}
