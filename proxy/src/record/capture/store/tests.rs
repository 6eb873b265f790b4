use super::*;
use config::Capture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A directory that goes with the test.
struct Room(PathBuf);

impl Room {
    fn new() -> Room {
        Room(std::env::temp_dir().join(format!("rdpscope-captures-{}", Uuid::now_v7())))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bounds(room: &Room) -> Capture {
    Capture { max_total_bytes: 10_000, max_files: 4, min_free: 1_000, ..Capture::into(room.0.clone()) }
}

fn plenty() -> Space {
    Box::new(|_| Ok(DiskSpace { free: 1 << 40, inodes: Some(1 << 20) }))
}

/// The id of a session that began so many seconds after 1970.
fn session(seconds: u64) -> Uuid {
    Uuid::from_u128(u128::from(seconds * 1_000) << 80 | 7 << 76 | 2 << 62)
}

/// A file of ours of so many bytes.
fn file(size: usize) -> Vec<u8> {
    let mut file = pcapng::section(&["a report".to_owned()]);
    file.resize(size, 0);
    file
}

#[test]
fn a_directory_is_made_for_us_alone_and_so_are_its_files() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    store.write(session(1), &file(200)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&room.0), mode(&store.path(session(1)).with_file_name(&room.names()[0]))), (0o700, 0o600));
}

#[test]
fn the_oldest_make_room_for_bytes_and_for_files() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    let ids: Vec<Uuid> = (1..=6).map(session).collect();
    for id in &ids[..3] {
        store.write(*id, &file(3_000)).unwrap();
    }
    assert_eq!(store.total(), 9_000);
    store.write(ids[3], &file(3_000)).unwrap();
    assert_eq!(room.names(), ids[1..4].iter().map(|id| file_name(*id)).collect::<Vec<_>>(), "10,000 bytes at most");
    for id in &ids[4..] {
        store.write(*id, &file(200)).unwrap();
    }
    assert_eq!(room.names(), ids[2..6].iter().map(|id| file_name(*id)).collect::<Vec<_>>(), "four files at most");
    assert_eq!(store.total(), 2 * 3_000 + 2 * 200);
}

#[test]
fn a_file_that_takes_the_place_of_an_earlier_one_counts_once() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    let id = session(1);
    store.write(id, &file(3_000)).unwrap();
    store.write(id, &file(500)).unwrap();
    assert_eq!((store.total(), store.read(id).unwrap().len()), (500, 500));
    store.remove(id);
    assert_eq!((store.total(), room.names().len()), (0, 0));
    store.remove(id);
}

#[test]
fn what_is_too_old_goes() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    for seconds in [1_000, 2_000, 3_000] {
        store.write(session(seconds), &file(200)).unwrap();
    }
    let month = 30 * 24 * 60 * 60;
    store.expire(SystemTime::UNIX_EPOCH + Duration::from_secs(month + 2_500));
    assert_eq!(room.names().len(), 1);
    store.expire(SystemTime::UNIX_EPOCH);
    assert_eq!(room.names().len(), 1, "a clock that stands wrong removes nothing");
}

#[test]
fn only_what_we_wrote_is_counted_and_ever_removed() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    let ours = session(5);
    store.write(ours, &file(200)).unwrap();
    drop(store);
    let theirs = [
        ("notes.pcapng".to_owned(), file(9_000)),
        (file_name(session(1)), b"somebody else's, with a name like ours".to_vec()),
        (format!("{}{ENDING}", Uuid::nil()), file(9_000)),
        (format!("{}{ENDING}", session(2).to_string().to_uppercase()), file(9_000)),
        (format!(".{}.swp", session(3)), file(9_000)),
    ];
    for (name, bytes) in &theirs {
        fs::write(room.0.join(name), bytes).unwrap();
    }
    fs::create_dir(room.0.join(file_name(session(4)))).unwrap();
    let unfinished = room.0.join(format!(".{}{UNFINISHED}", session(6)));
    fs::write(&unfinished, b"half").unwrap();
    let mut store = Store::open(Capture { max_files: 1, ..bounds(&room) }, plenty()).unwrap();
    assert_eq!(store.total(), 200);
    assert!(!unfinished.exists(), "what was never finished goes");
    store.write(session(7), &file(9_900)).unwrap();
    store.expire(SystemTime::now() + Duration::from_secs(1 << 32));
    for (name, bytes) in &theirs {
        assert_eq!(fs::read(room.0.join(name)).unwrap(), *bytes, "{name}");
    }
    assert!(!store.path(ours).exists() && !store.path(session(7)).exists());
    assert!(room.0.join(file_name(session(4))).is_dir());
}

