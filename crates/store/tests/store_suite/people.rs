//! Users, sessions, tokens, failed logins, enrolment tokens, commands.

use crate::both;
use crate::fixtures::*;
use hinomi_model::*;
use hinomi_store::*;

fn record(number: u64, name: &str) -> UserRecord {
    UserRecord {
        user: User {
            id: id(number),
            name: name.to_owned(),
            mail: None,
            role: Role::Responder,
            language: Language::Ja,
            totp: false,
            passkeys: vec![],
            disabled: false,
            created_at: at(0),
            last_login: None,
            version: 0,
        },
        password_hash: "$argon2id$…".to_owned(),
        totp_secret: None,
        totp_last_step: 0,
        passkeys_json: "[]".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_sensors_come_in() {
    both(|store| async move {
        users(&store).await;
        sessions_and_tokens(&store).await;
        sensors(&store).await;
        directory(&store).await;
    })
    .await;
}

async fn users(store: &Store) {
    store.add_user(&record(1, "aki")).await.unwrap();
    assert!(matches!(store.add_user(&record(2, "aki")).await, Err(StoreError::Duplicate { .. })));
    let mut aki = store.user_by_name("aki").await.unwrap().unwrap();
    assert_eq!(aki.user.version, 1);
    aki.totp_secret = Some("secret".to_owned());
    aki.user.totp = true;
    let aki = store.update_user(&aki, 1).await.unwrap();
    assert!(matches!(store.update_user(&aki, 1).await, Err(StoreError::Conflict { current: 2, .. })));
    assert_eq!(store.user(id(1)).await.unwrap(), Some(aki));
    assert!(store.use_totp_step(id(1), 100).await.unwrap());
    assert!(!store.use_totp_step(id(1), 100).await.unwrap(), "a one-time password works once");
    assert!(!store.use_totp_step(id(1), 99).await.unwrap());
    assert_eq!(store.user_count().await.unwrap(), 1);
    assert_eq!(store.users(&Page::default()).await.unwrap().items[0].name, "aki");
}

async fn sessions_and_tokens(store: &Store) {
    let session = |number: u64| SessionRow {
        id: id(number),
        token_sha256: format!("hash-{number}"),
        user_id: id(1),
        created_at: at(number as i64),
        last_seen: at(0),
        expires_at: at(100),
        step_up_until: None,
        address: "127.0.0.1".to_owned(),
        user_agent: "curl\0".to_owned(),
    };
    for number in 1..=3 {
        store.add_session(&session(number)).await.unwrap();
    }
    store.set_step_up(id(1), Some(at(300))).await.unwrap();
    store.touch_session(id(1), at(50), at(200)).await.unwrap();
    let read = store.session_by_token("hash-1", at(199)).await.unwrap().unwrap();
    assert_eq!((read.step_up_until, read.last_seen), (Some(at(300)), at(50)));
    assert_eq!(store.session_by_token("hash-1", at(200)).await.unwrap(), None);
    assert_eq!(store.sessions_of_user(id(1), at(0)).await.unwrap()[0].id, id(3));
    assert_eq!(store.delete_sessions_of_user(id(1), Some(id(1))).await.unwrap(), 2);
    assert_eq!(store.prune_sessions(at(200)).await.unwrap(), 1);

    let token = ApiTokenRow {
        id: id(1),
        secret_sha256: "s".to_owned(),
        name: "grafana".to_owned(),
        role: Role::Viewer,
        created_by: "aki".to_owned(),
        created_at: at(0),
        expires_at: Some(at(10)),
        last_used: None,
    };
    store.add_api_token(&token).await.unwrap();
    store.touch_api_token(id(1), at(5)).await.unwrap();
    let read = store.api_token_by_secret("s", at(9)).await.unwrap().unwrap();
    assert_eq!(read, ApiTokenRow { last_used: Some(at(5)), ..token });
    assert_eq!(store.api_token_by_secret("s", at(10)).await.unwrap(), None);
    assert_eq!(store.api_tokens(&Page::default()).await.unwrap().total, 1);
    assert!(store.delete_api_token(id(1)).await.unwrap());

    for second in 1..=3 {
        assert_eq!(store.count_login_failure("user:aki", at(second), 60).await.unwrap().count, second);
    }
    assert_eq!(store.login_failures("user:aki").await.unwrap().first_at, at(1));
    assert_eq!(store.count_login_failure("user:aki", at(100), 60).await.unwrap().count, 1, "after a pause");
    store.clear_login_failures("user:aki").await.unwrap();
    assert_eq!(store.login_failures("user:aki").await.unwrap(), LoginFailures::default());
}

async fn sensors(store: &Store) {
    let token = EnrolmentTokenRow {
        id: id(1),
        secret_sha256: "abc".to_owned(),
        note: "room 3".to_owned(),
        created_by: "aki".to_owned(),
        created_at: at(0),
        expires_at: at(100),
        used_by: None,
    };
    store.add_enrolment_token(&token).await.unwrap();
    assert_eq!(store.use_enrolment_token("abc", id(9), at(100)).await.unwrap(), None, "ended");
    // of many sensors with the same token, one enrols
    let tries: Vec<_> = (1..=6)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.use_enrolment_token("abc", id(number), at(1)).await.unwrap() })
        })
        .collect();
    let mut enrolled = 0;
    for attempt in tries {
        enrolled += usize::from(attempt.await.unwrap().is_some());
    }
    assert_eq!(enrolled, 1);
    assert!(store.enrolment_tokens(&Page::default()).await.unwrap().items[0].used_by.is_some());

    store.put_device(&device(1, "WS-1")).await.unwrap();
    store.all_devices_offline().await.unwrap();
    let online = DeviceFilter { online: Some(true), ..DeviceFilter::default() };
    assert_eq!(store.devices(&online, &Page::default()).await.unwrap().total, 0);
    let named = DeviceFilter { text: Some("10.0.0.1".to_owned()), ..DeviceFilter::default() };
    assert_eq!(store.devices(&named, &Page::default()).await.unwrap().items[0].name, "WS-1");

    for sequence in 1..=2 {
        assert_eq!(store.next_command_sequence(id(1)).await.unwrap(), sequence);
        let command = CommandRow {
            id: id(sequence),
            device_id: id(1),
            sequence,
            envelope: vec![0, 255, sequence as u8],
            signature: vec![1; 64],
            action_id: Some(id(7)),
            state: CommandState::Open,
            issued_at: at(0),
            expires_at: at(60 * sequence as i64),
            result: None,
        };
        store.put_command(&command).await.unwrap();
        assert_eq!(store.command(command.id).await.unwrap(), Some(command));
    }
    assert_eq!(store.open_commands(id(1), at(59)).await.unwrap().len(), 2);
    let expired = store.expire_commands(at(60)).await.unwrap();
    assert_eq!(expired.iter().map(|command| command.sequence).collect::<Vec<_>>(), [1]);
    assert!(store.finish_command(id(2), "{}").await.unwrap());
    assert!(!store.finish_command(id(2), "{\"again\":1}").await.unwrap());
    assert_eq!(store.open_commands(id(1), at(0)).await.unwrap(), []);
    assert_eq!(store.commands_of_action(id(7)).await.unwrap()[1].result.as_deref(), Some("{}"));
}

