//! Real files, changed as people and Kubernetes change them.

use std::{fs, os::unix::fs::symlink, slice};

use tempfile::TempDir;

use super::*;

/// Far longer than anything takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// So rarely that only events count.
const NEVER: Duration = Duration::from_secs(3600);

/// So often that a test need not wait.
const OFTEN: Duration = Duration::from_millis(20);

async fn changed(watch: &mut Watch) -> Vec<PathBuf> {
    tokio::time::timeout(DEADLINE, watch.changed())
        .await
        .expect("a change is seen")
}

/// A volume as Kubernetes mounts it: `name` is a link to `..data/name`, and `..data` one to a folder of a version.
fn mount(folder: &Path, version: &str, name: &str, text: &str) {
    fs::create_dir(folder.join(version)).unwrap();
    fs::write(folder.join(version).join(name), text).unwrap();
    let (data, next) = (folder.join("..data"), folder.join("..data_tmp"));
    let old = fs::read_link(&data).ok();
    symlink(version, &next).unwrap();
    fs::rename(&next, &data).unwrap();
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old)).unwrap();
    } else {
        symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_secret_of_kubernetes_changes_by_its_link() {
    for poll in [NEVER, OFTEN] {
        let folder = TempDir::new().unwrap();
        mount(folder.path(), "..1", "tls.crt", "one");
        let file = folder.path().join("tls.crt");
        let mut watch = Watch::new(vec![file.clone()], poll);
        if poll == OFTEN {
            watch.watcher = None;
        }
        for version in ["..2", "..3"] {
            mount(folder.path(), version, "tls.crt", version);
            assert_eq!(changed(&mut watch).await, slice::from_ref(&file));
            assert_eq!(fs::read_to_string(&file).unwrap(), version);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_renamed_into_place_is_seen() {
    let folder = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::write(&one, "1").unwrap();
    fs::write(&two, "1").unwrap();
    let mut watch = Watch::new(vec![one.clone(), two], NEVER);
    fs::write(folder.path().join("new"), "2").unwrap();
    fs::rename(folder.path().join("new"), &one).unwrap();
    assert_eq!(changed(&mut watch).await, [one]);
}

#[tokio::test]
async fn a_touch_is_no_change_nor_is_a_file_that_is_gone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "1").unwrap();
    let mut watch = Watch::new(vec![file.clone()], OFTEN);
    fs::write(&file, "1").unwrap();
    assert!(watch.look_in_time().await.is_empty());
    fs::remove_file(&file).unwrap();
    assert!(watch.look_in_time().await.is_empty());
    fs::write(&file, "1").unwrap();
    assert!(watch.look_in_time().await.is_empty());
    fs::remove_file(&file).unwrap();
    assert!(watch.look_in_time().await.is_empty());
    fs::write(&file, "2").unwrap();
    assert_eq!(changed(&mut watch).await, [file]);
}

#[tokio::test]
async fn a_file_may_come_late() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("folder").join("file");
    let mut watch = Watch::new(vec![file.clone()], OFTEN);
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(&file, "1").unwrap();
    assert_eq!(changed(&mut watch).await, [file]);
}

#[tokio::test]
async fn other_files_can_be_watched_instead() {
    let folder = TempDir::new().unwrap();
    let other = TempDir::new().unwrap();
    let (one, two) = (folder.path().join("one"), other.path().join("two"));
    fs::write(&one, "1").unwrap();
    fs::write(&two, "1").unwrap();
    let mut watch = Watch::new(vec![one.clone()], NEVER);
    fs::write(&one, "2").unwrap();
    watch.set_files(vec![one.clone(), two.clone()]);
    assert_eq!(changed(&mut watch).await, slice::from_ref(&one));
    watch.set_files(vec![two.clone()]);
    fs::write(&one, "3").unwrap();
    fs::write(&two, "3").unwrap();
    assert_eq!(changed(&mut watch).await, [two]);
}

#[test]
fn a_large_file_is_read_again_only_when_it_may_have_changed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large");
    let large = vec![b'1'; 2 << 20];
    fs::write(&path, &large).unwrap();
    let mut content = Content::of(&path);
    // Just written: times tell nothing yet, so the same size is read again.
    let mut other = large.clone();
    other[1 << 20] = b'2';
    fs::write(&path, other).unwrap();
    assert!(content.look(&path));
    assert!(!content.look(&path));
}
