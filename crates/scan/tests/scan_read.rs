//! Logs of every kind and what packs them, read whole; damaged ones as far as they go.

use hinomi_scan::{Detection, Judge, LogFile, Options, Progress, Record, Summary, run};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Keeps every event as (source, record id, categories).
#[derive(Default)]
struct Keep {
    seen: Mutex<Vec<(String, Option<u64>, Record)>>,
}

impl Judge for Keep {
    type State = ();
    fn state(&self) {}
    fn judge(&self, (): &mut (), record: &Record, source: &Arc<str>, _: &mut dyn FnMut(Detection)) {
        self.seen.lock().expect("lock").push((source.to_string(), record.record_id, record.clone()));
    }
}

fn read(paths: &[PathBuf]) -> (Summary, Vec<(String, Option<u64>, Record)>) {
    let (files, problems): (Vec<LogFile>, _) = run::list(paths).expect("there");
    assert!(problems.is_empty());
    let keep = Keep::default();
    let summary = run::run(&files, &keep, Options { threads: 3 }, &Progress::default(), &mut |_| true);
    let mut seen = keep.seen.into_inner().expect("lock");
    seen.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    (summary, seen)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("folder")
}

const SYSMON: &str = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\a.exe"}"#;

#[test]
fn archives_in_archives() {
    let dir = folder();
    let gz = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(format!("{SYSMON}\n{SYSMON}\n").as_bytes()).expect("gzip");
        encoder.finish().expect("gzip")
    };
    let zip = {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file("in/list.json", options).expect("zip");
        writer.write_all(format!("[{SYSMON},\n{SYSMON},{SYSMON}]").as_bytes()).expect("zip");
        writer.start_file("__MACOSX/in/._list.json", options).expect("zip");
        writer.write_all(SYSMON.as_bytes()).expect("zip");
        writer.finish().expect("zip").into_inner()
    };
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in [("logs/a.json.gz", &gz), ("logs/b.zip", &zip), ("logs/readme.txt", &b"hello".to_vec())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice()).expect("tar");
    }
    let tar = zstd::encode_all(tar.into_inner().expect("tar").as_slice(), 1).expect("zstd");
    let path = dir.path().join("all.tar.zst");
    fs::write(&path, tar).expect("write");
    let (summary, seen) = read(std::slice::from_ref(&path));
    assert_eq!((summary.events, summary.logs, summary.damaged), (5, 2, 0), "{:?}", summary.problems);
    let name = path.display().to_string();
    assert_eq!(seen[0].0, format!("{name}!logs/a.json.gz"));
    assert_eq!(seen[2].0, format!("{name}!logs/b.zip!in/list.json"));
    assert!(seen.iter().all(|(_, _, record)| record.class.has(Some("windows"), Some("process_creation"), None)));
}

#[test]
fn folders_are_read_in_order_and_links_are_not_followed() {
    let dir = folder();
    fs::create_dir(dir.path().join("b")).expect("folder");
    fs::write(dir.path().join("b/2.jsonl"), format!("{SYSMON}\n")).expect("write");
    fs::write(dir.path().join("a.jsonl"), format!("{SYSMON}\n{{broken\n\n{SYSMON}\n")).expect("write");
    fs::write(dir.path().join("picture.png"), b"\x89PNG").expect("write");
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir.path(), dir.path().join("b/loop")).expect("link");
    let (summary, seen) = read(&[dir.path().to_owned()]);
    assert_eq!((summary.events, summary.logs, summary.damaged), (3, 2, 1));
    assert_eq!(summary.problems[0].place, "line 2");
    assert_eq!(seen.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), [Some(1), Some(4), Some(1)]);
}

#[test]
fn bombs_end() {
    let dir = folder();
    let zeros = vec![b'0'; 80 << 20];
    let bomb = zstd::encode_all([b"{\"a\":\"", zeros.as_slice()].concat().as_slice(), 1).expect("zstd");
    fs::write(dir.path().join("bomb.zst"), bomb).expect("write");
    let mut nested = b"{\"a\":1}\n".to_vec();
    for _ in 0..10 {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&nested).expect("gzip");
        nested = encoder.finish().expect("gzip");
    }
    fs::write(dir.path().join("nested.gz"), nested).expect("write");
    fs::write(dir.path().join("cut.zip"), b"PK\x03\x04 and nothing more").expect("write");
    let (summary, seen) = read(&[dir.path().to_owned()]);
    assert!(seen.is_empty());
    assert!(summary.problems.iter().any(|problem| problem.why.contains("deeper than")), "{:?}", summary.problems);
    assert!(summary.problems.iter().any(|problem| problem.source.ends_with("cut.zip")));
    assert!(summary.problems.iter().any(|problem| problem.source.ends_with("bomb.zst")));
}

#[test]
fn windows_exports_in_utf16() {
    let dir = folder();
    let text = format!("\u{feff}{SYSMON}\r\n{{\"Channel\":\"Security\",\"EventID\":4688,\"Subject\":\"日本😀\"}}\r\n");
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(dir.path().join("export.json"), bytes).expect("write");
    let (summary, seen) = read(&[dir.path().to_owned()]);
    assert_eq!((summary.events, summary.damaged), (2, 0), "{:?}", summary.problems);
    assert_eq!(seen[1].2.text("Subject").as_deref(), Some("日本😀"));
}

fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/detect").join(name);
    path.exists().then_some(path)
}

#[test]
fn event_logs_of_windows() {
    let Some(archive) = data("sigma-regression.tar.gz") else {
        println!("skipped: data not present");
        return;
    };
    let (summary, seen) = read(&[archive]);
    assert_eq!((summary.logs, summary.events, summary.damaged), (101, 106, 0), "{:?}", summary.problems);
    for (source, id, record) in &seen {
        assert!(id.is_some() && record.time.is_some(), "{source}");
        for name in ["Provider_Name", "EventID", "Channel", "Computer"] {
            assert!(record.text(name).is_some(), "{source}: {name}: {record:?}");
        }
        assert!(!record.class.is_empty());
    }
}

#[test]
fn damaged_event_logs_give_what_is_whole() {
    let Some(archive) = data("baseline.tar.gz") else {
        println!("skipped: data not present");
        return;
    };
    let dir = folder();
    let file = fs::File::open(&archive).expect("there");
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(dir.path()).expect("unpack");
    let whole = dir.path().join("baseline/system.evtx");
    let bytes = fs::read(&whole).expect("read");
    let (good, _) = read(std::slice::from_ref(&whole));
    assert_eq!(good.damaged, 0, "{:?}", good.problems);
    let damaged = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("write");
        read(&[path]).0
    };
    // the file header: nothing is lost
    let summary = damaged("header.evtx", &|bytes| bytes[..64].fill(0xff));
    assert_eq!((summary.events, summary.damaged), (good.events, 1), "{:?}", summary.problems);
    // one chunk without its magic: only that chunk is lost
    let summary = damaged("chunk.evtx", &|bytes| bytes[4096..4104].fill(0));
    assert!(summary.events > good.events / 2 && summary.events < good.events);
    assert!(summary.problems.iter().any(|problem| problem.place == "chunk 0"), "{:?}", summary.problems);
    // bytes of records overwritten: the checksum tells, the rest is read
    let summary = damaged("records.evtx", &|bytes| bytes[4096 + 2_000..4096 + 2_400].fill(0xaa));
    assert!(summary.events > good.events - 200, "{} of {}", summary.events, good.events);
    assert!(summary.problems.iter().any(|problem| problem.why.contains("checksum")), "{:?}", summary.problems);
    // cut in the middle of a chunk
    let summary = damaged("cut.evtx", &|bytes| bytes.truncate(4096 + 65_536 + 30_000));
    assert!(summary.events > 0 && summary.damaged > 0);
    // noise never stops the run
    for seed in 1..20usize {
        damaged("noise.evtx", &|bytes| {
            for at in (seed * 37..bytes.len()).step_by(977 + seed * 13) {
                bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(seed as u8);
            }
        });
    }
}

#[test]
fn flat_exports_in_zips() {
    let Some(folder) = data("security-datasets/psh_input_capture_promptforcreds.zip") else {
        println!("skipped: data not present");
        return;
    };
    let (summary, seen) = read(&[folder]);
    assert_eq!(summary.damaged, 0, "{:?}", summary.problems);
    assert!(summary.events > 10);
    assert!(seen.iter().all(|(_, _, record)| record.time.is_some() && record.text("Computer").is_some()));
}

/// A small generator of our own: the same noise in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

#[test]
fn noise_never_stops_a_reader() {
    let samples: [&[u8]; 7] = [
        b"{\"Channel\":\"Security\",\"EventID\":4688,\"a\":[{\"b\":\"\\u00e9\"}]}\n{\"Event\":{\"System\":{\"EventID\":1}}}\n",
        b"[\n{\"a\": 1},\n{\"b\": {\"c\": [1, 2]}}]",
        b"type=SYSCALL msg=audit(1.2:3): syscall=59 exe=\"/bin/x\"\ntype=EXECVE msg=audit(1.2:3): argc=1 a0=6c73\n",
        b"<13>Nov 22 12:00:00 h sshd[1]: x\n2026-01-01T00:00:00Z h sudo: k : USER=root ; COMMAND=/bin/ls\n",
        b"__CURSOR=a\nMESSAGE\n\x03\0\0\0\0\0\0\0abc\nSYSLOG_IDENTIFIER=sshd\n\n",
        b"\xff\xfe{\0\"\0a\0\"\0:\x001\0}\0\n\0",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabVJT\xb22\xaa\x05\0",
    ];
    let dir = folder();
    let mut noise = Noise(7);
    for round in 0..40 {
        for (at, sample) in samples.iter().enumerate() {
            let mut bytes = sample.repeat(1 + noise.below(4));
            for _ in 0..1 + noise.below(8) {
                let place = noise.below(bytes.len());
                match noise.below(3) {
                    0 => bytes[place] = noise.below(256) as u8,
                    1 => drop(bytes.drain(place..place + noise.below(bytes.len() - place))),
                    _ => bytes.insert(place, b"{}[]\"'=\n\\<"[noise.below(10)]),
                }
                if bytes.is_empty() {
                    bytes.push(b'{');
                }
            }
            fs::write(dir.path().join(format!("{round}-{at}")), bytes).expect("write");
        }
    }
    let (summary, _) = read(&[dir.path().to_owned()]);
    assert!(!summary.problems.iter().any(|problem| problem.why.contains("reader failed")), "{:?}", summary.problems);
}
