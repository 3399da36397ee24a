//! 7z archives. The `sevenz-rust2` crate reads and unpacks; what it would do without a bound (unpacking
//! a packed header, memory of PPMd, rounds of the key derivation) is checked here first.

use super::Work;
use super::container::{Container, Losses};
use super::reason::{Limit, Reason};
use sevenz_rust2::{Archive, BlockDecoder, EncoderMethod, Error, Password};
use std::io::Cursor;

/// Largest header, packed or not. 10,000 files with names of 50 characters take about 1.2 MB.
const HEADER_BYTES_MAX: u64 = 2 << 20;
/// Largest PPMd model; 7-Zip's highest level takes 192 MiB.
const MODEL_BYTES_MAX: u64 = 256 << 20;
/// Largest power of two of SHA-256 rounds per password; 7-Zip writes 19.
const CYCLES_POWER_MAX: u8 = 20;

/// Opens an archive.
pub(super) fn open(work: &mut Work<'_>, bytes: &[u8], container: &Container<'_>) -> Result<(), Reason> {
    check_header(bytes)?;
    let plain = read(work, bytes, container, &Password::empty(), true);
    if !matches!(plain, Err(Reason::Encrypted { .. })) {
        return plain;
    }
    let passwords = work.passwords().to_vec();
    let (files, text_left) = (work.analysis.files.len(), work.text_left);
    for password in &passwords {
        if !work.budget.in_time() {
            return Err(Limit::Time.into());
        }
        let result = read(work, bytes, container, &Password::new(password), false);
        if work.analysis.files.len() > files || result.is_ok() {
            container.opened_with_password(work);
            return result;
        }
        work.text_left = text_left;
    }
    Err(Reason::Encrypted { tried: passwords.len() })
}

/// Reads the archive with one password. With `list` the names of encrypted files are listed.
fn read(
    work: &mut Work<'_>,
    bytes: &[u8],
    container: &Container<'_>,
    password: &Password,
    list: bool,
) -> Result<(), Reason> {
    let mut source = Cursor::new(bytes);
    let archive = Archive::read(&mut source, password).map_err(reason)?;
    let mut losses = Losses::default();
    let mut closed = false;
    for (index, block) in archive.blocks.iter().enumerate() {
        let mut coders = block.coders.iter();
        if let Err(limit) = coders.try_for_each(|coder| check_coder(coder.encoder_method_id(), coder.properties())) {
            losses.add(limit);
            continue;
        }
        let mut stop = None;
        let decoder = BlockDecoder::new(1, index, &archive, password, &mut source);
        let outcome = decoder.for_each_entries(&mut |entry, stream| {
            if let Err(limit) = losses.see(work) {
                stop = Some(limit.into());
                return Ok(false);
            }
            match work.budget.unpack(stream, bytes.len() as u64) {
                Ok(content) => {
                    container.inspect(work, entry.name(), &content);
                    Ok(true)
                }
                // what stands behind it in the block would have to be unpacked too
                Err(reason) => {
                    stop = Some(reason);
                    Ok(false)
                }
            }
        });
        if let Some(reason) = outcome.err().map(reason).or(stop) {
            closed |= matches!(reason, Reason::Encrypted { .. });
            losses.add(reason);
        }
    }
    for entry in archive.files.iter().filter(|entry| !entry.has_stream() && !entry.is_directory()) {
        if let Err(limit) = losses.see(work) {
            losses.add(limit);
            break;
        }
        if !closed {
            container.inspect(work, entry.name(), b"");
        }
    }
    if list && closed {
        for entry in archive.files.iter().filter(|entry| entry.has_stream()) {
            container.list(work, entry.name(), entry.size(), true);
        }
    }
    losses.outcome()
}

fn reason(error: Error) -> Reason {
    match error {
        Error::PasswordRequired => Reason::Encrypted { tried: 0 },
        Error::UnsupportedCompressionMethod(method) => Reason::Unsupported(format!("7z method {method}")),
        Error::Unsupported(what) => Reason::Unsupported(format!("7z: {what}")),
        Error::ExternalUnsupported => Reason::Unsupported("7z: external data".to_owned()),
        Error::Io(error, _) | Error::MaybeBadPassword(error) => Reason::Damaged(error.to_string()),
        Error::Other(what) => Reason::Damaged(what.into_owned()),
        Error::ChecksumVerificationFailed | Error::NextHeaderCrcMismatch => Reason::Damaged("checksum".to_owned()),
        other => Reason::Damaged(format!("{other:?}")),
    }
}

