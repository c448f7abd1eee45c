//! Stable storage: what survives, and which damage is detected.

#![expect(clippy::disallowed_methods, reason = "files are damaged here")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interrex::{
    machine::NodeId,
    runtime::{Directory, Opened, Owner, Storage, StorageError},
};
use std::{fs, path::Path, thread, time::Duration};
use tempfile::tempdir;

const N1: NodeId = NodeId(1);
/// The bytes that a disk writes at once.
const SECTOR: usize = 512;

fn owner(node: NodeId, protocol: &str) -> Owner {
    Owner::new(node, protocol)
}

fn open(folder: &Path) -> Result<(Directory, Opened<String>), StorageError> {
    let mut directory = Directory::new(folder);
    let opened = directory.open(&owner(N1, "gms3"))?;
    Ok((directory, opened))
}

fn persist(folder: &Path, stable: &str) {
    let (mut directory, _) = open(folder).unwrap();
    directory.persist(&stable.to_owned(), &stable.to_owned()).unwrap();
}

/// What would be kept by a machine whose last persisted value replaces the one before.
fn last(opened: &Opened<String>) -> Option<&str> {
    opened.stable.last().map(String::as_str)
}

#[test]
fn the_last_value_survives_and_lives_are_numbered_upwards() {
    let folder = tempdir().unwrap();
    let (mut directory, first) = open(folder.path()).unwrap();
    assert_eq!(last(&first), None);
    for stable in ["one", "two"] {
        directory.persist(&stable.to_owned(), &stable.to_owned()).unwrap();
    }
    drop(directory);
    let (_, second) = open(folder.path()).unwrap();
    assert_eq!(last(&second), Some("two"));
    assert!(second.life > first.life, "{first:?}, {second:?}");
}

/// A node that did not start has used up the number of a life, and is no member of anything.
#[test]
fn a_folder_is_used_once_something_is_persisted() {
    let folder = tempdir().unwrap();
    let is_used = || Directory::new(folder.path()).is_used();
    assert!(!is_used());
    drop(open(folder.path()).unwrap());
    assert!(!is_used());
    persist(folder.path(), "one");
    assert!(is_used());
    fs::write(folder.path().join("stable"), "damaged").unwrap();
    assert!(is_used());
}

#[test]
fn a_life_that_persists_nothing_keeps_the_value() {
    let folder = tempdir().unwrap();
    persist(folder.path(), "one");
    drop(open(folder.path()).unwrap());
    assert_eq!(last(&open(folder.path()).unwrap().1), Some("one"));
}

