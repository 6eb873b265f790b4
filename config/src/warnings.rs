//! What is allowed and yet hardly meant.

use crate::bridge::BridgeMode;
use crate::quantity::write_moment;
use crate::settings::Settings;
use std::time::SystemTime;

/// What somebody who wrote these settings should know of them as they are now, one sentence each.
#[must_use]
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(until) = settings.capture.as_ref().and_then(|capture| capture.secrets_until) else { return warnings };
    if until <= SystemTime::now() {
        let until = write_moment(until);
        warnings.push(format!(
            "`secrets_until` of [capture] has passed ({until}): captures hold no secrets; take it and `secrets` out, or \
             write a later moment"
        ));
    } else if settings
        .listeners
        .iter()
        .all(|listener| listener.bridge.rules(&listener.upstream).mode == BridgeMode::Off)
    {
        warnings.push(
            "`secrets` of [capture] has no effect: no listener bridges, and TLS that is passed on cannot be read"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(capture: &str, bridge: &str) -> Vec<String> {
        let text = format!(
            "[[listener]]\nlisten = '0.0.0.0:3389'\nupstream = 'rds07'\n{bridge}[capture]\ndirectory = 'c'\n{capture}"
        );
        warnings(&crate::parse("f", &text).unwrap())
    }

    #[test]
    fn a_moment_that_has_passed_is_a_warning_and_so_are_secrets_that_nothing_can_have() {
        let soon = write_moment(SystemTime::now() + std::time::Duration::from_secs(600));
        let secrets = |until: &str| format!("secrets = true\nsecrets_until = '{until}'\n");
        let bridge = "[listener.bridge]\nmode = 'auto'\nverify = 'insecure'\n";
        assert_eq!(said("", ""), [""; 0]);
        assert_eq!(said(&secrets(&soon), bridge), [""; 0]);
        let past = said(&secrets("2020-01-01T00:00:00Z"), bridge);
        assert!(matches!(&past[..], [one] if one.contains("has passed (2020-01-01T00:00:00Z)")), "{past:?}");
        let none = said(&secrets(&soon), "");
        assert!(matches!(&none[..], [one] if one.contains("no listener bridges")), "{none:?}");
    }
}
