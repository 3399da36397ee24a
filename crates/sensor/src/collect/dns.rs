//! The question of a DNS query (RFC 1035, section 4).

/// Longest name in text form.
const NAME_BYTES_MAX: usize = 255;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Name without the final dot; `.` for the root. Bytes outside printable ASCII are escaped `\ddd`.
    pub name: String,
    /// `A`, `AAAA`, `TXT`, …, or `TYPE65280`.
    pub kind: String,
}

/// Reads the first question of a query; `None` when it is an answer, cut or malformed.
pub fn question(packet: &[u8]) -> Option<Question> {
    let header = packet.get(..12)?;
    let is_answer = header[2] & 0x80 != 0;
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if is_answer || questions == 0 {
        return None;
    }
    let mut rest = &packet[12..];
    let mut name = String::new();
    loop {
        let (len, tail) = rest.split_first()?;
        let len = usize::from(*len);
        if len == 0 {
            rest = tail;
            break;
        }
        // the two top bits mark a pointer, which a first question cannot need
        if len > 63 || name.len() + len > NAME_BYTES_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        let (label, tail) = (tail.get(..len)?, tail.get(len..)?);
        label.iter().for_each(|byte| push_escaped(&mut name, *byte));
        rest = tail;
    }
    let kind = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
    if name.is_empty() {
        name.push('.');
    }
    Some(Question { name, kind: kind_name(kind) })
}

fn push_escaped(name: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => {
            name.push('\\');
            name.push(char::from(byte));
        }
        0x21..=0x7e => name.push(char::from(byte)),
        _ => name.push_str(&format!("\\{byte:03}")),
    }
}

fn kind_name(kind: u16) -> String {
    // https://www.iana.org/assignments/dns-parameters, the types seen on end devices
    let word = match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        43 => "DS",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    word.to_owned()
}
