//! Why a client reaches one host and not the other.

use super::HostProfile;
use super::change::{ChangeKind, Difference, compare};
use super::meet::{Meeting, Mismatch, meet};
use super::offer::{Ability, Offer};
use super::smallest::{Changing, SmallestChange, smallest_changes_for};
use crate::wire::TlsVersion;

/// A client held against two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Where it meets the first host, or what is missing. `None`: that host took no hello of any version, so nothing is known
    /// that the client could be held against.
    pub first: Option<Result<Meeting, Mismatch>>,
    /// The same with the second.
    pub second: Option<Result<Meeting, Mismatch>>,
    /// The differences between the hosts that make it so; empty when it reaches both or neither.
    pub because: Vec<Difference>,
    /// What would let the client in at the first host and at the second: the changes of that host and of the client.
    /// Empty for one that it reaches.
    pub changes: [Vec<SmallestChange>; 2],
}

/// Holds `offer` against two hosts by the model of [`meet`]. `newest` is the newest version that this client can be made to
/// speak, as far as that is known: none above it is proposed to it.
///
/// A difference explains the outcome when it is of the kind that is missing, and the host that the client reaches has
/// what it needs there.
#[must_use]
pub fn explain(offer: &Offer, newest: TlsVersion, first: &HostProfile, second: &HostProfile) -> Explanation {
    let hosts = [Ability::of(first), Ability::of(second)];
    let [met_a, met_b] = [0, 1].map(|at| hosts[at].as_ref().map(|host| meet(offer, host)));
    let because = match (met_a, met_b) {
        (Some(Ok(meeting)), Some(Err(mismatch))) | (Some(Err(mismatch)), Some(Ok(meeting))) => {
            relevant(first, second, mismatch, meeting)
        }
        _ => Vec::new(),
    };
    let changes = hosts.map(|host| {
        let changes = host.map_or_else(Vec::new, |host| smallest_changes_for(offer, newest, &host)).into_iter();
        changes.filter(|change| change.changing() != Changing::Both).collect()
    });
    Explanation { first: met_a, second: met_b, because, changes }
}

fn relevant(first: &HostProfile, second: &HostProfile, mismatch: Mismatch, meeting: Meeting) -> Vec<Difference> {
    let kinds: &[ChangeKind] = match mismatch {
        Mismatch::Version => &[ChangeKind::Version],
        Mismatch::Suite => &[ChangeKind::Version, ChangeKind::Suite],
        Mismatch::KeyType => &[ChangeKind::Certificate],
        Mismatch::Group => &[ChangeKind::Group],
        Mismatch::SignatureScheme => &[ChangeKind::Signature, ChangeKind::Certificate],
    };
    let all: Vec<Difference> =
        compare(first, second).into_iter().filter(|difference| kinds.contains(&difference.what)).collect();
    // The version on which they meet says it all, when that is what the other host lacks.
    let version = super::lack::version_name(meeting.version);
    let of_version =
        |difference: &&Difference| difference.item == version || difference.item == format!("suites of {version}");
    let narrow: Vec<Difference> = all.iter().filter(of_version).cloned().collect();
    if narrow.is_empty() { all } else { narrow }
}
