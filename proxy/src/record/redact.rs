//! User names, as they may be written.
//!
//! The `mstshash` cookie carries the user name. It leaves this process only through [`Names::write`].

use config::UserNames;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the key file in the state directory: 32 random bytes, readable by us only.
const KEY_FILE: &str = "user-names.key";

/// What a hash begins with.
const HASH: &str = "hmac-sha256:";

/// How user names are written, with the key that makes their hashes ours alone.
#[derive(Clone)]
pub struct Names {
    how: UserNames,
    /// Knows the key; a copy of it hashes one name.
    mac: Hmac<Sha256>,
}

/// The key file could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}", path.display())]
pub struct KeyError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl Names {
    /// Takes the key from `state_directory`, making it at the first start. Without a directory, or when names are not
    /// hashed, the key lives as long as this process.
    ///
    /// # Errors
    /// A key file that cannot be read, made, or is not ours: hashes that change unnoticed would split every user in two.
    pub fn new(how: UserNames, state_directory: Option<&Path>) -> Result<Names, KeyError> {
        let key = match state_directory {
            Some(directory) if how == UserNames::Hash => kept_key(&directory.join(KEY_FILE))?,
            _ => random(),
        };
        Ok(Names::keyed(how, key))
    }

    fn keyed(how: UserNames, key: [u8; 32]) -> Names {
        // A key shorter than a block is one with zeros behind it. RFC 2104 2
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(&key);
        Names { how, mac: Hmac::new(&block.into()) }
    }

    /// A user name as it may be written; `None` when it may not be.
    ///
    /// A hash is `hmac-sha256:` and the first 128 bits in hex, of the name in lower case: Windows does not tell `Bob`
    /// from `bob`.
    #[must_use]
    pub fn write(&self, name: &str) -> Option<String> {
        match self.how {
            UserNames::Plain => Some(name.to_owned()),
            UserNames::Drop => None,
            UserNames::Hash => {
                let mut mac = self.mac.clone();
                match name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
                    true => mac.update(name.as_bytes()),
                    false => mac.update(name.to_lowercase().as_bytes()),
                }
                let tag = mac.finalize().into_bytes();
                let mut text = String::with_capacity(HASH.len() + 32);
                text.push_str(HASH);
                push_hex(&mut text, &tag[..16]);
                Some(text)
            }
        }
    }
}

impl Names {
    /// User names are written as they were sent.
    pub(crate) fn are_plain(&self) -> bool {
        self.how == UserNames::Plain
    }

    /// Puts what may be written of `name` in its place, as long as it was: of a hash as many digits as fit.
    pub(crate) fn overwrite(&self, name: &str, place: &mut [u8]) {
        if self.are_plain() {
            return;
        }
        let written = self.write(name).unwrap_or_default();
        let digits = written.rsplit(':').next().unwrap_or_default().bytes();
        for (byte, digit) in place.iter_mut().zip(digits.chain(std::iter::repeat(b'-'))) {
            *byte = digit;
        }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("how", &self.how).finish_non_exhaustive()
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    text.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(|digit| DIGITS[usize::from(digit)]));
}

fn random() -> [u8; 32] {
    let mut key = [0; 32];
    // The kernel's own: the library's source would first spend 50 ms on measuring jitter, which is more than it takes to
    // read most captures. It is asked where the kernel has none; without it TLS, and so this process, could not work at all.
    let given = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty());
    if given != Ok(key.len()) && rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut key).is_err() {
        key[..16].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        key[16..].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
    }
    key
}

fn kept_key(path: &Path) -> Result<[u8; 32], KeyError> {
    let error = |what, source| KeyError { path: path.to_owned(), what, source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| error("cannot make the state directory", e))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let key = random();
            file.write_all(&key).map_err(|e| error("cannot write the key for user name hashes", e))?;
            Ok(key)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let mut key = Vec::new();
            let file = fs::File::open(path).map_err(|e| error("cannot open the key for user name hashes", e))?;
            file.take(33).read_to_end(&mut key).map_err(|e| error("cannot read the key for user name hashes", e))?;
            key.try_into().map_err(|_| {
                let e =
                    io::Error::new(io::ErrorKind::InvalidData, "it should hold 32 bytes; remove it to have a new one");
                error("this is not a key for user name hashes", e)
            })
        }
        Err(e) => Err(error("cannot make the key for user name hashes", e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch() -> PathBuf {
        std::env::temp_dir().join(format!("rdpscope-names-{}", uuid::Uuid::now_v7()))
    }

    #[test]
    fn a_hash_is_stable_across_restarts_and_hides_the_name() {
        let directory = scratch();
        let first = Names::new(UserNames::Hash, Some(&directory)).unwrap();
        let second = Names::new(UserNames::Hash, Some(&directory)).unwrap();
        let hash = first.write("CORP\\alice").unwrap();
        assert_eq!(Some(&hash), second.write("corp\\Alice").as_ref());
        assert_ne!(Some(&hash), first.write("corp\\alicf").as_ref());
        assert!(hash.starts_with("hmac-sha256:") && hash.len() == 12 + 32, "{hash}");
        assert!(!hash.contains("alice"));
        let mode = fs::metadata(directory.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn another_key_gives_another_hash() {
        let one = Names::new(UserNames::Hash, None).unwrap();
        let other = Names::new(UserNames::Hash, None).unwrap();
        assert_ne!(one.write("alice"), other.write("alice"));
    }

    #[test]
    fn plain_and_drop_do_what_they_say() {
        assert_eq!(Names::new(UserNames::Plain, None).unwrap().write("Alice").as_deref(), Some("Alice"));
        assert_eq!(Names::new(UserNames::Drop, None).unwrap().write("Alice"), None);
    }

    #[test]
    fn a_damaged_key_file_is_an_error_that_names_it() {
        let directory = scratch();
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(KEY_FILE), b"short").unwrap();
        let error = Names::new(UserNames::Hash, Some(&directory)).unwrap_err().to_string();
        assert!(error.contains(KEY_FILE) && error.contains("32 bytes"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_name_is_overwritten_in_its_own_length() {
        let over = |how, name: &str| {
            let mut place = name.as_bytes().to_vec();
            Names::keyed(how, [1; 32]).overwrite(name, &mut place);
            String::from_utf8(place).unwrap()
        };
        assert_eq!(over(UserNames::Plain, "alice"), "alice");
        assert_eq!(over(UserNames::Drop, "alice"), "-----");
        let hash = Names::keyed(UserNames::Hash, [1; 32]).write("alice").unwrap();
        assert_eq!(hash.strip_prefix("hmac-sha256:").unwrap()[..5], over(UserNames::Hash, "alice"));
        let long = "a name that is longer than thirty-two characters";
        assert_eq!(over(UserNames::Hash, long).len(), long.len());
        assert!(over(UserNames::Hash, long).ends_with("----------------"));
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let names = Names::keyed(UserNames::Hash, [0xab; 32]);
        assert!(!format!("{names:?}").contains("171"));
    }
}