/// Refuses what a method would need beyond the limits before anything is reserved for it.
fn check_coder(method: &[u8], properties: &[u8]) -> Result<(), Limit> {
    let number = || properties.get(1..5).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    match method {
        EncoderMethod::ID_PPMD if u64::from(number()) > MODEL_BYTES_MAX => Err(Limit::Memory),
        // 0x3f means "no rounds"
        EncoderMethod::ID_AES256_SHA256 => match properties.first().map_or(0, |first| first & 0x3f) {
            0x3f => Ok(()),
            power if power > CYCLES_POWER_MAX => Err(Limit::Time),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks the header before the crate unpacks it. Layout: `7zFormat.txt` of the LZMA SDK.
fn check_header(bytes: &[u8]) -> Result<(), Reason> {
    let number = |at: usize| {
        let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).ok_or_else(cut)?;
        Ok::<u64, Reason>(u64::from_le_bytes(eight))
    };
    let (offset, size) = (number(12)?, number(20)?);
    if bytes.get(8..28).is_some_and(|start| start.iter().all(|byte| *byte == 0)) {
        // the crate would search the whole file for a header
        return Err(Reason::Damaged("the start header is empty".to_owned()));
    }
    if size > HEADER_BYTES_MAX {
        return Err(Limit::Memory.into());
    }
    let start = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(32)).ok_or_else(cut)?;
    let header = bytes.get(start..).and_then(|rest| rest.get(..usize::try_from(size).ok()?)).ok_or_else(cut)?;
    match header.first() {
        Some(0x17) => Packed(&header[1..]).check(),
        _ => Ok(()),
    }
}

fn cut() -> Reason {
    Reason::Damaged("the header is cut off".to_owned())
}

/// The description of a packed header: where its streams lie, how they are packed, how big they are.
struct Packed<'h>(&'h [u8]);

impl Packed<'_> {
    fn check(mut self) -> Result<(), Reason> {
        let mut coders = 0;
        loop {
            match self.byte()? {
                // end, pack info and its parts, unpack info
                0x00 => return Ok(()),
                0x06 => {
                    self.number()?;
                    let streams = self.number()?;
                    loop {
                        match self.byte()? {
                            0x00 => break,
                            0x09 => (0..streams).try_for_each(|_| self.number().map(drop))?,
                            0x0a => self.checksums(streams)?,
                            _ => return Err(cut()),
                        }
                    }
                }
                0x07 => {}
                // folder: one, not external
                0x0b => {
                    if (self.number()?, self.byte()?) != (1, 0) {
                        return Err(Reason::Unsupported("7z: more than one header stream".to_owned()));
                    }
                    coders = self.coders()?;
                }
                // unpacked sizes
                0x0c => {
                    for _ in 0..coders {
                        if self.number()? > HEADER_BYTES_MAX {
                            return Err(Limit::Memory.into());
                        }
                    }
                    // the rest are checksums
                    return Ok(());
                }
                _ => return Err(cut()),
            }
        }
    }

    /// Checks the methods of the folder; answers how many output streams they have.
    fn coders(&mut self) -> Result<u64, Reason> {
        let (mut inputs, mut outputs) = (0_u64, 0_u64);
        let count = self.number()?;
        for _ in 0..count {
            let bits = self.byte()?;
            let method = self.take(usize::from(bits & 0x0f))?.to_vec();
            let (takes, gives) = if bits & 0x10 == 0 { (1, 1) } else { (self.number()?, self.number()?) };
            inputs = inputs.saturating_add(takes);
            outputs = outputs.saturating_add(gives);
            if bits & 0x20 != 0 {
                let length = usize::try_from(self.number()?).map_err(|_| cut())?;
                check_coder(&method, self.take(length)?)?;
            }
        }
        let pairs = outputs.saturating_sub(1);
        for _ in 0..pairs {
            self.number()?;
            self.number()?;
        }
        let packed = inputs.saturating_sub(pairs);
        if packed > 1 {
            (0..packed).try_for_each(|_| self.number().map(drop))?;
        }
        Ok(outputs)
    }

    fn checksums(&mut self, streams: u64) -> Result<(), Reason> {
        let streams = usize::try_from(streams).map_err(|_| cut())?;
        let mut defined = streams;
        if self.byte()? == 0 {
            defined = self.take(streams.div_ceil(8))?.iter().map(|byte| byte.count_ones() as usize).sum();
        }
        self.take(defined.checked_mul(4).ok_or_else(cut)?).map(drop)
    }

    fn byte(&mut self) -> Result<u8, Reason> {
        self.take(1).map(|byte| byte[0])
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Reason> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = tail;
        Ok(head)
    }

    /// A number whose first byte says by its leading ones how many bytes follow.
    fn number(&mut self) -> Result<u64, Reason> {
        let first = u64::from(self.byte()?);
        let (mut mask, mut value) = (0x80_u64, 0_u64);
        for index in 0..8 {
            if first & mask == 0 {
                return Ok(value | (first & (mask - 1)) << (8 * index));
            }
            value |= u64::from(self.byte()?) << (8 * index);
            mask >>= 1;
        }
        Ok(value)
    }
}