/// A file that was replaced as a whole cannot be torn by a crash.
#[test]
fn every_torn_or_altered_file_is_detected_and_left_alone() {
    let folder = tempdir().unwrap();
    persist(folder.path(), "something of some length");
    drop(open(folder.path()).unwrap());
    let path = folder.path().join("stable");
    let whole = fs::read(&path).unwrap();
    let torn = (0..whole.len()).map(|length| whole[..length].to_vec());
    let altered = (0..whole.len() * 8).map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let longer = [whole.clone(), b"more than a record".to_vec()].concat();
    for bytes in torn.chain(altered).chain([longer]) {
        fs::write(&path, &bytes).unwrap();
        match open(folder.path()) {
            Err(error @ StorageError::Corrupt { .. }) => {
                let said = error.to_string();
                assert!(said.contains("stable: torn or corrupt"), "{said}");
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_record_that_a_crash_has_torn_is_cut_off_and_an_altered_one_is_refused() {
    let folder = tempdir().unwrap();
    persist(folder.path(), "one");
    let path = folder.path().join("stable");
    let (mut directory, _) = open(folder.path()).unwrap();
    let before = fs::read(&path).unwrap();
    directory.persist(&"two".repeat(500), &"two".repeat(500)).unwrap();
    drop(directory);
    let whole = fs::read(&path).unwrap();
    let (first, record) = whole.split_at(before.len());
    assert_eq!(first, before);

    let missing = (0..record.len()).map(|length| record[..length].to_vec());
    let unwritten = (0..record.len()).map(|length| {
        let mut record = record.to_vec();
        record[length..].fill(0);
        record
    });
    // The sectors of a disk are not written in their order.
    let mut later = record.to_vec();
    later[SECTOR - first.len()..2 * SECTOR - first.len()].fill(0);
    let unwritten = unwritten.filter(|record| record.ends_with(&[0; 512]));
    for record in missing.chain(unwritten).chain([later]) {
        fs::write(&path, [first, &record].concat()).unwrap();
        assert_eq!(last(&open(folder.path()).unwrap().1), Some("one"), "{record:?}");
    }
    for bit in 0..record.len() * 8 {
        let mut record = record.to_vec();
        record[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, [first, &record].concat()).unwrap();
        assert!(matches!(open(folder.path()), Err(StorageError::Corrupt { .. })), "bit {bit}");
    }
}

/// Until a sync, a disk may write a later record before an earlier one. After it, a damage is none of a crash.
#[test]
fn records_before_a_sync_may_be_torn_in_any_order_and_those_that_a_sync_follows_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("stable");
    let value = |letter: &str| letter.repeat(2000);
    let (mut directory, _) = open(folder.path()).unwrap();
    directory.persist(&value("a"), &value("a")).unwrap();
    Storage::<String>::sync(&mut directory).unwrap();
    let synced = fs::read(&path).unwrap().len();
    for letter in ["b", "c", "d"] {
        directory.persist(&value(letter), &value(letter)).unwrap();
    }
    let unsynced = fs::read(&path).unwrap();
    Storage::<String>::sync(&mut directory).unwrap();
    directory.persist(&value("e"), &value("e")).unwrap();
    drop(directory);
    let followed = fs::read(&path).unwrap();

    let gaps = (synced / SECTOR + 1)..(unsynced.len() / SECTOR);
    for gap in gaps.map(|sector| sector * SECTOR..(sector + 1) * SECTOR) {
        let mut torn = unsynced.clone();
        torn[gap.clone()].fill(0);
        fs::write(&path, torn).unwrap();
        let (_, Opened { stable, .. }) = open(folder.path()).unwrap();
        let whole = (gap.start - synced) / (2000 + 15);
        let letters = ["a", "b", "c", "d"].map(value);
        assert_eq!(stable, letters[..=whole], "{gap:?}");

        let mut altered = followed.clone();
        altered[gap].fill(0);
        fs::write(&path, altered).unwrap();
        assert!(matches!(open(folder.path()), Err(StorageError::Corrupt { .. })));
    }
}

#[test]
fn changes_are_added_until_they_outgrow_the_whole() {
    let folder = tempdir().unwrap();
    let (mut directory, _) = open(folder.path()).unwrap();
    let change = "a change ".repeat(1000);
    let mut whole = String::new();
    let size = |folder: &Path| fs::metadata(folder.join("stable")).unwrap().len();
    for number in 0..1000 {
        whole = format!("{number} changes");
        directory.persist(&change, &whole).unwrap();
        assert!(size(folder.path()) < 2_000_000);
    }
    drop(directory);
    let (_, Opened { stable, .. }) = open(folder.path()).unwrap();
    assert!(stable[0].ends_with(" changes"), "it begins with a whole");
    assert!(stable[1..].iter().all(|it| *it == change) && stable.len() > 2);
    let since = stable[0].split(' ').next().unwrap().parse::<usize>().unwrap();
    assert_eq!(since + stable.len(), 1000, "{whole}");
}

/// A crash before the rename leaves the old file, and an incomplete new one.
#[test]
fn an_unfinished_replacement_changes_nothing() {
    let folder = tempdir().unwrap();
    persist(folder.path(), "one");
    fs::write(folder.path().join("stable.new"), b"half of").unwrap();
    assert_eq!(last(&open(folder.path()).unwrap().1), Some("one"));
}

#[test]
fn a_folder_belongs_to_one_node_and_one_process_at_a_time() {
    let folder = tempdir().unwrap();
    let (directory, _) = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(StorageError::InUse(_))));
    drop(directory);
    for (node, protocol) in [(NodeId(2), "gms3"), (N1, "gen_leader")] {
        let foreign =
            Storage::<u64>::open(&mut Directory::new(folder.path()), &owner(node, protocol));
        let says = format!("stable: it belongs to n1 of gms3, and this is {node} of {protocol}");
        assert!(foreign.unwrap_err().to_string().ends_with(&says));
    }
    let mut elsewhere = owner(N1, "gms3");
    elsewhere.cluster = "blue".into();
    let foreign = Storage::<u64>::open(&mut Directory::new(folder.path()), &elsewhere);
    let says = "it belongs to n1 of gms3, and this is n1 of gms3 in cluster blue";
    assert!(foreign.unwrap_err().to_string().ends_with(says));
}

/// A clock that was wrong then, or is wrong now, locks nobody out.
#[test]
fn lives_are_counted_from_the_stored_one_and_follow_those_that_others_know() {
    let folder = tempdir().unwrap();
    let (_, first) = open(folder.path()).unwrap();
    let (_, second) = open(folder.path()).unwrap();
    assert_eq!(second.life, first.life + 1);
    let mut known = owner(N1, "gms3");
    known.least_life = second.life + 100;
    let mut directory = Directory::new(folder.path());
    let third: Opened<String> = directory.open(&known).unwrap();
    assert_eq!(third.life, second.life + 100);
    let nothing: Opened<String> = Storage::open(&mut None::<Directory>, &known).unwrap();
    assert!(nothing.life >= known.least_life);
}

/// Whoever can write to the folder cannot have another file emptied, or the node wait for ever. (A socket stands for what is
/// no file: to make a pipe, a test would have to start a process, which would hold the locks of the others for a moment.)
#[cfg(unix)]
#[test]
fn links_and_what_is_no_file_do_no_harm() {
    use std::os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    };
    let folder = tempdir().unwrap();
    let victim = folder.path().join("victim");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    for name in ["lock", "stable.new"] {
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, data.join(name)).unwrap();
    }
    persist(&data, "one");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let stable = data.join("stable");
    let metadata = fs::symlink_metadata(&stable).unwrap();
    assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600);
    for name in ["stable", "lock"] {
        let path = data.join(name);
        fs::remove_file(&path).unwrap();
        let _socket = UnixListener::bind(&path).unwrap();
        let refused = open(&data).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name}: it is not a regular file")), "{refused}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_error_for_a_folder_that_cannot_be_created_names_it() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = open(&file.join("below")).unwrap_err().to_string();
    assert!(error.contains("below"), "{error}");
}

/// Without storage a life is named by the clock alone.
#[test]
fn lives_without_storage_that_begin_in_one_second_have_different_numbers() {
    let life = || Opened::<String>::anew(&owner(N1, "gms3")).life;
    let first = life();
    thread::sleep(Duration::from_millis(2));
    assert!(life() > first);
}