#[test]
fn what_is_there_at_the_start_is_brought_within_the_bounds() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    (1..=4).for_each(|seconds| store.write(session(seconds), &file(2_000)).unwrap());
    let store = Store::open(Capture { max_total_bytes: 5_000, ..bounds(&room) }, plenty()).unwrap();
    assert_eq!((store.total(), room.names().len()), (4_000, 2));
    assert!(!store.path(session(1)).exists() && store.path(session(4)).exists());
}

#[test]
fn nothing_is_written_where_the_disk_is_nearly_full() {
    let room = Room::new();
    let free = Arc::new(AtomicU64::new(1_400));
    let said = Arc::clone(&free);
    let space = Box::new(move |_: &Path| Ok(DiskSpace { free: said.load(Relaxed), inodes: Some(1_000) }));
    let mut store = Store::open(bounds(&room), space).unwrap();
    assert_eq!(store.write(session(1), &file(401)), Err(NotWritten::DiskFull));
    assert!(room.names().is_empty());
    assert_eq!(store.write(session(1), &file(400)), Ok(()));
    free.store(1_000, Relaxed);
    assert_eq!(store.write(session(2), &file(200)), Err(NotWritten::DiskFull));
    free.store(1_200, Relaxed);
    assert_eq!(store.write(session(2), &file(200)), Ok(()), "when there is room again");
}

#[test]
fn a_directory_that_was_removed_is_made_anew_and_one_that_cannot_be_is_no_full_disk() {
    let room = Room::new();
    let inside = Capture { directory: room.0.join("captures"), ..bounds(&room) };
    fs::create_dir(&room.0).unwrap();
    let mut store = Store::open(inside, super::space()).unwrap();
    store.write(session(1), &file(200)).unwrap();
    fs::remove_dir_all(room.0.join("captures")).unwrap();
    assert_eq!(store.write(session(2), &file(300)), Ok(()));
    assert_eq!((store.total(), store.path(session(2)).exists()), (300, true), "what is gone does not count");
    let mode = fs::metadata(room.0.join("captures")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    fs::remove_dir_all(&room.0).unwrap();
    assert_eq!(
        (store.may_write(0), store.write(session(3), &file(1))),
        (Err(NotWritten::Error), Err(NotWritten::Error))
    );
}

#[test]
fn nothing_is_written_where_no_more_files_can_be_made() {
    let room = Room::new();
    let space = |inodes| -> Space { Box::new(move |_| Ok(DiskSpace { free: 1 << 40, inodes })) };
    assert_eq!(Store::open(bounds(&room), space(Some(10))).unwrap().may_write(1), Err(NotWritten::DiskFull));
    assert_eq!(Store::open(bounds(&room), space(None)).unwrap().may_write(1), Ok(()), "where that is not counted");
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error_that_names_it() {
    let room = Room::new();
    let nowhere = Capture { directory: room.0.join("missing/captures"), ..bounds(&room) };
    let error = Store::open(nowhere, plenty()).err().unwrap().to_string();
    assert!(error.contains("missing/captures") && error.contains("cannot make the directory"), "{error}");
    fs::write(&room.0, b"a file").unwrap();
    let error = Store::open(bounds(&room), plenty()).err().unwrap().to_string();
    fs::remove_file(&room.0).unwrap();
    assert!(error.contains("Not a directory"), "{error}");
}

#[test]
fn a_write_that_fails_leaves_nothing_and_the_earlier_file_stays_counted() {
    let room = Room::new();
    let mut store = Store::open(bounds(&room), plenty()).unwrap();
    let id = session(1);
    store.write(id, &file(300)).unwrap();
    // Its name is taken by a directory that is not empty: the rename fails.
    let other = session(2);
    fs::create_dir_all(store.path(other).join("x")).unwrap();
    assert_eq!(store.write(other, &file(300)), Err(NotWritten::Error));
    assert_eq!((store.total(), room.names().len()), (300, 2));
}