fn person(source: &str, key: &str, account: &str, address: &str) -> Person {
    Person {
        id: format!("{source}/{key}"),
        source: source.to_owned(),
        name: format!("Person {key}"),
        accounts: vec![account.to_owned()],
        sids: vec!["S-1-5-21-7".to_owned()],
        mailbox: Some(address.to_owned()),
        addresses: vec![address.to_owned(), "shared@x.test".to_owned()],
        devices: vec!["pc\0 1".to_owned()],
        department: None,
        title: None,
        disabled: false,
        changed_at: at(0),
    }
}

async fn directory(store: &Store) {
    let one = person("csv", "1", "ann", "ann@x.test");
    let two = person("csv", "2", "x\\bob", "bob@x.test");
    let other = person("ldap", "1", "ann", "ann@y.test");
    let before = [one.clone(), two.clone()];
    assert_eq!(store.compare_directory("csv", &before).await.unwrap().added, 2);
    assert_eq!(store.people(&PersonFilter::default(), &Page::default()).await.unwrap().total, 0);
    store.replace_directory("csv", &before).await.unwrap();
    store.replace_directory("ldap", std::slice::from_ref(&other)).await.unwrap();
    let twice = store.replace_directory("csv", &[one.clone(), one.clone()]).await;
    assert!(matches!(twice, Err(StoreError::Invalid { .. })));

    let keys = [
        EntityKey::user("ann"),
        EntityKey::user("X\\BOB"),
        EntityKey::user("bob"),
        EntityKey::mailbox("shared@x.test"),
    ];
    let found = store.people_of(&keys).await.unwrap();
    let found: Vec<_> = found.iter().map(|(person, by)| (person.id.as_str(), by.len())).collect();
    assert_eq!(found, [("csv/1", 2), ("csv/2", 2), ("ldap/1", 2)]);

    // read later, the same: nothing is written; the one that is gone is forgotten with its keys
    let again = Person { changed_at: at(9), ..one.clone() };
    let change = store.replace_directory("csv", &[again]).await.unwrap();
    assert_eq!((change.added, change.changed, change.removed, change.unchanged), (0, 0, 1, 1));
    assert_eq!(store.person("csv/1").await.unwrap().unwrap().changed_at, at(0));
    assert!(store.people_of(&keys[1..2]).await.unwrap().is_empty());
    let filter = PersonFilter { source: Some("csv".to_owned()), text: Some("ANN@".to_owned()) };
    assert_eq!(store.people(&filter, &Page::default()).await.unwrap().total, 1);
    store.replace_directory("csv", &[]).await.unwrap();
    store.replace_directory("ldap", &[]).await.unwrap();
    assert_eq!(store.people(&PersonFilter::default(), &Page::default()).await.unwrap().total, 0);
}
