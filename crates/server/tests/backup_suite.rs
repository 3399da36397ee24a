//! Backup of a data folder in use, and restore into a new one.

use hinomi_lake::{Lake, LakeFile, LakeQuery};
use hinomi_model::{Event, Table, Timestamp};
use hinomi_server::backup::{backup, open_store, restore};
use hinomi_server::config::Config;
use hinomi_store::LakeFileRow;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn row(file: &LakeFile) -> LakeFileRow {
    LakeFileRow {
        path: file.path.clone(),
        table: file.table,
        day: file.day.clone(),
        rows: file.rows,
        bytes: file.bytes,
        first: file.first,
        last: file.last,
    }
}

/// A data folder as a server leaves it: state, events, a log of two segments, keys, a removed mail.
async fn fill(config: &Config, data: &Path) -> Vec<LakeFile> {
    fs::create_dir_all(data.join("keys")).unwrap();
    fs::write(data.join("keys/command.pk8"), "secret").unwrap();
    fs::set_permissions(data.join("keys/command.pk8"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir_all(data.join("quarantine/ab")).unwrap();
    fs::write(data.join("quarantine/ab/mail"), "encrypted").unwrap();
    fs::create_dir_all(data.join("log")).unwrap();
    fs::write(data.join("log/00000000000000000000.log"), "first segment").unwrap();
    fs::write(data.join("log/00000000000000000013.log"), "second segment").unwrap();

    let lake = Lake::open(&data.join("lake"), vec![]).await.unwrap();
    lake.append(13, (0..50).map(|micros| Event::new(Table::EmailEvents, Timestamp::from_micros(micros))).collect());
    let flush = lake.flush().await.unwrap().unwrap();
    let store = open_store(config, data).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let rows: Vec<_> = flush.files.iter().map(row).collect();
    tx.replace_lake_files(&[], &rows).await.unwrap();
    tx.set_offset("lake", flush.through).await.unwrap();
    tx.set_offset("analyst", 13).await.unwrap();
    tx.set_setting("automation_level", "full").await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    // written but never committed: not part of the truth
    lake.append(20, vec![Event::new(Table::UrlClickEvents, Timestamp::from_micros(1))]);
    lake.flush().await.unwrap().unwrap();
    flush.files
}

/// Every file below a folder with its content.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_server_comes_back_from_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, to) = (Config::default(), folder.path().join("data"), folder.path().join("backup"));
    let files = fill(&config, &data).await;
    // the server works on while the backup is made
    let running = open_store(&config, &data).await.unwrap();

    let manifest = backup(&config, &data, &to).await.unwrap();
    assert_eq!((manifest.event_files, manifest.files.len()), (1, 6));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!data.join(".backup").exists() && !folder.path().join("backup.partial").exists());
    assert!(backup(&config, &data, &to).await.is_err(), "an earlier backup is never overwritten");
    running.set_setting("automation_level", "none").await.unwrap();
    running.close().await;

    let restored = folder.path().join("restored");
    assert_eq!(restore(&config, &restored, &to).await.unwrap(), manifest);
    let (old, new) = (tree(&data), tree(&restored));
    let kept = |name: &str| ["keys/", "quarantine/", "log/"].iter().any(|start| name.starts_with(start));
    for (name, content) in old.iter().filter(|(name, _)| kept(name)) {
        assert_eq!(new.get(name), Some(content), "{name}");
    }
    let mode = fs::metadata(restored.join("keys/command.pk8")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "keys stay private");
    let store = open_store(&config, &restored).await.unwrap();
    assert_eq!(store.setting("automation_level").await.unwrap().as_deref(), Some("full"));
    assert_eq!(store.offset("lake").await.unwrap(), 13);
    assert_eq!(store.lake_files().await.unwrap(), files.iter().map(row).collect::<Vec<_>>());
    let lake = Lake::open(&restored.join("lake"), files).await.unwrap();
    assert_eq!(lake.query(LakeQuery::of(Table::EmailEvents)).await.unwrap().len(), 50);
    assert_eq!(lake.query(LakeQuery::of(Table::UrlClickEvents)).await.unwrap().len(), 0);
    assert!(restore(&config, &restored, &to).await.is_err(), "a data folder in use is never overwritten");
}

#[tokio::test]
async fn damaged_or_forged_backups_are_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data, to) = (Config::default(), folder.path().join("data"), folder.path().join("backup"));
    fill(&config, &data).await;
    let manifest = backup(&config, &data, &to).await.unwrap();
    let described = fs::read_to_string(to.join("backup.json")).unwrap();
    let refused = async |what: &str| {
        let target = folder.path().join("target");
        let error = restore(&config, &target, &to).await.unwrap_err();
        assert!(!target.exists(), "{what}: nothing is written");
        format!("{error:#}")
    };
    for entry in &manifest.files {
        let path = to.join(&entry.path);
        let sound = fs::read(&path).unwrap();
        let mut changed = sound.clone();
        changed[sound.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(refused(&entry.path).await.contains("hash differs"), "{}", entry.path);
        fs::remove_file(&path).unwrap();
        assert!(refused(&entry.path).await.contains("missing"), "{}", entry.path);
        fs::write(&path, sound).unwrap();
    }
    for path in ["../../etc/passwd", "/etc/passwd", "data/../../x", ""] {
        let forged = described.replace(&manifest.files[0].path, path);
        fs::write(to.join("backup.json"), forged).unwrap();
        assert!(refused(path).await.contains("not a path inside the backup"), "{path}");
    }
    fs::write(to.join("backup.json"), described.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(refused("format").await.contains("format 2"));
    fs::remove_file(to.join("backup.json")).unwrap();
    assert!(refused("no manifest").await.contains("not a backup"));
}
