//! "Did you mean": the nearest of a closed list of names.

/// The candidate nearest to `read`, if it is near enough to be what was meant: at most a third of the longer name's
/// letters differ, or one name is the beginning of the other.
///
/// ```
/// assert_eq!(config::nearest("conect", ["connect", "negotiate"]), Some("connect"));
/// assert_eq!(config::nearest("colour", ["connect", "negotiate"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(read: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name of ours is longer; a stranger's text of a megabyte must not cost a quadratic time.
    const LONGEST: usize = 64;
    if read.chars().count() > LONGEST {
        return None;
    }
    let read = read.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = distance(&read, candidate);
            let longer = read.chars().count().max(candidate.chars().count());
            let begins = read.len() >= 4 && (candidate.starts_with(&read) || read.starts_with(candidate));
            (distance * 3 <= longer || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let differ = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + differ);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_step() {
        assert_eq!(distance("lisetn", "listen"), 1);
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn dashes_and_capitals_do_not_count() {
        assert_eq!(nearest("Drain-Timeout", ["drain_timeout", "event_queue"]), Some("drain_timeout"));
    }

    #[test]
    fn a_very_long_name_is_near_nothing() {
        assert_eq!(nearest(&"listen".repeat(1000), ["listen"]), None);
    }
}
