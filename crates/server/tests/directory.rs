//! The directory of people: CSV, and LDAP from Debian's real slapd.

// this test needs a part of it
#[allow(dead_code)]
#[path = "http/world.rs"]
mod world;

use base64::Engine;
use hinomi_model::{EntityKey, Incident, Person, Role, Timestamp};
use hinomi_server::config::Config;
use hinomi_server::directory::{self, DirectoryError, LdapConfig};
use hinomi_store::{Page, PersonFilter, Store};
use hinomi_testkit::slapd::{BASE_DN, READER_DN, READER_PASSWORD, Slapd};
use serde_json::{Value, json};

/// More than the server gives at once.
const PEOPLE: usize = 250;

async fn store(dir: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite:{}", dir.path().join("hinomi.db").display())).await.expect("store")
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T00:00:00Z").expect("time")
}

async fn everyone(store: &Store) -> Vec<Person> {
    let mut all = Vec::new();
    let mut page = Page::first(200);
    loop {
        let listed = store.people(&PersonFilter::default(), &page).await.expect("people");
        all.extend(listed.items);
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}

fn ldif() -> String {
    let mut all = format!("dn: ou=people,{BASE_DN}\nobjectClass: organizationalUnit\nou: people\n\n");
    for number in 0..PEOPLE {
        all.push_str(&format!(
            "dn: uid=user{number},ou=people,{BASE_DN}\nobjectClass: inetOrgPerson\nuid: user{number}\nsn: {number}\n\
             cn: User {number}\nmail: User{number}@Example.test\nmail: u{number}@example.test\ntitle: clerk\n\
             departmentNumber: 経理\n\n"
        ));
    }
    // an entry that is nobody: neither account nor address
    all.push_str(&format!("dn: cn=nobody,ou=people,{BASE_DN}\nobjectClass: inetOrgPerson\ncn: nobody\nsn: nobody\n\n"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_read_from_a_real_ldap_server() {
    let slapd = Slapd::start(&ldif()).expect("slapd");
    let dir = tempfile::tempdir().expect("temp dir");
    let store = store(&dir).await;
    let password = dir.path().join("password");
    std::fs::write(&password, format!("{READER_PASSWORD}\n")).expect("write");
    let config = |url: &str, more: &str| -> LdapConfig {
        let text = format!(
            "url = {url:?}\nbase_dn = {BASE_DN:?}\nbind_dn = {READER_DN:?}\npassword_file = {password:?}\n\
             page_size = 60\naccount_domain = \"EXAMPLE\"\n{more}"
        );
        toml::from_str(&text).expect("config")
    };
    let trusted = format!("ca_file = {:?}\n", slapd.authority());

    // TLS from the first byte, by pages: the server gives at most 100 entries at once
    let change = directory::read_ldap(&store, &config(&slapd.tls_url(), &trusted), now()).await.expect("read");
    assert_eq!((change.added, change.rejected_count), (PEOPLE, 1), "{change:?}");
    assert!(change.rejected[0].row.starts_with("cn=nobody"), "{change:?}");
    let people = everyone(&store).await;
    assert_eq!(people.len(), PEOPLE);
    let user7 = people.iter().find(|person| person.name == "User 7").expect("user 7");
    assert_eq!(user7.accounts, ["user7", "example\\user7"]);
    assert_eq!(user7.mailbox.as_deref(), Some("user7@example.test"));
    assert_eq!(user7.addresses, ["user7@example.test", "u7@example.test"]);
    assert_eq!((user7.department.as_deref(), user7.title.as_deref()), (Some("経理"), Some("clerk")));
    assert_eq!(user7.id.len(), "ldap/".len() + 36, "the key is entryUUID: {}", user7.id);

    // StartTLS reads the same; a rename is a change, not somebody else
    slapd
        .modify(&format!(
            "dn: uid=user7,ou=people,{BASE_DN}\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 1\n\n\
             dn: uid=user8,ou=people,{BASE_DN}\nchangetype: delete\n\n"
        ))
        .expect("modify");
    let starttls = config(&slapd.url(), &format!("starttls = true\n{trusted}"));
    let change = directory::read_ldap(&store, &starttls, now()).await.expect("read");
    assert_eq!((change.added, change.changed, change.removed, change.unchanged), (0, 1, 1, PEOPLE - 2));
    let renamed = store.person(&user7.id).await.expect("read").expect("same person");
    assert_eq!(renamed.accounts, ["ann", "example\\ann"]);

    // accounts of devices and mailboxes lead to the person
    let keys = ["ann", "EXAMPLE\\ann", "OTHER\\ann", "root"]
        .map(EntityKey::user)
        .into_iter()
        .chain([EntityKey::mailbox("u7+news@example.test")]);
    let found = store.people_of(&keys.collect::<Vec<_>>()).await.expect("look-up");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.id.as_str(), found[0].1.len()), (user7.id.as_str(), 4));

    // what is wrong is told, and changes nothing
    let unknown_authority = directory::read_ldap(&store, &config(&slapd.tls_url(), ""), now()).await;
    assert!(matches!(unknown_authority, Err(DirectoryError::Ldap { .. })), "{unknown_authority:?}");
    std::fs::write(&password, "wrong\n").expect("write");
    let refused = directory::read_ldap(&store, &starttls, now()).await.expect_err("wrong password");
    assert!(refused.to_string().starts_with("log in to directory"), "{refused}");
    std::fs::write(&password, READER_PASSWORD).expect("write");
    let nobody = config(&slapd.tls_url(), &format!("filter = \"(uid=nobody*)\"\n{trusted}"));
    assert!(matches!(directory::read_ldap(&store, &nobody, now()).await, Err(DirectoryError::Nobody(_))));
    let by_sn =
        config(&slapd.tls_url(), &format!("filter = \"(uid=user1*)\"\n{trusted}[attributes]\naccounts = [\"sn\"]\n"));
    assert_eq!(everyone(&store).await.len(), PEOPLE - 1);
    directory::read_ldap(&store, &by_sn, now()).await.expect("read");
    assert_eq!(everyone(&store).await.len(), 111, "1, 10 to 19, 100 to 199");
    assert_eq!(store.people_of(&[EntityKey::user("42")]).await.expect("look-up").len(), 0);
    assert_eq!(store.people_of(&[EntityKey::user("142")]).await.expect("look-up").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_file_is_one_source_among_others() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = store(&dir).await;
    let first = "key,name,account,mail,aliases,device\n\
                 1,Ann,EXAMPLE\\ann|ann,ann@example.test,a@example.test|info@example.test,PC-1\n\
                 2,Bob,bob,bob@example.test,info@example.test,\n\
                 2,Bob again,bobby,,,\n,Nobody,,,,\n5,Odd,odd,not an address,,\n";
    let import = async |text: &str, source: &str, dry: bool| {
        directory::import(&store, source, text.as_bytes(), dry, now()).await
    };
    let change = import(first, "csv", true).await.expect("dry run");
    assert_eq!((change.added, change.rejected_count, change.dry_run), (2, 3, true));
    assert_eq!(change.rejected.iter().map(|row| row.row.as_str()).collect::<Vec<_>>(), ["4", "5", "6"]);
    assert!(everyone(&store).await.is_empty(), "a dry run stores nothing");
    import(first, "csv", false).await.expect("import");
    import("user,mail\ncarol,carol@example.test\n", "branch", false).await.expect("import");
    assert_eq!(everyone(&store).await.len(), 3);

    // a shared address leads to both
    let shared = store.people_of(&[EntityKey::mailbox("info@example.test")]).await.expect("look-up");
    assert_eq!(shared.len(), 2);
    let filter = PersonFilter { text: Some("pc-1".to_owned()), ..PersonFilter::default() };
    assert_eq!(store.people(&filter, &Page::default()).await.expect("list").items[0].name, "Ann");

    let second = "key,name,account,mail\n1,Ann,ann,ann@example.test\n3,Dan,dan,dan@example.test\n";
    let change = import(second, "csv", false).await.expect("import");
    assert_eq!((change.added, change.changed, change.removed, change.unchanged), (1, 1, 1, 0));
    let change = import(second, "csv", false).await.expect("again");
    assert_eq!((change.added, change.changed, change.removed, change.unchanged), (0, 0, 0, 2));
    assert!(store.people_of(&[EntityKey::user("bob")]).await.expect("look-up").is_empty());
    assert!(matches!(import("user\n,\n", "csv", false).await, Err(DirectoryError::Nobody(_))));
    assert_eq!(everyone(&store).await.len(), 3, "the other source stays, and so does this one");
}

fn incident(users: &[&str], mailboxes: &[&str]) -> Incident {
    let text = json!({ "en": "x", "ja": "x" });
    serde_json::from_value(json!({
        "id": hinomi_server::ids::new::<hinomi_model::IncidentId>(), "number": 1, "title": text, "title_by_person": false, "severity": "high",
        "status": "active", "classification": "unknown", "determination": "unknown", "assigned_to": null, "tags": [],
        "alerts": [], "devices": [], "users": users, "mailboxes": mailboxes, "tactics": [], "techniques": [],
        "investigations": [], "comments": [], "activities": [], "redirected_to": null, "created_at": now(),
        "updated_at": now(), "first_activity": now(), "last_activity": now(), "version": 1,
    }))
    .expect("an incident")
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_name_the_people_behind_accounts_and_mailboxes() {
    let world = world::world().await;
    let admin = world.set_up().await;
    let file = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let csv =
        file("key,name,account,mail,aliases,shoe\n1,髙橋 花子,EXAMPLE\\hanako,hanako@example.test,h@example.test,23\n");
    let viewer = world.person("viewer", Role::Viewer).await;
    let body = json!({ "file": csv, "dry_run": true });
    world.ask(&viewer, "POST", "/directory/import", Some(body.clone())).await.is(403);
    let answer = world.ask(&admin, "POST", "/directory/import", Some(body)).await.is(200).body;
    assert_eq!((&answer["added"], &answer["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(answer["ignored_columns"], json!(["shoe"]));
    assert_eq!(world.ask(&viewer, "GET", "/directory", None).await.is(200).body["total"], 0);
    world.ask(&admin, "POST", "/directory/import", Some(json!({ "file": csv }))).await.is(200);
    let listed = world.ask(&viewer, "GET", "/directory?text=HANAKO", None).await.is(200).body;
    assert_eq!(listed["items"][0]["name"], "髙橋 花子");
    for (body, field) in [
        (json!({ "file": "not base64!" }), "file"),
        (json!({ "file": file("shoe\n1\n") }), "file"),
        (json!({ "file": csv, "source": "ldap" }), "source"),
    ] {
        let problem = world.ask(&admin, "POST", "/directory/import", Some(body)).await.is(400).body;
        assert_eq!(problem["field"], field, "{problem}");
    }
    let problem = world.ask(&admin, "POST", "/directory/sync", None).await.is(409);
    assert_eq!(problem.code(), "directory_not_configured");

    let store = &world.running.ctx.store;
    store
        .put_incident(&incident(&["example\\hanako", "root"], &["h@example.test", "bob@example.test"]))
        .await
        .expect("put");
    let people = world.ask(&viewer, "GET", "/incidents/1/people", None).await.is(200).body;
    assert_eq!(people["total"], 1, "{people}");
    assert_eq!(people["items"][0]["by"], json!(["user:example\\hanako", "mailbox:h@example.test"]));
    world.ask(&viewer, "GET", "/incidents/2/people", None).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_reads_its_directory_by_itself() {
    let slapd = Slapd::start(&ldif()).expect("slapd");
    let dir = tempfile::tempdir().expect("temp dir");
    let password = dir.path().join("password");
    std::fs::write(&password, READER_PASSWORD).expect("write");
    // outlives the server
    let authority = dir.path().join("authority.pem");
    std::fs::copy(slapd.authority(), &authority).expect("copy");
    let text = format!(
        "url = {:?}\nca_file = {:?}\nbase_dn = {BASE_DN:?}\nbind_dn = {READER_DN:?}\npassword_file = {password:?}\n\
         page_size = 100\n",
        slapd.tls_url(),
        authority
    );
    let config = Config { directory: Some(toml::from_str(&text).expect("config")), ..Config::default() };
    let world = world::world_of(config).await;
    let admin = world.set_up().await;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let status: Value = loop {
        let status = world.ask(&admin, "GET", "/directory/status", None).await.is(200).body;
        if !status["read_at"].is_null() {
            break status;
        }
        assert!(std::time::Instant::now() < end, "not read: {status}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((&status["configured"], &status["change"]["added"]), (&json!(true), &json!(PEOPLE)), "{status}");
    let change = world.ask(&admin, "POST", "/directory/sync", None).await.is(200).body;
    assert_eq!((&change["unchanged"], &change["source"]), (&json!(PEOPLE), &json!("ldap")));
    drop(slapd);
    let problem = world.ask(&admin, "POST", "/directory/sync", None).await.is(502);
    assert_eq!(problem.code(), "directory_unreachable");
    let status = world.ask(&admin, "GET", "/directory/status", None).await.is(200).body;
    assert!(
        status["error"].as_str().is_some_and(|error| error.contains("reach directory ldaps://localhost")),
        "{status}"
    );
    assert_eq!(everyone(&world.running.ctx.store).await.len(), PEOPLE, "what is known stays");
}
